"""The venue on recorded files: what fills where volumes are unknown, outside the session, and on an old quote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.exchange.api.running import running
from tests.exchange.market.support import BTC, SPY, played, quote_rows, random_bars, replay, write
from trader.core.types import OrderSide, OrderType, Quote, Symbol, TimeInForce
from trader.exchange.engine.events import MatchingRules, SimOrder
from trader.exchange.engine.requests import NewOrder
from trader.exchange.market.market import Market
from trader.exchange.venue import Venue

HOUR = timedelta(hours=1)


class Opened:
    """Opens venues, and closes them after the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, market: Market, rules: MatchingRules | None = None) -> Venue:
        return self._stack.enter_context(closing(Venue.open(market, cash=Decimal(100_000), rules=rules)))


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:
        yield Opened(stack)


def bought(venue: Venue, symbol: Symbol = BTC, limit: str | None = None, *, extended: bool = False) -> SimOrder:
    """A buy of one unit: at market, or a day order with a limit."""
    crypto = symbol is BTC
    return venue.submit(
        NewOrder(
            symbol=symbol.text,
            side=OrderSide.BUY,
            type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            tif=TimeInForce.GTC if crypto else TimeInForce.DAY,
            qty=Decimal(1),
            limit_price=None if limit is None else Decimal(limit),
            extended_hours=extended,
        )
    )


def steady(count: int, volume: float, **random: object) -> dict[str, np.ndarray]:
    """Bars that stand at 100."""
    bars = random_bars(count, **random)  # type: ignore[arg-type]
    flat = {name: np.full(count, 100.0) for name in ("open", "high", "low", "close")}
    return bars | flat | {"volume": np.full(count, volume)}


def test_a_file_without_volumes_says_so_and_caps_no_fill(tmp_path: Path, opened: Opened) -> None:
    market = replay(write(tmp_path / "fx.parquet", steady(8, 0.0)))
    assert "no volumes" in market.notes[0]
    assert all(tape.uncapped for tape in played(market, 4))
    assert bought(opened(market)).filled_qty == 1


def test_a_single_bar_without_volume_fills_nothing(tmp_path: Path, opened: Opened) -> None:
    bars = steady(8, 100.0)
    bars["volume"][2] = 0.0
    market = replay(write(tmp_path / "b.parquet", bars))
    assert market.notes == ()
    venue = opened(market)
    waiting = bought(venue)
    assert not waiting.filled_qty
    done = venue.advance(venue.now + 5 * HOUR)
    assert (done.reason, done.now) == ("fill", market.start + HOUR)


def test_the_rules_of_matching_are_the_venues_to_choose(tmp_path: Path, opened: Opened) -> None:
    path = write(tmp_path / "b.parquet", steady(8, 20.0))
    # the open shows a tenth of the bar's volume: 2 units
    assert bought(opened(replay(path))).filled_qty == Decimal("0.5")
    assert bought(opened(replay(path), MatchingRules(volume_share=Decimal(1)))).filled_qty == 1


def test_only_extended_hours_orders_trade_outside_the_session(tmp_path: Path, opened: Opened) -> None:
    five_minutes = 300_000_000
    path = write(tmp_path / "x.parquet", steady(150, 1e5, start="2024-03-04T09:00", step_us=five_minutes))
    venue = opened(replay(path, SPY, context=12))
    assert venue.now == datetime(2024, 3, 4, 10, tzinfo=UTC)
    regular, early = bought(venue, SPY, "120"), bought(venue, SPY, "121", extended=True)
    assert (regular.filled_qty, early.filled_qty) == (0, 1)
    done = venue.advance(datetime(2024, 3, 4, 20, tzinfo=UTC))
    assert (done.reason, done.now) == ("fill", datetime(2024, 3, 4, 14, 30, tzinfo=UTC))


def quoted(opened: Opened, tmp_path: Path, times: list[str]) -> Venue:
    """Bars at 100 from 02:00 on, quotes that are each known an hour after its row."""
    quotes = write(tmp_path / "q.parquet", quote_rows(times, [98.0] * len(times), [102.0] * len(times)))
    return opened(replay(write(tmp_path / "b.parquet", steady(8, 1e4)), quotes=quotes))


def shown(venue: Venue) -> Quote:
    quote = venue.quote(BTC)
    assert quote is not None
    return quote


def test_a_recorded_quote_of_one_bar_ago_may_still_be_traded_on(tmp_path: Path, opened: Opened) -> None:
    venue = quoted(opened, tmp_path, ["2024-02-29 23:00", "2024-03-01 00:00"])
    assert shown(venue).at == venue.now - HOUR
    order = bought(venue)
    assert order.filled_avg_price == 102


def test_an_older_recorded_quote_is_shown_as_it_was_and_fills_nothing(tmp_path: Path, opened: Opened) -> None:
    venue = quoted(opened, tmp_path, ["2024-02-29 22:00", "2024-02-29 23:00"])
    quote = shown(venue)
    assert (quote.at, quote.synthetic, quote.ask) == (venue.now - 2 * HOUR, False, 102)
    order = bought(venue)
    assert not order.filled_qty
    # inside the bar the book is modelled around the price, and can be traded on again
    done = venue.advance(venue.now + HOUR)
    assert (done.reason, done.now.minute) == ("fill", 15)


def test_a_modelled_book_stops_being_of_this_moment_where_the_file_has_a_gap(tmp_path: Path, opened: Opened) -> None:
    bars = {name: np.delete(values, [3, 4, 5]) for name, values in steady(9, 1e4).items()}
    venue = opened(replay(write(tmp_path / "b.parquet", bars)))
    last = venue.now + HOUR * 0.75
    venue.advance(last + HOUR)
    assert shown(venue).at == venue.now
    venue.advance(last + 2 * HOUR)
    assert shown(venue).at == last
    assert not bought(venue).filled_qty


def test_what_was_noted_in_the_files_is_said_at_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "fx.parquet", steady(80, 0.0))
    with running(["--data", f"BTC/USD={path}"]) as exchange:
        exchange.process.terminate()
        assert exchange.process.stderr is not None
        assert f"trader exchange: {path}: no volumes" in exchange.process.stderr.readline()


def after(venue: Venue, seconds: float) -> Quote:
    venue.advance(venue.now + timedelta(seconds=seconds))
    return shown(venue)


def test_a_recorded_quote_is_told_as_it_was_and_later_in_its_phase_as_a_model(tmp_path: Path, opened: Opened) -> None:
    """A cycle that waits for longer than a quote may be old (TRADE_DELAY_S) would never see another one."""
    venue = quoted(opened, tmp_path, ["2024-03-01 01:00", "2024-03-01 02:00"])
    opened_at = venue.now
    early, late = after(venue, 5), after(venue, 295)
    assert (early.at, early.synthetic) == (opened_at, False)
    assert (late.at, late.synthetic) == (opened_at + timedelta(seconds=300), True)
    assert (late.bid, late.ask) == (early.bid, early.ask) == (98, 102)
    assert bought(venue).filled_avg_price == 102


def test_a_recorded_quote_that_was_old_when_the_phase_began_grows_no_younger(tmp_path: Path, opened: Opened) -> None:
    venue = quoted(opened, tmp_path, ["2024-02-29 23:30", "2024-03-01 00:30"])
    age = venue.now - shown(venue).at
    assert age == HOUR / 2
    late = after(venue, 300)
    assert venue.now - late.at == age
