from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.types import Symbol
from trader.exchange.engine.events import Phase, Tape
from trader.exchange.market.assets import instrument_of
from trader.exchange.market.files import Columns
from trader.exchange.market.market import Market, MarketOptions, open_market
from trader.exchange.market.replay import Reel
from trader.exchange.market.series import Series, on_ticks

from .support import BTC, ETH, HOUR, SPY, at, played, quote_rows, random_bars, real_data, replay, write

prices = st.floats(min_value=1e-6, max_value=1e6)


def bars_of(tapes: list[Tape]) -> list[list[Tape]]:
    starts = dict.fromkeys(tape.bar_start for tape in tapes)
    return [[tape for tape in tapes if tape.bar_start == start] for start in starts]


@given(
    corners=st.tuples(prices, prices, prices, prices),
    volume=st.floats(min_value=0, max_value=1e9),
    spread=st.floats(min_value=0, max_value=500),
    low_first=st.booleans(),
    symbol=st.sampled_from([BTC, Symbol("SHIB/USD"), Symbol("XYZ/USD"), SPY]),
)
def test_the_phases_of_any_bar_make_up_the_bar(
    corners: tuple[float, ...], volume: float, spread: float, low_first: bool, symbol: Symbol
) -> None:
    open_, close, *rest = (np.array([value]) for value in corners)
    high, low = np.maximum.reduce([open_, close, *rest]), np.minimum.reduce([open_, close, *rest])
    raw = Columns(times=np.array([0]), open=open_, high=high, low=low, close=close, volume=np.array([volume]))
    instrument = instrument_of(symbol)
    bar = on_ticks(raw, instrument)
    series = Series(symbol, HOUR, bar, playing=lambda times: (times, times + 3_600_000_000))
    reel = Reel(series, instrument, quotes=None, spread_bps=Decimal(spread), source="model")
    tapes = [
        tape for quarter in range(4) if (tape := reel.tape(quarter * 900_000_000, lambda _: low_first)) is not None
    ]

    assert [tape.phase for tape in tapes] == list(Phase)
    assert float(tapes[0].last) == bar.open[0]
    assert float(tapes[-1].last) == bar.close[0]
    assert float(max(tape.high for tape in tapes)) == bar.high[0]
    assert float(min(tape.low for tape in tapes)) == bar.low[0]
    assert float(tapes[Phase.FIRST].last) == (bar.low[0] if low_first else bar.high[0])
    assert sum(tape.volume for tape in tapes) == Decimal(repr(float(bar.volume[0])))
    for tape in tapes:
        assert tape.volume >= 0
        assert tape.low <= tape.last <= tape.high
        assert tape.quote is not None
        assert 0 < tape.quote.bid < tape.quote.ask
        assert tape.quote.bid <= tape.last or tape.quote.bid == instrument.tick_at(tape.last)
        assert tape.last <= tape.quote.ask
        assert tape.quote.bid_size > 0
        assert tape.quote.synthetic
        for price in (tape.quote.bid, tape.quote.ask, tape.last):
            assert price % instrument.tick_at(price) == 0
    for before, after in pairwise(tapes):
        assert after.low <= before.last <= after.high


def test_a_bar_plays_a_quarter_of_its_length_apart_and_the_next_follows(tmp_path: Path) -> None:
    market = replay(write(tmp_path / "b.parquet", random_bars(5)))
    tapes = played(market, 8)
    assert market.start == at("2024-03-01 02:00")
    assert [tape.at for tape in tapes] == [market.start + timedelta(minutes=15 * step) for step in range(8)]
    assert [tape.phase for tape in tapes] == list(Phase) * 2


def test_the_order_of_the_extremes_is_asked_once_a_bar_when_the_first_is_played(tmp_path: Path) -> None:
    asked: list[Symbol] = []

    def answer(symbol: Symbol) -> bool:
        asked.append(symbol)
        return len(asked) % 2 == 1  # would contradict itself if it were asked again inside a bar

    first, second = bars_of(played(replay(write(tmp_path / "b.parquet", random_bars(6))), 8, answer))
    assert asked == [BTC, BTC]
    assert first[1].last < first[2].last
    assert second[1].last > second[2].last


@pytest.mark.parametrize("low_first", [True, False])
@pytest.mark.parametrize("stopped_at", [Phase.FIRST, Phase.SECOND])
def test_a_restart_inside_a_bar_keeps_the_order_of_its_extremes(
    tmp_path: Path, low_first: bool, stopped_at: Phase
) -> None:
    path = write(tmp_path / "b.parquet", random_bars(30))
    whole = played(replay(path), 80, lambda _: low_first)
    for tape in (tape for tape in whole if tape.phase is stopped_at):
        again = replay(path)
        again.resume([tape])
        following = again.next_time(tape.at)
        assert following is not None
        expected = [other for other in whole if other.at == following]
        assert list(again.tapes(following, lambda _: not low_first)) == expected


def test_the_size_at_an_open_does_not_tell_the_volume_to_come(tmp_path: Path) -> None:
    bars = random_bars(6)
    louder = {**bars, "volume": np.concatenate([bars["volume"][:3], bars["volume"][3:] * 100])}
    quiet = played(replay(write(tmp_path / "a.parquet", bars)), 5)
    loud = played(replay(write(tmp_path / "b.parquet", louder)), 5)
    assert [tape.quote for tape in quiet] == [tape.quote for tape in loud]
    assert quiet[-1].volume < loud[-1].volume


def market_with_quotes(tmp_path: Path, times: list[str], bid: list[float], ask: list[float], name: str) -> Market:
    bars = random_bars(6)
    for column in ("open", "high", "low", "close"):
        bars[column][:] = 100.0
    quotes = write(tmp_path / f"{name}.parquet", quote_rows(times, bid, ask))
    return replay(write(tmp_path / "b.parquet", bars), quotes=quotes)


def test_a_recorded_quote_is_known_one_spacing_after_its_row(tmp_path: Path) -> None:
    times = [f"2024-03-01 {hour:02}:00" for hour in range(5)]
    market = market_with_quotes(tmp_path, times, [99.0, 98, 97, 96, 95], [101.0, 102, 103, 104, 105], "q")
    tape = played(market, 1)[0]
    assert tape.at == at("2024-03-01 02:00")
    assert tape.quote is not None
    # the row of 01:00 is the book at 02:00; that of 02:00 is still the future
    assert (tape.quote.bid, tape.quote.ask, tape.quote.at) == (98, 102, tape.at)
    assert (tape.quote.synthetic, tape.quote.source) == (False, "replay")
    assert (tape.quote.bid_size, tape.quote.ask_size) == (3, 4)


def test_a_tick_quote_is_known_at_its_own_time(tmp_path: Path) -> None:
    times = ["2024-03-01 01:59:59.5", "2024-03-01 02:00:00", "2024-03-01 02:00:00.000001"]
    market = market_with_quotes(tmp_path, times, [99.0, 98, 97], [101.0, 102, 103], "q__tick")
    quote = played(market, 1)[0].quote
    assert quote is not None
    assert (quote.bid, quote.at) == (98, at("2024-03-01 02:00"))


def test_inside_a_bar_the_book_keeps_the_recorded_spread_and_says_that_it_is_modelled(tmp_path: Path) -> None:
    times = [f"2024-03-01 {hour:02}:00" for hour in range(5)]
    market = market_with_quotes(tmp_path, times, [99.5] * 5, [100.5] * 5, "q")
    inside = played(market, 4)[1:]
    for tape in inside:
        assert tape.quote is not None
        assert tape.quote.synthetic
        assert (tape.quote.bid, tape.quote.ask, tape.quote.at) == (Decimal("99.50"), Decimal("100.50"), tape.at)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(0.0, 100.0), (100.0, 0.0), (101.0, 99.0), (float("nan"), float("nan"))],
    ids=["no bid", "no ask", "crossed", "missing"],
)
def test_a_bad_recorded_quote_reaches_the_client_as_it_was(tmp_path: Path, bid: float, ask: float) -> None:
    times = [f"2024-03-01 {hour:02}:00" for hour in range(4)]
    market = market_with_quotes(tmp_path, times, [99.0, bid, 99, 99], [101.0, ask, 101, 101], "q")
    first, second, *_ = played(market, 2)
    assert first.quote is not None
    assert first.quote.bid == (0 if np.isnan(bid) else Decimal(str(bid)))
    assert first.quote.ask == (0 if np.isnan(ask) else Decimal(str(ask)))
    assert not first.quote.synthetic
    assert second.quote is not None
    assert 0 < second.quote.bid < second.quote.ask  # its spread is useless: the modelled one stands in


def test_when_the_quotes_end_the_last_one_grows_old(tmp_path: Path) -> None:
    market = market_with_quotes(tmp_path, ["2024-03-01 00:00", "2024-03-01 01:00"], [99.0, 98], [101.0, 102], "q")
    opens = [tape.quote for tape in played(market, 16) if tape.phase is Phase.OPEN]
    assert {quote.at for quote in opens if quote is not None} == {at("2024-03-01 02:00")}
    assert len(opens) == 4


def test_before_the_first_recorded_quote_there_is_no_book(tmp_path: Path) -> None:
    times = ["2024-03-01 03:00", "2024-03-01 04:00"]
    market = market_with_quotes(tmp_path, times, [99.0, 99], [101.0, 101], "q")
    tapes = played(market, 9)
    assert [tape.quote is None for tape in tapes] == [True] * 8 + [False]
    assert market.quote(BTC, at("2024-03-01 02:00")) is None


def test_a_gap_in_the_file_has_no_phases(tmp_path: Path) -> None:
    bars = {name: np.delete(values, [4, 5]) for name, values in random_bars(9).items()}
    market = replay(write(tmp_path / "b.parquet", bars))
    tapes = played(market, 100)
    assert {tape.bar_start.hour for tape in tapes} == {2, 3, 6, 7, 8}
    assert market.next_time(at("2024-03-01 03:45")) == at("2024-03-01 06:00")
    stale = market.quote(BTC, at("2024-03-01 05:59"))
    assert stale is not None
    assert stale.at == at("2024-03-01 03:45")


def test_the_market_ends_with_the_first_file(tmp_path: Path) -> None:
    data = {
        BTC: write(tmp_path / "b.parquet", random_bars(6)),
        ETH: write(tmp_path / "e.parquet", random_bars(20, seed=1)),
    }
    market = open_market(MarketOptions(data=data, context=2))
    assert market.end == at("2024-03-01 06:00")
    tapes = played(market, 1000)
    # the last moment is the end itself, where the other symbol opens one more bar
    assert max(tape.at for tape in tapes) == market.end
    assert {tape.symbol for tape in tapes if tape.at < market.end} == {BTC, ETH}


def test_a_symbol_without_bars_exists_unquoted(tmp_path: Path) -> None:
    market = open_market(
        MarketOptions(data={BTC: write(tmp_path / "b.parquet", random_bars(6))}, symbols=(Symbol("ZZZ"),), context=2)
    )
    assert {BTC, ETH, SPY, Symbol("ZZZ")} <= set(market.symbols) == set(market.instruments)
    assert market.quoted == (BTC,)
    assert market.quote(ETH, market.start) is None
    assert market.bars(ETH, HOUR, start=None, end=market.start, limit=5) == []


@pytest.mark.parametrize(
    ("symbol", "stem", "quotes"),
    [
        (BTC, "BTCUSDT__bybit-spot-20221213__1m", "BTCUSDT__bybit-spot-20221213__1m"),
        (BTC, "BTCUSD__coinbase-20170903-20170904__1m", "BTCUSD__coinbase-20170903-20170904__1m"),
        (SPY, "SPY__lean-nbbo-20131004-20131009__1m", "SPY__lean-nbbo-20131004-20131009__1m"),
        (SPY, "SPY__lean-nbbo-20131004-20131009__1m", "SPY__lean-nbbo-20131008-20131009__1s"),
    ],
)
def test_recorded_pairs_of_bars_and_quotes_play(symbol: Symbol, stem: str, quotes: str) -> None:
    path = real_data(f"bars/{stem}.parquet")
    market = replay(path, symbol, quotes=real_data(f"quotes/{quotes}.parquet"), context=300)
    shown = [tape for tape in played(market, 20_000) if tape.quote is not None]
    recorded = [tape for tape in shown if tape.quote is not None and not tape.quote.synthetic]
    assert recorded
    assert all(tape.quote.at <= tape.at for tape in recorded if tape.quote is not None)
    assert {tape.phase for tape in recorded} == {Phase.OPEN}
    fresh = [tape for tape in recorded if tape.quote is not None and tape.quote.at == tape.at and tape.quote.bid]
    near = [abs(float(tape.quote.mid / tape.last) - 1) for tape in fresh if tape.quote is not None]
    assert len(near) > 100
    assert np.median(near) < 0.001


@pytest.mark.parametrize(("text", "tick"), [("BTC/USD", "0.01"), ("DOGE/USD", "0.00001"), ("ABC/USD", "0.000000001")])
def test_guard_23_increments_come_from_the_asset(text: str, tick: str) -> None:
    pair, stock = instrument_of(Symbol(text)), instrument_of(SPY)
    assert pair.tick_at(Decimal(5)) == Decimal(tick)
    assert (pair.min_notional, pair.shortable, pair.fees.taker_bps) == (10, False, 25)
    assert (stock.tick_at(Decimal(5)), stock.tick_at(Decimal("0.5"))) == (Decimal("0.01"), Decimal("0.0001"))
    assert (stock.min_notional, stock.shortable, stock.fees.taker_bps) == (1, True, 0)
