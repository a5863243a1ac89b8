"""An intent can't be built the wrong way round."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from tests.core.make import BTC
from trader.core.types import EntrySide, OrderIntent, OrderSide, OrderType, Purpose, TimeInForce


def intent_with(purpose: Purpose, entry_side: EntrySide, order_side: OrderSide, qty: str = "1") -> OrderIntent:
    return OrderIntent(
        client_order_id="trd-test",
        symbol=BTC,
        purpose=purpose,
        entry_side=entry_side,
        order_side=order_side,
        qty=Decimal(qty),
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Decimal(100),
    )


def test_guard_01_a_closing_order_must_reduce() -> None:
    for purpose, entry, side in itertools.product(Purpose, EntrySide, OrderSide):
        right = (side is entry.closing) if purpose.reduces else (side is entry.opening)
        if right:
            assert intent_with(purpose, entry, side).order_side is side
        else:
            with pytest.raises(ValueError, match="must be a"):
                intent_with(purpose, entry, side)


def test_the_two_kinds_of_side_are_never_equal() -> None:
    assert not any(entry == side for entry, side in itertools.product(EntrySide, OrderSide))


@pytest.mark.parametrize("qty", ["0", "-1"])
def test_a_quantity_is_positive(qty: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        intent_with(Purpose.ENTRY, EntrySide.LONG, OrderSide.BUY, qty)
