"""Client order ids are deterministic, readable, and ours alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import ACCOUNT, BTC, NOW
from trader.core.ids import MAX_LENGTH, client_order_id, cycle_id, parse_client_order_id
from trader.core.types import Purpose, Symbol

SYMBOLS = st.sampled_from(["BTC/USD", "SHIB/USDT", "AAPL", "BRK.B", "1INCH/USD"]).map(Symbol)
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, SYMBOLS, st.sampled_from(list(Purpose)), st.integers(0, 10**6), st.sampled_from(["trade", "manage"]))
def test_an_id_says_what_it_was_made_of(
    at: datetime, symbol: Symbol, purpose: Purpose, attempt: int, kind: str
) -> None:
    cycle = cycle_id(at, kind)
    name = client_order_id(ACCOUNT, cycle, symbol, purpose, attempt)
    parsed = parse_client_order_id(name)
    assert name.startswith("trd-")
    assert len(name) <= MAX_LENGTH
    assert parsed is not None
    assert (parsed.cycle_id, parsed.symbol, parsed.purpose, parsed.attempt) == (cycle, symbol, purpose, attempt)


def test_guard_25_the_same_order_has_the_same_id_and_another_one_another() -> None:
    made = [
        client_order_id(account, cycle_id(NOW, kind), symbol, purpose, attempt)
        for account in (ACCOUNT, "other")
        for kind in ("trade", "manage")
        for symbol in (BTC, Symbol("BTC/USDT"))
        for purpose in Purpose
        for attempt in (0, 1)
    ]
    assert len(set(made)) == len(made)
    assert made[0] == client_order_id(ACCOUNT, cycle_id(NOW, "trade"), BTC, Purpose.ENTRY, 0)


@pytest.mark.parametrize("text", ["", "abc", "trd-", "9f1c", "trd-0000-x-y", "TRD-" + "0" * 20, "trd-12345678-a-b-c-1"])
def test_a_foreign_id_is_not_ours(text: str) -> None:
    assert parse_client_order_id(text) is None


@given(st.text(max_size=140))
def test_any_text_is_parsed_without_trouble(text: str) -> None:
    parse_client_order_id(text)


def test_the_account_number_does_not_show() -> None:
    assert ACCOUNT[:8] not in client_order_id(ACCOUNT, cycle_id(NOW, "trade"), BTC, Purpose.ENTRY, 0)


def test_a_kind_that_could_not_be_parsed_back_is_refused() -> None:
    with pytest.raises(ValueError, match="kind of cycle"):
        cycle_id(NOW, "Trade-1")


@pytest.mark.parametrize(
    ("cycle", "attempt"), [("", 0), ("yesterday", 0), ("20250312T150000Z", 0), (cycle_id(NOW, "trade"), 10**80)]
)
def test_an_id_that_the_venue_would_cut_or_nobody_could_read_is_refused(cycle: str, attempt: int) -> None:
    with pytest.raises(ValueError, match="not a client order id"):
        client_order_id(ACCOUNT, cycle, BTC, Purpose.ENTRY, attempt)


def test_guard_03_every_spelling_of_a_pair_is_one_symbol() -> None:
    from trader.core.types import AssetClass

    spellings = ["BTC/USD", "BTCUSD", "btcusd", " btc/usd "]
    assert {Symbol.parse(text, AssetClass.CRYPTO) for text in spellings} == {BTC}
    assert BTC.position_name == "BTCUSD"
    parsed = parse_client_order_id(client_order_id(ACCOUNT, cycle_id(NOW, "trade"), BTC, Purpose.ENTRY, 0))
    assert parsed is not None
    assert parsed.symbol == BTC
