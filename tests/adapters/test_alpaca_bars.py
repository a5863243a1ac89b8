"""Bars from the wire: paged, closed only, kept between calls, fetched again when history was corrected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.adapters.wire import Wire, reply, wire
from trader.adapters.alpaca.clients import AlpacaEndpoints, build_clients
from trader.adapters.alpaca.data import AlpacaMarketData
from trader.core.types import Symbol, Timeframe
from trader.errors import Transient

BTC, ETH, SPY = Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY")
HOUR = Timeframe.parse("1Hour")
END = datetime(2026, 3, 2, 15, tzinfo=UTC)


def bar(hours_ago: int, price: float = 100.0, **changes: Any) -> dict[str, Any]:
    start = END - timedelta(hours=hours_ago)
    fields = {"t": start.isoformat().replace("+00:00", "Z"), "o": price, "h": price + 1, "l": price - 1, "c": price}
    return {**fields, "v": 2.0, "n": 3, "vw": 100.5, **changes}


def page(bars: object, token: object = None) -> Any:
    return reply(200, {"bars": bars, "next_page_token": token})


def market_at(venue: Wire, problems: list[tuple[str, str]] | None = None) -> AlpacaMarketData:
    endpoints = AlpacaEndpoints(key="k", secret="s", trading_url="", data_url=venue.url, trade_stream_url="")
    heard = [] if problems is None else problems
    return AlpacaMarketData(
        build_clients(endpoints, first_backoff_s=0.01), lambda kind, detail: heard.append((kind, detail))
    )


def query(venue: Wire, number: int) -> dict[str, list[str]]:
    return parse_qs(urlsplit(venue.asked[number].path).query)


def test_pages_are_joined_and_the_forming_bar_is_left_out() -> None:
    with wire(page({"BTC/USD": [bar(3)]}, "next"), page({"BTC/USD": [bar(2), bar(1), bar(0)]})) as venue:
        bars = market_at(venue).bars([BTC], HOUR, end=END, count=3)[BTC]
        assert query(venue, 1)["page_token"] == ["next"]
    assert len(bars) == 3
    assert bars.last_start == END - timedelta(hours=1)
    assert bars.values[0].tolist() == [100, 101, 99, 100, 2, 201]


def test_the_amount_without_a_vwap_is_the_mean_price_times_the_volume() -> None:
    with wire(page({"BTC/USD": [bar(1, vw=None, h=105.0)]})) as venue:
        bars = market_at(venue).bars([BTC], HOUR, end=END, count=1)[BTC]
    assert bars.values[0, 5] == pytest.approx((100 + 105 + 99 + 100) / 4 * 2)


def test_only_what_is_new_is_asked_for_again() -> None:
    first = [bar(hours) for hours in range(30, 0, -1)]
    with wire(page({"BTC/USD": first}), page({"BTC/USD": [bar(3), bar(2), bar(1), bar(0)]})) as venue:
        market = market_at(venue)
        market.bars([BTC], HOUR, end=END, count=30)
        later = market.bars([BTC], HOUR, end=END + HOUR.duration, count=30)[BTC]
        assert query(venue, 1)["start"] == [(END - timedelta(hours=3)).isoformat(timespec="microseconds")[:-6] + "Z"]
        assert len(venue.asked) == 2
    assert len(later) == 30
    assert later.last_start == END
    assert np.all(np.diff(later.times) == np.timedelta64(1, "h"))


def test_a_corrected_history_is_fetched_again_whole() -> None:
    old = [bar(hours) for hours in range(30, 0, -1)]
    halved = [bar(hours, 50.0) for hours in range(30, -1, -1)]
    with wire(page({"BTC/USD": old}), page({"BTC/USD": halved[-4:]}), page({"BTC/USD": halved})) as venue:
        market = market_at(venue)
        market.bars([BTC], HOUR, end=END, count=30)
        later = market.bars([BTC], HOUR, end=END + HOUR.duration, count=30)[BTC]
    assert set(later.values[:, 3]) == {50.0}
    assert len(later) == 30


def test_bars_that_can_not_be_read_leave_that_symbol_out() -> None:
    problems: list[tuple[str, str]] = []
    with wire(page({"BTC/USD": [bar(2), {"t": "now"}], "ETH/USD": [bar(1)]})) as venue:
        found = market_at(venue, problems).bars([BTC, ETH], HOUR, end=END, count=1)
    assert set(found) == {ETH}
    assert any("BTC/USD" in detail for _, detail in problems)


@pytest.mark.parametrize("body", [[], {"bars": []}, {"bars": {"BTC/USD": []}, "next_page_token": 7}])
def test_an_answer_of_another_shape_is_transient(body: object) -> None:
    with wire(reply(200, body)) as venue, pytest.raises(Transient):
        market_at(venue).bars([BTC], HOUR, end=END, count=1)


def test_a_data_plan_without_recent_bars_says_what_to_set() -> None:
    told = {"message": "subscription does not permit querying recent SIP data"}
    with wire(reply(403, told)) as venue, pytest.raises(Transient, match="ALPACA_FEED=iex"):
        market_at(venue).quotes([SPY])


def test_stocks_are_asked_for_far_enough_back_and_with_their_feed() -> None:
    with wire(page({"SPY": [bar(1)]})) as venue:
        market_at(venue).bars([SPY], HOUR, end=END, count=65)
        asked = query(venue, 0)
    assert (asked["feed"], asked["adjustment"]) == (["iex"], ["split"])
    assert datetime.fromisoformat(asked["start"][0]) < END - timedelta(days=14)  # ten sessions and the weekends


def test_a_quote_that_is_not_a_number_is_absent_and_reported() -> None:
    problems: list[tuple[str, str]] = []
    quotes = {
        "BTC/USD": {"bp": 1.0, "ap": None, "t": END.isoformat()},
        "ETH/USD": {"bp": 1.5, "ap": 0, "bs": 1, "as": 0, "t": END.isoformat()},
    }
    with wire(reply(200, {"quotes": quotes})) as venue:
        found = market_at(venue, problems).quotes([BTC, ETH])
    assert set(found) == {ETH}
    assert len(problems) == 1
