"""A posted fee finds its fill: by name, by order, or by side, symbol, day and rate; whatever order they come in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.posted_fees import joined, with_fee
from trader.core.postings import Posting
from trader.core.types import Execution, OrderSide, Symbol

BTC, ETH = Symbol("BTC/USD"), Symbol("ETH/USD")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
D = Decimal


def fill(name: str, qty: str, price: str = "100", side: OrderSide = OrderSide.BUY, symbol: Symbol = BTC) -> Execution:
    return Execution(
        id=name, order_id=f"order {name}", symbol=symbol, side=side, qty=D(qty), price=D(price), at=NOON,
        fee_estimated=True,
    )  # fmt: skip


def in_coin(name: str, units: str, symbol: Symbol = BTC, day: date | None = None) -> Posting:
    return Posting(id=name, kind="CFEE", day=day or NOON.date(), symbol=symbol, qty=-D(units))


def in_dollars(name: str, amount: str) -> Posting:
    return Posting(id=name, kind="CFEE", day=NOON.date(), cash=-D(amount))


def owners(fills: Sequence[Execution], fees: Sequence[Posting]) -> dict[str, str]:
    return {fill: fee.id for fill, fee in joined(fills, fees).items()}


def test_each_fee_joins_the_fill_whose_fee_it_is_by_one_of_the_rates() -> None:
    fills = [fill("small", "0.5"), fill("large", "2"), fill("sold", "2", side=OrderSide.SELL)]
    fees = [in_coin("taker", "0.005"), in_coin("maker", "0.00075"), in_dollars("usd", "0.30")]
    assert owners(fills, fees) == {"large": "taker", "small": "maker", "sold": "usd"}


def test_a_fee_in_dollars_names_no_coin_and_none_is_left_without_its_fill() -> None:
    """0.42 is 0.25% of 166.62 and 0.15% of 277.99, rounded up to a cent; 0.70 is of the larger one alone."""
    fills = [
        fill("larger", "1", "277.99", OrderSide.SELL), fill("smaller", "1", "166.62", OrderSide.SELL, ETH),
    ]  # fmt: skip
    for fees in (
        [in_dollars("a", "0.42"), in_dollars("b", "0.70")],
        [in_dollars("b", "0.70"), in_dollars("a", "0.42")],
    ):
        assert owners(fills, fees) == {"larger": "b", "smaller": "a"}


@pytest.mark.parametrize(
    "fee",
    [
        in_coin("too large", "0.1"),
        in_coin("another coin", "0.005", ETH),
        in_coin("a week later", "0.005", day=NOON.date() + timedelta(days=7)),
        in_coin("long before", "0.005", day=NOON.date() - timedelta(days=3)),
        replace(in_coin("of another order", "0.005"), order_id="another"),
        replace(in_coin("of another fill", "0.005"), execution_id="another"),
        replace(in_coin("at another price", "0.005"), price=D(120)),
        in_dollars("taken in dollars", "0.005"),
        replace(in_coin("no fee", "0.005"), kind="JNLS"),
    ],
    ids=lambda fee: fee.id,
)
def test_what_can_not_be_its_fee_is_none(fee: Posting) -> None:
    assert not joined([fill("one", "2")], [fee])


def test_a_regulatory_fee_of_the_day_is_not_a_coins_unless_it_is_by_one_of_the_rates() -> None:
    sold = fill("sold", "2", side=OrderSide.SELL)
    assert not joined([sold], [replace(in_dollars("of a stock", "0.02"), kind="FEE")])
    assert owners([sold], [replace(in_dollars("by a rate", "0.50"), kind="FEE")]) == {"sold": "by a rate"}


def test_a_named_fee_is_of_that_fill_whatever_its_amount() -> None:
    fills = [fill("one", "2"), fill("other", "2")]
    fees = [replace(in_coin("a", "0.9"), execution_id="other"), replace(in_coin("b", "0.005"), order_id="order one")]
    assert owners(fills, fees) == {"other": "a", "one": "b"}


def test_without_an_entry_the_fee_is_our_estimate_again() -> None:
    charged = with_fee(fill("one", "2"), in_coin("a", "0.003"))
    assert (charged.fee, charged.fee_currency, charged.fee_estimated) == (D("0.003"), "BTC", False)
    assert with_fee(charged, None).fee == D("0.005")
    assert with_fee(charged, None).fee_estimated


def test_a_fee_that_two_fills_could_have_goes_where_the_other_fee_is_explained_too() -> None:
    """2.00 is 0.25% of 800 and 0.20% of 1,000, the earlier fill; 2.50 is of the larger one alone."""
    fills = [fill("larger", "10", side=OrderSide.SELL), fill("smaller", "8", side=OrderSide.SELL)]
    for fees in (
        [in_dollars("a", "2.00"), in_dollars("b", "2.50")],
        [in_dollars("b", "2.00"), in_dollars("a", "2.50")],
    ):
        cash = {fill: -fee.cash for fill, fee in joined(fills, fees).items()}
        assert cash == {"larger": D("2.50"), "smaller": D("2.00")}


AMOUNTS = st.lists(
    st.tuples(st.decimals("5", "9000", places=2), st.sampled_from([15, 25]), st.booleans()), min_size=1, max_size=12
)


def test_a_fee_whose_fill_another_took_finds_one_all_the_same() -> None:
    """In cents each of these small ones may be of two fills; the one that is taken first must not leave one without."""
    fills = [
        fill(name, "1", price, OrderSide.SELL)
        for name, price in zip("abcd", ("13.34", "100.01", "100.01", "5"), strict=False)
    ]
    fees = [in_dollars(f"p{n}", amount) for n, amount in enumerate(("0.03", "0.16", "0.16", "0.01"))]
    assert sorted(owners(fills, fees).values()) == ["p0", "p1", "p2", "p3"]


@given(AMOUNTS, st.randoms(use_true_random=False), st.data())
def test_the_order_and_the_number_of_times_they_are_told_change_nothing(
    amounts: list[tuple[Decimal, int, bool]], dice: random.Random, data: st.DataObject
) -> None:
    """And the fees of the day add up to what was posted."""
    fills, fees = list[Execution](), list[Posting]()
    for number, (value, bps, bought) in enumerate(amounts):
        side, amount = OrderSide.BUY if bought else OrderSide.SELL, value * bps / 10_000
        fills.append(fill(f"f{number}", "1", str(value), side))
        units = D(bps) / 10_000
        cents = str(amount.quantize(D("0.01"), ROUND_UP))
        fees.append(in_coin(f"p{number}", str(units)) if bought else in_dollars(f"p{number}", cents))
    whole = owners(fills, fees)
    told = data.draw(st.lists(st.sampled_from(fees), max_size=6)) + fees
    dice.shuffle(told)
    dice.shuffle(fills)
    assert owners(fills, told) == whole
    assert set(whole.values()) == {each.id for each in fees}, "each has found one"
