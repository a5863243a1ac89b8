"""What is protected when the lists are out of step: no less than we surely hold, and no more sold than that."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import BTC, SPY, execution, portfolio, position
from trader.core.types import Symbol
from trader.core.unbooked import FEE_SHARE, NOTHING, Filled, to_protect, unbooked

D = Decimal
UNITS = st.integers(-50, 50).map(D)


def filled(least: str, most: str | None = None, sign: int = 1, ids: tuple[str, ...] = ("o",)) -> Filled:
    return Filled(symbol=BTC, sign=sign, ids=ids, least=D(least), most=D(most or least))


def test_fills_of_an_order_and_its_legs_are_told_of_once() -> None:
    oco = filled("3", sign=-1, ids=("target", "stop"))
    assert unbooked([oco], {}) == {BTC: NOTHING.plus(D(-3), D(-3))}
    assert unbooked([oco], {"stop": D(1)}, [execution(order_id="target", qty="2")]) == {}
    assert unbooked([filled("0", "5")], {"o": D(2)}) == {BTC: NOTHING.plus(D(0), D(3))}


def test_where_all_agree_it_is_the_venues_own_word() -> None:
    told = portfolio((position(),))
    assert to_protect(told, {BTC: D(1)}, {}, None, {}) is told
    assert to_protect(told, {BTC: D("1.0025")}, {}, None, {}) is told, "a fee that is not booked yet"


def test_a_fill_that_no_list_shows_yet_is_protected_less_its_fee() -> None:
    seen = to_protect(portfolio(), {}, {BTC: NOTHING.plus(D(2), D(2))}, None, {BTC: D(100)})
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
    seen = to_protect(portfolio(held), {symbol: booked}, {symbol: NOTHING.plus(-sold, bought)}, None, {})
    shown = seen.positions[symbol].qty if symbol in seen.positions else D(0)
    low, high = booked - sold, booked + bought
    least = min((each for each in (low, high)), key=abs) if low * high > 0 else D(0)
    least = max(least, D(0)) if symbol is BTC else least  # a coin can't be short
    assert shown * least >= 0
    assert abs(shown) >= abs(least) - FEE_SHARE * max(bought, sold) - 1
    if symbol in seen.positions:
        most = max(abs(low), abs(high))
        room = FEE_SHARE * (abs(booked) + max(bought, sold)) if symbol is BTC else D(0)
        assert seen.positions[symbol].qty_available <= most + room


# ---- fees that are taken in the coin, while fills are still to be told of ----


@st.composite
def round_trips(
    draw: st.DrawFn, most: int = 4
) -> tuple[Decimal, dict[Symbol, Decimal], list[Filled], dict[str, Decimal]]:
    """Buys and sales of a coin, one after the other, each for all that is held: what is truly held then; the books, in
    which any of the fills are missing, and their fees are estimates; the orders as they show themselves; what of each
    is booked."""
    truly, books, orders, booked = D(0), D(0), list[Filled](), dict[str, Decimal]()
    estimated = D(0)  # by how much the books are off for the last buy
    for number in range(draw(st.integers(1, most))):
        name, is_told = f"o{number}", draw(st.booleans())
        if number % 2 == 0:
            qty = D(draw(st.integers(1, 10_000))) / 1000
            truly = qty * (1 - D(draw(st.sampled_from(["0", "0.0015", "0.0025"]))))
            told_units = qty * (1 - D(draw(st.sampled_from(["0", "0.0015", "0.0025"])))) if is_told else D(0)
            books, sign, estimated = books + told_units, 1, truly - told_units if is_told else D(0)
        else:
            qty, sign = truly, -1
            books += estimated - qty if is_told else 0  # what was bought and sold is booked whole, fees and all
            truly = D(0)
        if is_told:
            booked[name] = qty
        orders.append(Filled(symbol=BTC, sign=sign, ids=(name,), least=qty, most=qty, price=D(100)))
    return truly, {BTC: books}, orders, booked


@given(round_trips(most=2))
def test_no_dust_of_fees_is_protected_where_the_venue_shows_truly_what_is_held(
    trip: tuple[Decimal, dict[Symbol, Decimal], list[Filled], dict[str, Decimal]],
) -> None:
    truly, books, orders, booked = trip
    told = portfolio((position(BTC, str(truly)),) if truly else ())
    seen = to_protect(told, books, unbooked(orders, booked), None, {BTC: D(100)})
    assert {symbol: each.qty for symbol, each in seen.positions.items()} == ({BTC: truly} if truly else {})


@given(round_trips(), st.integers(0, 3))
def test_while_the_list_lags_no_more_is_sold_than_is_held(
    trip: tuple[Decimal, dict[Symbol, Decimal], list[Filled], dict[str, Decimal]], behind: int
) -> None:
    """Of what is surely known: a list that shows nothing yet, or what was sold already."""
    truly, books, orders, booked = trip
    shown = orders[max(len(orders) - 1 - behind, 0)].most * (1 if behind % 2 else 0)
    told = portfolio((position(BTC, str(shown)),) if shown else ())
    seen = to_protect(told, books, unbooked(orders, booked), None, {BTC: D(100)})
    position_seen = seen.positions.get(BTC)
    offered = min(position_seen.qty, position_seen.qty_available) if position_seen else D(0)
    assert position_seen is None or position_seen.qty > 0, "a coin can't be short"
    doubt = FEE_SHARE * sum((each.most for each in orders), D(0))  # fees of any of it may be what is missing
    # the books may be above the truth by that, and the list above the books
    assert offered <= truly + (2 * doubt if truly or len(orders) > 2 else 0)
