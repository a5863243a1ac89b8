"""What the journal writes, it reads back exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters.types import Forecast
from tests.adapters import samples
from trader.adapters.journal.codec import decode, encode
from trader.core.decision import DecisionInputs, Levels, Plan
from trader.core.types import Execution, Order, OrderIntent, Quote, Symbol

decimals = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12)
moments = st.integers(min_value=0, max_value=4 * 10**15).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


def test_a_whole_decision_survives_byte_for_byte() -> None:
    inputs = samples.inputs(samples.symbols(3))
    again = decode(DecisionInputs, encode(inputs))
    assert encode(again) == encode(inputs)
    assert again.portfolio == inputs.portfolio
    assert again.open_symbols == inputs.open_symbols
    assert again.limits == inputs.limits
    assert dict(again.levels) == dict(inputs.levels)


def test_arrays_keep_their_type_shape_and_bits() -> None:
    forecast = samples.forecast(samples.BTC)
    again = decode(Forecast, encode(forecast))
    assert again.times.dtype == forecast.times.dtype
    assert again.paths is not None
    assert forecast.paths is not None
    assert again.paths.tobytes() == forecast.paths.tobytes()
    assert again.quantiles.shape == forecast.quantiles.shape
    assert np.array_equal(again.levels, forecast.levels)


def test_a_plan_survives() -> None:
    plan = samples.plan(samples.symbols(2))
    assert decode(Plan, encode(plan)) == plan


def test_the_order_of_a_mapping_does_not_change_the_bytes() -> None:
    names = samples.symbols(3)
    inputs = samples.inputs(names)
    turned = replace(inputs, quotes={symbol: inputs.quotes[symbol] for symbol in reversed(names)})
    assert encode(turned) == encode(inputs)


def test_nested_orders_survive() -> None:
    order = replace(samples.order(1), legs=(samples.order(2), samples.order(3)))
    assert decode(Order, encode(order)) == order


def test_a_field_added_later_takes_its_default() -> None:
    old = encode(samples.execution()).replace(b',"fee_estimated":false', b"")
    assert decode(Execution, old) == samples.execution()


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError, match="zone"):
        encode(replace(samples.levels(), set_at=datetime(2026, 1, 1)))  # noqa: DTZ001


@given(decimals, decimals, moments, st.text(max_size=20))
def test_quotes_survive_exactly(bid: Decimal, ask: Decimal, at: datetime, source: str) -> None:
    quote = Quote(
        symbol=Symbol("ETH/USD"), bid=bid, ask=ask, bid_size=Decimal("1E-9"), ask_size=Decimal(0), at=at, source=source
    )
    again = decode(Quote, encode(quote))
    assert again == quote
    assert (again.bid.as_tuple(), again.ask.as_tuple()) == (bid.as_tuple(), ask.as_tuple())


@given(st.none() | decimals, st.none() | decimals, moments, st.none() | st.timedeltas(timedelta(0), timedelta(days=9)))
def test_levels_survive_exactly(
    target: Decimal | None, stop: Decimal | None, at: datetime, held: timedelta | None
) -> None:
    levels = replace(
        samples.levels(), target=target, stop=stop, set_at=at, expires_at=None if held is None else at + held
    )
    assert decode(Levels, encode(levels)) == levels


@given(st.decimals(min_value="1E-9", max_value=10**9, places=9), st.text(max_size=30))
def test_intents_survive_exactly(qty: Decimal, reason: str) -> None:
    intent = replace(samples.intent(), qty=qty, reason=reason)
    assert decode(OrderIntent, encode(intent)) == intent
