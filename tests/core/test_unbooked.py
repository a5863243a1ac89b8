"""What is protected when the lists are out of step: no less than we surely hold, and no more sold than that."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import BTC, SPY, execution, portfolio, position
from trader.core.types import Symbol
from trader.core.unbooked import FEE_SHARE, Filled, Span, to_protect, unbooked

D = Decimal
UNITS = st.integers(-50, 50).map(D)


def filled(least: str, most: str | None = None, sign: int = 1, ids: tuple[str, ...] = ("o",)) -> Filled:
    return Filled(symbol=BTC, sign=sign, ids=ids, least=D(least), most=D(most or least))


def test_fills_of_an_order_and_its_legs_are_told_of_once() -> None:
    oco = filled("3", sign=-1, ids=("target", "stop"))
    assert unbooked([oco], {}) == {BTC: Span(low=D(-3), high=D(-3))}
    assert unbooked([oco], {"stop": D(1)}, [execution(order_id="target", qty="2")]) == {}
    assert unbooked([filled("0", "5")], {"o": D(2)}) == {BTC: Span(low=D(0), high=D(3))}


def test_where_all_agree_it_is_the_venues_own_word() -> None:
    told = portfolio((position(),))
    assert to_protect(told, {BTC: D(1)}, {}, None, {}) is told
    assert to_protect(told, {BTC: D("1.0025")}, {}, None, {}) is told, "a fee that is not booked yet"


def test_a_fill_that_no_list_shows_yet_is_protected_less_its_fee() -> None:
    seen = to_protect(portfolio(), {}, {BTC: Span(low=D(2), high=D(2))}, None, {BTC: D(100)})
    assert seen.positions[BTC].qty == 2 * (1 - FEE_SHARE)
    assert seen.positions[BTC].avg_entry_price == 100


def test_a_share_that_is_left_out_is_kept_and_not_sold_again_but_where_the_list_lags_a_fill() -> None:
    for lately, free in (({}, 0), ({SPY: D(100)}, 5)):
        seen = to_protect(portfolio(), {SPY: D(5)}, {}, None, lately)
        assert (seen.positions[SPY].qty, seen.positions[SPY].qty_available) == (5, free)


def test_what_an_order_held_that_is_over_is_free_though_the_list_is_behind() -> None:
    told = portfolio((position(BTC, "1", available="0.1"),))
    assert to_protect(told, {BTC: D(1)}, {}, None, {}) is told, "somebody else's may hold it"
    assert to_protect(told, {BTC: D(1)}, {}, None, {}, {BTC}).positions[BTC].qty_available == 1
    tenfold = portfolio((position(BTC, "10", available="10"),))
    assert to_protect(tenfold, {BTC: D(1)}, {}, None, {}, {BTC}).positions[BTC].qty_available == 1


@given(UNITS, UNITS, st.integers(0, 20).map(D), st.integers(0, 20).map(D), st.sampled_from([BTC, SPY]))
def test_whatever_is_told_what_is_protected_lies_within_what_is_possible(
    told: Decimal, booked: Decimal, bought: Decimal, sold: Decimal, symbol: Symbol
) -> None:
    held = (position(symbol, str(told)),) if told else ()
    seen = to_protect(portfolio(held), {symbol: booked}, {symbol: Span(low=-sold, high=bought)}, None, {})
    shown = seen.positions[symbol].qty if symbol in seen.positions else D(0)
    low, high = booked - sold, booked + bought
    least = min((each for each in (low, high)), key=abs) if low * high > 0 else D(0)
    assert shown * least >= 0
    assert abs(shown) >= abs(least) * (1 - FEE_SHARE) - 1
    if symbol in seen.positions:
        most = max(abs(low), abs(high))
        room = FEE_SHARE * most if symbol is BTC else D(0)
        assert seen.positions[symbol].qty_available <= most + room
