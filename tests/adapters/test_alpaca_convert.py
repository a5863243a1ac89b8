"""Rubbish from the venue is told apart from values, and never crashes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.adapters.alpaca.activities import activities_of
from trader.adapters.alpaca.convert import (
    Malformed,
    account_of,
    fill_of,
    instrument_of,
    order_of,
    position_of,
    quote_of,
    session_of,
)
from trader.core.postings import Activities
from trader.core.types import OrderClass, OrderStatus, OrderType, Symbol, TimeInForce

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
BTC = Symbol("BTC/USD")
ACCOUNT = {"id": "a", "status": "ACTIVE", "currency": "USD", "equity": "100.5", "cash": "50", "buying_power": "50"}
POSITION = {
    "symbol": "BTCUSD", "asset_class": "crypto", "side": "long", "qty": "0.5", "qty_available": "0.25",
    "avg_entry_price": "100", "current_price": "101",
}  # fmt: skip
ORDER: dict[str, Any] = {
    "id": "o", "client_order_id": "c", "symbol": "BTC/USD", "side": "buy", "type": "limit", "time_in_force": "gtc",
    "qty": "0.5", "filled_qty": "0", "status": "new", "submitted_at": "2026-03-02T15:00:00.123456789Z",
    "limit_price": "99.5", "order_class": "", "legs": None,
}  # fmt: skip
FILL = {
    "activity_type": "FILL", "id": "1::x", "symbol": "BTCUSD", "side": "buy", "qty": "0.5", "price": "100",
    "order_id": "o", "transaction_time": "2026-03-02T15:00:00Z",
}  # fmt: skip
PAIRS = {"BTCUSD": BTC}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("NaN") | st.just("1e999"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PARSERS: list[tuple[dict[str, Any], Callable[[Any], object]]] = [
    (ACCOUNT, lambda raw: account_of(raw, NOW)),
    (POSITION, position_of),
    (ORDER, order_of),
    (FILL, lambda raw: fill_of(raw, PAIRS)),
    ({"bp": 1.5, "ap": 1.6, "t": "2026-03-02T15:00:00Z"}, lambda raw: quote_of(BTC, raw, "x")),
    ({"price_increment": "1", "min_trade_increment": "1", "min_order_size": "1", "tradable": True},
     lambda raw: instrument_of(BTC, raw)),
    ({"tradable": True, "fractionable": True}, lambda raw: instrument_of(Symbol("SPY"), raw)),
    ({"date": "2026-03-02", "open": "09:30", "close": "16:00"}, session_of),
]  # fmt: skip


@given(st.sampled_from(PARSERS), anything)
def test_rubbish_is_malformed_and_nothing_else(
    parser: tuple[dict[str, Any], Callable[[Any], object]], raw: Any
) -> None:
    with pytest.raises(Malformed):
        parser[1](raw)


@given(st.sampled_from(PARSERS), st.data(), anything)
def test_one_bad_field_never_crashes(
    parser: tuple[dict[str, Any], Callable[[Any], object]], data: st.DataObject, value: Any
) -> None:
    example, parse = parser
    name = data.draw(st.sampled_from(sorted(example)))
    with contextlib.suppress(Malformed):
        parse({**example, name: value})


@given(
    st.lists(st.builds(lambda name, value: {**FILL, name: value}, st.sampled_from(sorted(FILL)), anything) | anything)
)
def test_activities_with_rubbish_among_them_are_reported_and_left_out(rows: list[Any]) -> None:
    problems: list[tuple[str, str]] = []
    good = {**FILL, "id": "good", "execution_id": "good"}
    told = activities_of([*rows, good], PAIRS, lambda kind, detail: problems.append((kind, detail)))
    assert "good" in {fill.id for fill in told.executions}
    assert len(told.executions) + len(told.postings) + len(problems) <= len(rows) + 1


@pytest.mark.parametrize("field", ["equity", "cash", "buying_power", "status", "id"])
def test_guard_15_an_account_without_a_figure_is_unknown_not_zero(field: str) -> None:
    with pytest.raises(Malformed, match=field):
        account_of({**ACCOUNT, field: None}, NOW)


def test_guard_03_positions_and_orders_name_the_same_symbol() -> None:
    assert position_of(POSITION).symbol == order_of(ORDER).symbol == fill_of(FILL, PAIRS).symbol == BTC


def test_a_short_position_is_negative_however_the_venue_signs_it() -> None:
    for qty in ("5", "-5"):
        short = position_of({**POSITION, "symbol": "AAPL", "asset_class": "us_equity", "side": "short", "qty": qty})
        assert short.qty == -5


def test_a_float_is_read_as_it_was_written() -> None:
    quote = quote_of(BTC, {"bp": 1.1, "ap": 1.5e-05, "t": "2026-03-02T15:00:00Z"}, "x")
    assert (quote.bid, quote.ask) == (Decimal("1.1"), Decimal("0.000015"))


def test_a_zero_or_crossed_quote_passes_for_the_core_to_refuse_and_synthetic_is_marked() -> None:
    quote = quote_of(BTC, {"bp": 5, "ap": 0, "bs": 1, "as": 0, "t": "2026-03-02T15:00:00Z", "c": ["SYNTHETIC"]}, "x")
    assert (quote.bid, quote.ask, quote.synthetic) == (5, 0, True)


def test_orders_that_we_never_place_are_seen_not_hidden() -> None:
    foreign = order_of({**ORDER, "type": "trailing_stop", "time_in_force": "cls", "order_class": "oto"})
    assert (foreign.type, foreign.tif, foreign.order_class) == (OrderType.STOP, TimeInForce.DAY, OrderClass.BRACKET)
    unknown = order_of({**ORDER, "status": "calculated"})
    assert unknown.status is OrderStatus.UNKNOWN
    assert unknown.is_open
    by_notional = order_of({**ORDER, "qty": None, "notional": "50"})
    assert by_notional.qty == Decimal("0.502512563")


def test_sessions_follow_new_yorks_clock_through_summer_time() -> None:
    winter = session_of({"date": "2026-03-06", "open": "09:30", "close": "16:00"})
    summer = session_of({"date": "2026-03-09", "open": "09:30", "close": "13:00"})
    assert (winter.open.hour, summer.open.hour, summer.close.hour) == (14, 13, 17)


def read(*rows: dict[str, Any]) -> Activities:
    problems: list[tuple[str, str]] = []
    found = activities_of(rows, PAIRS, lambda kind, detail: problems.append((kind, detail)))
    assert not problems
    return found


def test_a_fill_that_is_told_twice_is_one_and_its_fee_is_our_estimate() -> None:
    first, second = read(FILL, {**FILL, "id": "2::x"}, FILL).executions
    assert (first.id, second.id, first.fee_estimated) == ("1::x", "2::x", True)


def test_a_fee_that_names_its_fill_is_that_ones_and_stays_a_posting() -> None:
    fee = {
        "id": "3::x", "activity_type": "CFEE", "symbol": "BTCUSD", "date": "2026-03-02", "qty": "-0.001",
        "net_amount": "0", "execution_id": "1::x",
    }  # fmt: skip
    found = read(FILL, fee)
    assert (found.executions[0].fee, found.executions[0].fee_estimated) == (Decimal("0.001"), False)
    assert [each.execution_id for each in found.postings] == ["1::x"]


def test_both_shapes_of_a_posted_crypto_fee_are_read() -> None:
    """In a coin: symbol, units and a price, which is 0 for one that costs next to nothing. In dollars: the amount."""
    coin = {
        "id": "20260301000000000::a", "activity_type": "CFEE", "date": "2026-03-01", "net_amount": "0", "qty": "-87.13",
        "symbol": "BTCUSD", "price": "0", "status": "executed", "description": "Coin Pair Transaction Fee (Non USD)",
    }  # fmt: skip
    usd = {
        "id": "20260302000000000::b", "activity_type": "CFEE", "date": "2026-03-02", "net_amount": "-2.21",
        "currency": "USD", "status": "executed", "description": "Coin Pair Transaction Fee (USD)",
    }  # fmt: skip
    first, second = read(usd, coin).postings
    assert (first.symbol, first.qty, first.cash, first.price) == (BTC, Decimal("-87.13"), 0, None)
    assert (second.symbol, second.qty, second.cash) == (None, 0, Decimal("-2.21"))


@pytest.mark.parametrize(
    ("kind", "qty", "moved"),
    [("DIV", "10", 0), ("INT", None, 0), ("JNLS", "10", 10), ("SPLIT", "30", 30), ("CSD", None, 0), ("ODD", "10", 0)],
)
def test_an_activity_is_read_by_its_type_and_an_unknown_one_as_its_amount(
    kind: str, qty: str | None, moved: int
) -> None:
    row = {"id": "20260302000000000::c", "activity_type": kind, "net_amount": "12.5", "symbol": "AAPL", "qty": qty}
    (found,) = read(row).postings
    assert (found.kind, found.cash, found.qty, found.day.isoformat()) == (kind, Decimal("12.5"), moved, "2026-03-02")
    assert kind in found.told
    assert not read({**row, "status": "canceled"}).postings
