"""Downloads: from the simulated exchange page by page, gone on with after an end in the middle, without keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner

from settings.load import load
from settings.schema import Settings
from tests.adapters.wire import Wire, reply, wire
from tests.exchange.api.running import Running, running
from trader.cli import cli
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError, CredentialsRefused, VenueUnreachable
from trader.exchange.market.files import load_quotes
from trader.research.data.download import Downloader, DownloadRange, data_clients
from trader.research.data.quote_store import QuoteStore
from trader.research.data.store import BarStore

BTC, AAPL = Symbol("BTC/USD"), Symbol("AAPL")
QUARTER = Timeframe.parse("15Min")
START, NOW = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, 15, tzinfo=UTC)
KEYS = {"alpaca_api_key_id": "PKKEY", "alpaca_api_secret_key": "secret"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    arguments = ["--symbol", "BTC/USD,AAPL", "--timeframe", "15Min", "--start", "2024-02-01T15:00:00Z"]
    with running(arguments) as found:
        yield found


def settings_for(url: str, **keys: str) -> Settings:
    environment = {name.upper(): value for name, value in {"alpaca_data_url": url, **keys}.items()}
    return load(environ=environment, folder=Path(__file__).parent).settings


def downloader(url: str, symbol: Symbol = BTC, page: int = 100, **keys: str) -> Downloader:
    return Downloader(data_clients(settings_for(url, **keys), [symbol]), per_minute=10_000, page=page)


def wanted(symbol: Symbol = BTC, start: datetime = START, end: datetime = NOW) -> DownloadRange:
    return DownloadRange(symbol=symbol, timeframe=QUARTER, start=start, end=end)


def test_bars_come_page_by_page_and_only_closed_ones(exchange: Running, tmp_path: Path) -> None:
    store, shares = BarStore(tmp_path), []
    done = downloader(exchange.url).bars(store, wanted(), lambda what, share: shares.append(share))
    series = store.series(BTC, QUARTER)
    assert done.rows == len(series) > 500
    assert done.bad == ()
    assert len(shares) == -(-done.rows // 100)
    assert shares == sorted(shares)
    assert series.times[-1] + np.timedelta64(15, "m") <= np.datetime64("2024-02-01T15:00")


def test_another_page_size_is_the_same_series(exchange: Running, tmp_path: Path) -> None:
    for page in (7, 10_000):
        span = wanted(start=NOW - timedelta(hours=20))
        downloader(exchange.url, page=page).bars(BarStore(tmp_path / str(page)), span)
    one, other = (BarStore(tmp_path / name).entry(BTC, QUARTER) for name in ("7", "10000"))
    assert one is not None
    assert other is not None
    assert one.content_hash == other.content_hash


def test_what_is_there_is_gone_on_with_at_both_ends(exchange: Running, tmp_path: Path) -> None:
    store, loader = BarStore(tmp_path / "pieces"), downloader(exchange.url)
    middle = wanted(start=datetime(2024, 1, 20, tzinfo=UTC), end=datetime(2024, 1, 25, tzinfo=UTC))
    first = loader.bars(store, middle)
    second = loader.bars(store, wanted())
    assert first.resumed_at is None
    assert second.resumed_at == datetime(2024, 1, 24, 23, 45, tzinfo=UTC)
    whole = BarStore(tmp_path / "whole")
    assert loader.bars(whole, wanted()).rows == first.rows + second.rows
    pieces, at_once = store.entry(BTC, QUARTER), whole.entry(BTC, QUARTER)
    assert pieces is not None
    assert at_once is not None
    assert pieces.content_hash == at_once.content_hash
    assert loader.bars(store, wanted()).rows == 0


def test_a_stock_needs_keys_and_a_coin_sends_none(exchange: Running, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="AAPL is a stock, whose data needs keys"):
        data_clients(settings_for(exchange.url), [BTC, AAPL])
    done = downloader(exchange.url, AAPL, **KEYS).bars(BarStore(tmp_path), wanted(AAPL))
    assert done.rows > 100
    with wire(reply(200, {"bars": {}, "next_page_token": None})) as venue:
        assert downloader(venue.url).bars(BarStore(tmp_path / "none"), wanted()).rows == 0
    assert not [name for name in venue.asked[0].headers if name.startswith("apca")]


def test_quotes_are_such_as_the_exchange_replays(exchange: Running, tmp_path: Path) -> None:
    store, loader = QuoteStore(tmp_path), downloader(exchange.url)
    span = wanted(start=NOW - timedelta(days=2))
    done = loader.quotes(store, span)
    assert done.rows > 100
    assert loader.quotes(store, span).rows == 0
    path = store.path(BTC)
    assert path is not None
    quotes, _ = load_quotes(path)
    assert (quotes.ask > quotes.bid).all()
    assert store.entries() == [(BTC, path)]


# ---- a venue that misbehaves ----


def page_of(first: int, count: int, token: str | None, **changes: object) -> object:
    rows = []
    for n in range(first, first + count):
        at = START + timedelta(minutes=15) * n
        rows.append({"t": at.isoformat().replace("+00:00", "Z"), "o": 10, "h": 12, "l": 9, "c": 11, "v": n, **changes})
    return {"bars": {"BTC/USD": rows}, "next_page_token": token}


def asked_of(venue: Wire, number: int) -> dict[str, list[str]]:
    return parse_qs(urlsplit(venue.asked[number].path).query)


def test_an_end_in_the_middle_keeps_what_has_come_and_the_next_call_goes_on(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    with wire(reply(200, page_of(0, 50, "more")), reply(400, {"message": "no"})) as venue:
        with pytest.raises(VenueUnreachable, match="what has come is kept: run it again"):
            downloader(venue.url).bars(store, wanted())
        assert asked_of(venue, 1)["page_token"] == ["more"]
    assert len(store.series(BTC, QUARTER)) == 50
    with wire(reply(200, page_of(47, 20, None))) as venue:
        assert downloader(venue.url).bars(store, wanted()).rows == 17
        assert asked_of(venue, 0)["start"] == ["2024-01-01T11:45:00.000000Z"]
    assert len(store.series(BTC, QUARTER)) == 67


def newest_first(page: Any) -> Any:
    for rows in page.values():
        if isinstance(rows, dict):
            rows["BTC/USD"].reverse()
    return page


def test_what_lies_before_comes_backwards_and_an_end_in_its_middle_leaves_no_hole(tmp_path: Path) -> None:
    store, later = BarStore(tmp_path), wanted(start=START + timedelta(minutes=15) * 100)
    with wire(reply(200, page_of(100, 20, None))) as venue:
        downloader(venue.url).bars(store, later)
    with (
        wire(reply(200, newest_first(page_of(60, 40, "more"))), reply(400, {"message": "no"})) as venue,
        pytest.raises(VenueUnreachable, match="what has come is kept"),
    ):
        downloader(venue.url).bars(store, wanted())
    assert asked_of(venue, 0)["sort"] == ["desc"]
    assert len(store.series(BTC, QUARTER)) == 60
    with wire(reply(200, newest_first(page_of(0, 60, None))), reply(200, page_of(117, 3, None))) as venue:
        assert downloader(venue.url).bars(store, wanted()).rows == 60
        assert asked_of(venue, 0)["end"] == ["2024-01-01T14:45:00.000000Z"]
    assert len(store.series(BTC, QUARTER)) == 120


def test_pages_in_another_order_than_was_asked_for_are_refused(tmp_path: Path) -> None:
    store, later = BarStore(tmp_path), wanted(start=START + timedelta(minutes=15) * 100)
    with wire(reply(200, page_of(100, 20, None))) as venue:
        downloader(venue.url).bars(store, later)
    with wire(reply(200, page_of(0, 50, "more"))) as venue, pytest.raises(VenueUnreachable, match="newest first"):
        downloader(venue.url).bars(store, wanted())
    assert len(store.series(BTC, QUARTER)) == 20


def quotes_page(first: int, count: int, token: str | None) -> Any:
    rows = [
        {"t": (START + timedelta(seconds=n)).isoformat().replace("+00:00", "Z"), "bp": 10, "ap": 11, "bs": n, "as": n}
        for n in range(first, first + count)
    ]
    return {"quotes": {"BTC/USD": rows}, "next_page_token": token}


def test_quotes_before_what_is_stored_come_backwards_and_go_on_after_an_end(tmp_path: Path) -> None:
    store = QuoteStore(tmp_path)
    with wire(reply(200, quotes_page(100, 20, None))) as venue:
        downloader(venue.url).quotes(store, wanted(start=START + timedelta(seconds=100)))
    with (
        wire(reply(200, newest_first(quotes_page(60, 40, "more"))), reply(400, {"message": "no"})) as venue,
        pytest.raises(VenueUnreachable, match="what has come is kept"),
    ):
        downloader(venue.url).quotes(store, wanted())
    assert asked_of(venue, 0)["end"] == ["2024-01-01T00:01:39.999999Z"]
    with wire(
        reply(200, newest_first(quotes_page(30, 30, "more"))),
        reply(200, newest_first(quotes_page(0, 30, None))),
        reply(200, quotes_page(120, 5, None)),
    ) as venue:
        assert downloader(venue.url).quotes(store, wanted()).rows == 65
        assert asked_of(venue, 0)["end"] == ["2024-01-01T00:00:59.999999Z"]
        assert asked_of(venue, 2)["start"] == ["2024-01-01T00:01:59.000001Z"]
    rows = store.rows(BTC)
    assert rows is not None
    assert rows.bid_size.tolist() == list(range(125))
    assert (np.diff(rows.times) == 1_000_000).all()


def test_quotes_in_pieces_are_those_of_one_download(exchange: Running, tmp_path: Path) -> None:
    loader, shares = downloader(exchange.url), list[float]()
    pieces, whole = QuoteStore(tmp_path / "pieces"), QuoteStore(tmp_path / "whole")
    start, middle = NOW - timedelta(days=3), NOW - timedelta(days=2)
    loader.quotes(pieces, wanted(start=middle, end=NOW - timedelta(days=1)))
    loader.quotes(pieces, wanted(start=start), lambda what, share: shares.append(share))
    count = loader.quotes(whole, wanted(start=start)).rows
    ours, theirs = pieces.rows(BTC), whole.rows(BTC)
    assert ours is not None
    assert theirs is not None
    assert len(ours) == len(theirs) == count > 200
    for name in ("times", "bid", "ask", "bid_size", "ask_size"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert shares == sorted(shares)
    assert pieces.span(BTC) == whole.span(BTC)
    assert loader.quotes(pieces, wanted(start=start)).rows == 0


def test_quotes_without_a_start_only_go_on(exchange: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("ALPACA_DATA_URL", exchange.url)
    monkeypatch.chdir(tmp_path)
    usual = ["data", "download", "--quotes", "--symbols", "BTC/USD", "--json"]
    found = []
    for more in (["--from", "2024-01-31", "--to", "2024-01-31T12:00:00"], [], ["--from", "2024-01-30"]):
        done = CliRunner().invoke(cli, [*usual, *more], standalone_mode=False)
        assert done.return_value == 0
        found.append((json.loads(done.stdout)[0]["new_rows"], QuoteStore(tmp_path / "quotes").span(BTC)))
    (first, begun), (then, longer), (back, whole) = found
    assert first > 0 < then
    assert back > 0
    assert begun is not None
    assert longer is not None
    assert whole is not None
    assert begun[0] == longer[0] > whole[0]
    assert begun[1] < longer[1] == whole[1]


def test_what_is_stored_is_replaced_only_once_all_has_come(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    with wire(reply(200, page_of(0, 30, None))) as venue:
        downloader(venue.url).bars(store, wanted())
    with (
        wire(reply(200, page_of(0, 10, "more", o=11)), reply(400, {"message": "no"})) as venue,
        pytest.raises(VenueUnreachable),
    ):
        downloader(venue.url).bars(store, wanted(), anew=True)
    assert len(store.series(BTC, QUARTER)) == 30
    with wire(reply(200, page_of(0, 10, None, o=11))) as venue:
        downloader(venue.url).bars(store, wanted(), anew=True)
    assert len(store.series(BTC, QUARTER)) == 10


def test_a_passing_trouble_is_tried_again(tmp_path: Path) -> None:
    busy = reply(429, {"message": "slow down"}, {"Retry-After": "0"})
    with wire(busy, reply(503, "away"), reply(200, page_of(0, 10, None))) as venue:
        assert downloader(venue.url).bars(BarStore(tmp_path), wanted()).rows == 10
        assert len(venue.asked) == 3


def test_bad_rows_of_the_venue_are_told_and_left_out(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    page = page_of(0, 10, None)
    page["bars"]["BTC/USD"][4]["h"] = None  # type: ignore[index]
    page["bars"]["BTC/USD"][6]["l"] = 13  # type: ignore[index]
    with wire(reply(200, page)) as venue:
        done = downloader(venue.url).bars(store, wanted())
    assert [bad.reason for bad in done.bad] == ["high is missing, NaN or no finite number", "high below low"]
    assert len(store.series(BTC, QUARTER)) == 8


def test_a_correction_since_is_not_mixed_in(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    with wire(reply(200, page_of(0, 10, None))) as venue:
        downloader(venue.url).bars(store, wanted())
    with (
        wire(reply(200, page_of(7, 10, None, o=5, h=6, l=4.5, c=5.5))) as venue,
        pytest.raises(ConfigurationError, match="--replace"),
    ):
        downloader(venue.url).bars(store, wanted())
    assert len(store.series(BTC, QUARTER)) == 10


def test_refused_keys_are_said_so(tmp_path: Path) -> None:
    with (
        wire(reply(401, {"message": "unauthorized"})) as venue,
        pytest.raises(CredentialsRefused),
    ):
        downloader(venue.url, AAPL, **KEYS).bars(BarStore(tmp_path), wanted(AAPL))


def test_garbage_is_no_series(tmp_path: Path) -> None:
    with wire(reply(200, {"bars": {"BTC/USD": "x"}})) as venue, pytest.raises(VenueUnreachable, match="not a list"):
        downloader(venue.url).bars(BarStore(tmp_path), wanted())
    with wire(reply(200, {"bars": {"BTC/USD": [1, None, {}]}, "next_page_token": None})) as venue:
        done = downloader(venue.url).bars(BarStore(tmp_path / "rows"), wanted())
    assert (done.rows, len(done.bad)) == (0, 3)


def test_the_command_goes_on_where_the_stored_series_ends(
    exchange: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("ALPACA_DATA_URL", exchange.url)
    monkeypatch.chdir(tmp_path)
    usual = ["data", "download", "--symbols", "BTC/USD", "--timeframe", "15Min"]
    first = CliRunner().invoke(cli, [*usual, "--from", "2024-01-20", "--to", "2024-01-25"], standalone_mode=False)
    assert first.return_value == 0
    assert "BTC/USD: 480 new 15Min bars" in first.stdout
    then = CliRunner().invoke(cli, [*usual, "--json"], standalone_mode=False)
    (told,) = json.loads(then.stdout)
    assert told["resumed_at"] == "2024-01-24T23:45:00+00:00"
    assert told["new_rows"] > 500
    anew = CliRunner().invoke(
        cli, [*usual, "--from", "2024-01-20", "--to", "2024-01-21", "--replace"], standalone_mode=False
    )
    assert "BTC/USD: 96 new 15Min bars" in anew.stdout
