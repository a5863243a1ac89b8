"""The books against the venue: each fill once, nothing explained away, silence never read as flat."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import ACCOUNT, BTC, ETH, NOW, SPY, account, execution, order, portfolio, position
from trader.core.fills import cash_of, new_executions, units_of
from trader.core.ids import client_order_id, cycle_id
from trader.core.reconcile import (
    Believed,
    CorrectionKind,
    Reconciliation,
    Reported,
    reconcile,
)
from trader.core.types import Execution, OrderSide, Position, Purpose, Symbol
from trader.core.unbooked import NOTHING, Filled

D = Decimal
START = D(100_000)


def believed(positions: dict[Symbol, Decimal] | None = None, cash: Decimal | None = START, **more: object) -> Believed:
    return Believed(positions=positions or {}, cash=cash, **more)  # type: ignore[arg-type]


def reported(*held: Position, executions: tuple[Execution, ...] = (), cash: str = "100000", **more: object) -> Reported:
    """Its equity is what cash and units come to, unless `equity` says otherwise."""
    orders = more.pop("orders", ())
    equity = str(more.pop("equity", D(cash) + sum([each.notional for each in held], D(0))))
    book = portfolio(held, orders, account(equity, cash=D(cash)))  # type: ignore[arg-type]
    return Reported(portfolio=book, executions=executions, **more)  # type: ignore[arg-type]


def kinds(result: Reconciliation) -> list[CorrectionKind]:
    return [correction.kind for correction in result.corrections]


def test_what_agrees_needs_no_correction() -> None:
    result = reconcile(believed({BTC: D(1)}), reported(position()))
    assert (result.corrections, result.unexplained, result.doubt, result.executions) == ((), (), "", ())
    assert result.positions == {BTC: D(1)}


def test_a_first_start_adopts_what_is_there() -> None:
    result = reconcile(Believed(positions=None), reported(position(), position(SPY, "-5")))
    assert kinds(result) == [CorrectionKind.ADOPTED] * 2
    assert result.positions == {BTC: D(1), SPY: D(-5)}
    assert result.cash == START
    assert not result.unexplained


def test_a_fill_explains_position_and_cash() -> None:
    bought = execution(fee=D("0.0015"), fee_currency="BTC")
    result = reconcile(believed(), reported(position(qty="0.9985"), executions=(bought,), cash="99900"))
    assert (result.executions, result.corrections, result.unexplained) == ((bought,), (), ())
    assert result.cash == 99_900


def test_guard_27_only_fills_change_the_books() -> None:
    """An exit that was sent, accepted, even reported filled, has changed nothing until its execution is there."""
    name = client_order_id(ACCOUNT, cycle_id(NOW, "manage"), BTC, Purpose.TARGET, 0)
    sent = order(Purpose.TARGET, side=OrderSide.SELL)
    result = reconcile(believed({BTC: D(1)}, live=frozenset({name})), reported(position(), looked_up={name: sent}))
    assert result.positions == {BTC: D(1)}
    assert result.cash == START


def test_executions_are_counted_once() -> None:
    one, two = execution("e1"), execution("e2", qty="2")
    result = reconcile(
        believed({BTC: D(1)}, execution_ids=frozenset({"e1"})),
        reported(position(qty="3"), executions=(one, two, two, one), cash="99800"),
    )
    assert result.executions == (two,)
    assert not result.unexplained
    assert not result.corrections


def test_what_is_left_out_is_never_read_as_flat() -> None:
    for told in (reported(), reported(position(ETH, "2"))):
        result = reconcile(believed({BTC: D(1), ETH: D(2)}), told)
        assert "BTC/USD: 0 at the venue, 1 by the books; no execution explains it" in result.doubt
        assert result.positions == {BTC: D(1), ETH: D(2)}
        assert result.lacks_units
        assert (result.executions, result.corrections) == ((), ())


def test_an_empty_answer_that_fills_explain_is_flat() -> None:
    sold = execution(side=OrderSide.SELL)
    result = reconcile(believed({BTC: D(1)}), reported(executions=(sold,), cash="100100"))
    assert (result.doubt, result.positions, result.executions) == ("", {}, (sold,))


def test_guard_07_a_position_that_nothing_explains_is_booked_when_a_person_says_so_only() -> None:
    first = reconcile(believed({BTC: D(1)}), reported(position(qty="1.5")))
    assert "1.5 at the venue, 1 by the books" in first.doubt
    assert (first.positions, first.corrections) == ({BTC: D(1)}, ())
    other = reconcile(believed({BTC: D(1)}), reported(position(qty="1.6")), accepted=first.key)
    assert other.unexplained, "that is not what they were asked about"
    second = reconcile(believed({BTC: D(1)}), reported(position(qty="1.5")), accepted=first.key)
    assert (second.doubt, second.positions) == ("", {BTC: D("1.5")})
    assert kinds(second) == [CorrectionKind.UNEXPLAINED]


def test_fills_elsewhere_are_booked_while_one_symbol_is_in_doubt_and_money_waits() -> None:
    sold = execution(symbol=ETH, side=OrderSide.SELL, qty="2")
    told = reported(executions=(sold,), cash="100200")
    result = reconcile(believed({BTC: D(1), ETH: D(2)}), told)
    assert (result.executions, result.positions) == ((sold,), {BTC: D(1)})
    assert result.cash == 100_200
    late = reconcile(believed({BTC: D(1)}), reported(cash="105000"))
    assert (late.cash, late.corrections) == (START, ()), "a sale that is told of late is no deposit"


def test_guard_32_money_that_vanishes_unexplained_is_not_booked_in_silence() -> None:
    result = reconcile(believed(), reported(cash="91121"))
    assert "91121.00 at the venue, 100000.00 by the books" in result.doubt
    assert (result.cash, result.lacks_units) == (START, False)
    assert result.booking().cash == 91_121
    assert kinds(result.booking()) == [CorrectionKind.UNEXPLAINED]


def test_small_change_and_money_that_comes_in_are_booked_with_a_word() -> None:
    small, large = CorrectionKind.CASH, CorrectionKind.DEPOSIT
    for cash, kind in (("99995", small), ("100000.02", small), ("150000", large)):
        result = reconcile(believed(), reported(cash=cash))
        assert kinds(result) == [kind]
        assert result.corrections[0].cash == D(cash) - START
        assert not result.unexplained


@pytest.mark.parametrize(
    ("cash", "equity"), [("1000000", "100000"), ("10000", "100000"), ("0", "99900"), ("-100000", "100000")]
)
def test_money_of_which_the_venues_own_equity_knows_nothing_is_a_persons_to_book(cash: str, equity: str) -> None:
    told = reported(cash=cash, equity=equity)
    result = reconcile(believed(), told)
    assert result.contradicts_itself
    assert not result.lacks_units
    assert (result.cash, result.corrections, result.transferred) == (START, (), 0)
    assert f"its own equity of {D(equity):.2f} knows nothing of it" in result.doubt
    taken = reconcile(believed(), told, accepted=result.key)
    assert (taken.cash, taken.unexplained, taken.transferred) == (D(cash), (), D(cash) - START)


def test_money_that_the_equity_shows_is_a_deposit_whatever_the_marks_did_meanwhile() -> None:
    for equity in ("105100", "105098", "105102", "120000"):  # the last: of something that is not counted here
        result = reconcile(believed({BTC: D(1)}), reported(position(), cash="105000", equity=equity))
        assert kinds(result) == [CorrectionKind.DEPOSIT], equity


def test_money_beside_a_fill_is_no_deposit_before_the_next_report() -> None:
    """The fill is in the positions already, and not in the account."""
    bought = execution(fee=D("0.0015"), fee_currency="BTC")
    result = reconcile(believed(), reported(position(qty="0.9985"), executions=(bought,)))
    assert "100000.00 at the venue, 99900.00 by the books" in result.doubt
    assert (result.executions, result.cash) == ((bought,), 99_900)
    after = reconcile(believed({BTC: D("0.9985")}, D(99_900)), reported(position(qty="0.9985")))
    assert (kinds(after), after.transferred) == ([CorrectionKind.DEPOSIT], 100)


def test_money_beside_units_that_nothing_explains_is_no_transfer() -> None:
    result = reconcile(believed({BTC: D(1)}), reported(position(qty="0.5"), cash="150000")).booking()
    assert (len(result.corrections), result.transferred) == (2, 0)
    assert reconcile(believed(), reported(cash="60000")).booking().transferred == -40_000


def test_small_money_beside_units_that_nothing_explains_waits_for_them_unsaid() -> None:
    """It may be a withdrawal that the price of a sale, told later, makes up for."""
    missing = reported(position(qty="2"), cash="99998.45")
    result = reconcile(believed({BTC: D(15)}), missing)
    assert (result.cash, kinds(result)) == (START, [])
    assert "cash" not in result.doubt
    assert reconcile(believed({BTC: D(2)}), missing).cash == D("99998.45")


def test_money_is_not_judged_where_the_account_could_not_be_read() -> None:
    assert reconcile(believed(), reported(cash="60000", has_cash=False)).doubt == ""


def test_a_difference_the_size_of_a_fee_is_a_fee_for_coins_only() -> None:
    result = reconcile(believed({BTC: D(1)}), reported(position(qty="0.9975")))
    assert kinds(result) == [CorrectionKind.FEE]
    assert result.corrections[0].qty == D("-0.0025")
    assert reconcile(believed({SPY: D(1000)}), reported(position(SPY, "999"))).doubt


def test_fees_explain_more_units_than_the_books_have_by_no_more_than_was_booked_as_fees() -> None:
    """A buy and a sale by hand, neither told of yet, leave a few units that are the size of a fee of all the rest."""
    bought = execution(qty="100", fee=D("0.25"), fee_currency="BTC")
    for found, explained in (("100", True), ("100.1", False)):
        result = reconcile(believed(), reported(position(qty=found), executions=(bought,), cash="90000"))
        assert (kinds(result) == [CorrectionKind.FEE], result.lacks_units) == (explained, not explained)
    posted = believed({BTC: D("99.75")}, estimates={"BTC": D("0.25")})
    assert kinds(reconcile(posted, reported(position(qty="100")))) == [CorrectionKind.FEE]
    assert reconcile(believed({BTC: D("99.75")}), reported(position(qty="100"))).lacks_units


def test_units_that_were_in_doubt_are_not_explained_by_their_likeness_to_a_fee() -> None:
    """Sales that are not told of yet leave of a purchase, not told of either, what a fee of all the rest might be."""
    holding = believed({BTC: D(192)}, estimates={"BTC": D("0.48")})
    less, cheaper = reported(position(qty="191")), reported(position(qty="192.2"))
    assert kinds(reconcile(holding, less)) == [CorrectionKind.FEE]
    doubting = replace(holding, doubted=frozenset({BTC}))
    assert reconcile(doubting, less).lacks_units
    assert kinds(reconcile(doubting, cheaper)) == [CorrectionKind.FEE]


def test_fills_that_the_positions_do_not_show_yet_are_booked_and_waited_for() -> None:
    bought = execution(qty="1")
    result = reconcile(believed({BTC: D(1)}), reported(position(qty="1"), executions=(bought,), cash="99900"))
    assert (result.executions, result.positions) == ((bought,), {BTC: D(2)})
    assert result.doubt
    assert reconcile(believed({BTC: D(2)}, D(99_900)), reported(position(qty="2"), cash="99900")).doubt == ""


def shown(qty: str = "1", **more: object) -> Filled:
    return Filled(symbol=BTC, sign=1, ids=("o",), least=D(qty), most=D(qty), **more)  # type: ignore[arg-type]


def test_what_an_order_shows_as_filled_explains_a_position_until_its_execution_is_told() -> None:
    late = reported(position(qty="0.9975"), cash="99900", filled=(shown(),))
    result = reconcile(believed(), late)
    assert (result.doubt, result.positions, result.cash) == ("", {}, START)
    assert result.awaited == {BTC: NOTHING.plus(D(1), D(1))}
    booked = reconcile(believed(filled={"o": D(1)}), late)
    assert booked.doubt, "that was told of already: it explains nothing more"
    told = execution(order_id="o", fee=D("0.0025"), fee_currency="BTC")
    after = reconcile(believed(), reported(position(qty="0.9975"), executions=(told,), cash="99900", filled=(shown(),)))
    assert (after.doubt, after.awaited, after.positions) == ("", {}, {BTC: D("0.9975")})


def test_an_order_by_hand_is_left_alone() -> None:
    hand = order(None, side=OrderSide.SELL, name="hand")
    filled = execution(order_id="hand", side=OrderSide.SELL, qty="0.4")
    result = reconcile(
        believed({BTC: D(1)}),
        reported(position(qty="0.6"), executions=(filled,), orders=(hand,), cash="100040"),
    )
    assert result.external == (hand,)
    assert kinds(result) == [CorrectionKind.EXTERNAL_FILL]
    assert result.positions == {BTC: D("0.6")}
    assert not result.unexplained


def test_orders_that_were_live_and_are_not_open_are_to_be_asked_for() -> None:
    mine = order()
    result = reconcile(
        believed(live=frozenset({mine.client_order_id, "trd-gone", "trd-answered"})),
        reported(orders=(mine,), looked_up={"trd-answered": None}),
    )
    assert result.lost == ("trd-gone",)


def test_an_order_of_ours_that_the_journal_does_not_know_is_named() -> None:
    assert kinds(reconcile(believed(), reported(orders=(order(),)))) == [CorrectionKind.OUR_ORDER]


FILLS = st.lists(
    st.tuples(st.sampled_from([BTC, ETH, SPY]), st.sampled_from(OrderSide), st.integers(1, 50), st.integers(1, 500)),
    max_size=8,
)


@given(FILLS, st.lists(st.integers(0, 7), max_size=12), st.integers(0, 8))
def test_any_fills_repeated_in_any_order_end_in_the_same_books(
    raw: list[tuple[Symbol, OrderSide, int, int]], repeats: list[int], known: int
) -> None:
    fills = [execution(f"e{i}", s, side, str(qty), str(price)) for i, (s, side, qty, price) in enumerate(raw)]
    before: dict[Symbol, Decimal] = {}
    cash = START
    for fill in fills[:known]:
        before[fill.symbol] = before.get(fill.symbol, D(0)) + units_of(fill)
        cash += cash_of(fill, "USD")
    after, cash_after = dict(before), cash
    for fill in fills[known:]:
        after[fill.symbol] = after.get(fill.symbol, D(0)) + units_of(fill)
        cash_after += cash_of(fill, "USD")
    told = tuple([fills[i] for i in repeats if i < len(fills)] + fills)
    result = reconcile(
        believed(before, cash, execution_ids=frozenset(fill.id for fill in fills[:known])),
        reported(*(position(s, str(q)) for s, q in after.items()), executions=told, cash=str(cash_after)),
    )
    assert (result.doubt, result.unexplained, result.corrections) == ("", (), ())
    assert {fill.id for fill in result.executions} == {fill.id for fill in fills[known:]}
    assert result.positions == {symbol: qty for symbol, qty in after.items() if qty}
    again = reconcile(
        believed(dict(result.positions), result.cash, execution_ids=frozenset(fill.id for fill in fills)),
        reported(*(position(s, str(q)) for s, q in after.items()), executions=told, cash=str(cash_after)),
    )
    assert (again.executions, again.corrections, again.doubt) == ((), (), "")


@pytest.mark.parametrize("count", [0, 1, 5])
def test_new_executions_are_oldest_first(count: int) -> None:
    fills = [execution(f"e{i}") for i in range(count)]
    assert new_executions(frozenset(), list(reversed(fills))) == tuple(fills)
