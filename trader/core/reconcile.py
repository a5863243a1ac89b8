"""What we believe against what the venue reports. Start-up, crash recovery and every cycle are this same step.

Executions are facts: each is booked once, whatever else is odd. What they, the orders and the fees leave unexplained is
never booked in silence, and never by itself: it is asked for again, and then a person is asked. None of it keeps a
position from being protected (`unbooked.to_protect`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from trader.core.equity import CASH_ROUNDING, CASH_SHARE, denies
from trader.core.fills import cash_of, new_executions, units_of
from trader.core.portfolio import is_ours
from trader.core.postings import CENT, SPLITS, Posting, explaining
from trader.core.types import ZERO, Execution, Order, OrderSide, Portfolio, Symbol
from trader.core.unbooked import FEE_SHARE, NEGLIGIBLE, NOTHING, Filled, Span, fee_room, unbooked
from trader.core.values import maker, quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """From the journal.

    positions      signed units, net of fees taken in the coin; None where nothing was ever booked (a first start)
    live           client order ids of our intents that may be open at the venue (sent, unknown, accepted)
    execution_ids  all that are booked already (those in the overlap suffice)
    cash           None where nothing was ever booked
    filled         units of the booked executions, by order id (those of live intents suffice)
    estimates      what was lately booked as fees by our own schedule, by the currency or coin of each: the venue may
                   take, and post, another amount, later
    doubted        symbols whose units nothing explained in the last report: no mere likeness to a fee explains them now
    """

    positions: Mapping[Symbol, Decimal] | None
    live: frozenset[str] = frozenset()
    execution_ids: frozenset[str] = frozenset()
    cash: Decimal | None = None
    filled: Mapping[str, Decimal] = field(default_factory=dict)
    estimates: Mapping[str, Decimal] = field(default_factory=dict)
    doubted: frozenset[Symbol] = frozenset()


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """From the venue. `looked_up`: answers by client order id, None where the venue does not know it.

    Executions are to be read after the positions, so that they cover whatever the positions show.

    filled      what each live order of ours has done by the orders themselves, or could have where it can't be seen
    has_cash    whether the account was read in this report
    postings    activities beside the fills that are not in the books, but fees that have found their fill
    """

    portfolio: Portfolio
    executions: tuple[Execution, ...] = ()
    looked_up: Mapping[str, Order | None] = field(default_factory=dict)
    filled: tuple[Filled, ...] = ()
    has_cash: bool = True
    postings: tuple[Posting, ...] = ()


class CorrectionKind(StrEnum):
    ADOPTED = "adopted"  # a position that was there at the first start
    FEE = "fee"  # a difference that fees explain
    EXTERNAL_FILL = "external_fill"  # an execution of an order that is not ours
    OUR_ORDER = "our_order"  # open at the venue, ours by its id, and not live in our books
    CASH = "cash"  # a small difference
    DEPOSIT = "deposit"  # money that came in
    CONTRADICTED = "contradicted"  # money that the venue's own equity says is not there: a person is asked
    POSTED = "posted"  # what an activity of the venue explains
    UNEXPLAINED = "unexplained"  # with a halt


_MOST_ABOVE = Decimal("0.2")  # our schedule's dearest rate is 0.25%, and FEE_SHARE 0.3%
_WAITING = (CorrectionKind.UNEXPLAINED, CorrectionKind.CONTRADICTED)  # never booked by itself
_UNCLEAR = (*_WAITING, CorrectionKind.DEPOSIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """`qty` and `cash`: by how much the books change beyond the executions. `posting`: the activity that says why."""

    kind: CorrectionKind
    symbol: Symbol | None
    detail: str
    qty: Decimal = ZERO
    cash: Decimal = ZERO
    posting: Posting | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What to book, what to say, and whether to go on.

    positions, cash  to be believed from now on: what is unexplained is not in them
    executions       new ones, each once, oldest first
    corrections      to be booked beside them
    external         open orders that are not ours: never cancelled, counted as exposure
    lost             client order ids to ask the venue for, then reconcile again with the answers
    unexplained      differences that are not booked; while there are any no entry is made
    doubt, key       the same in words, and as what a person accepts: it stays while other symbols trade
    awaited          units of our orders' fills that no execution tells of yet: nothing is wrong
    """

    positions: Mapping[Symbol, Decimal]
    cash: Decimal | None
    executions: tuple[Execution, ...] = ()
    corrections: tuple[Correction, ...] = ()
    external: tuple[Order, ...] = ()
    lost: tuple[str, ...] = ()
    unexplained: tuple[Correction, ...] = ()
    doubt: str = ""
    key: str = ""
    awaited: Mapping[Symbol, Span] = field(default_factory=dict)

    @property
    def lacks_units(self) -> bool:
        """Whether a position is in doubt, and not money alone."""
        return any(each.symbol is not None for each in self.unexplained)

    @property
    def contradicts_itself(self) -> bool:
        """Whether money differs of which the venue's own equity knows nothing."""
        return any(each.kind is CorrectionKind.CONTRADICTED for each in self.unexplained)

    def booking(self, symbols: Collection[Symbol] | None = None) -> Reconciliation:
        """The same with what was unexplained to be booked: all of it, or that of `symbols`."""
        choice = [c for c in self.unexplained if symbols is None or c.symbol in symbols]
        positions = dict(self.positions)
        for correction in choice:
            if correction.symbol is not None:
                positions[correction.symbol] = positions.get(correction.symbol, ZERO) + correction.qty
        return replace(
            self,
            positions=positions,
            cash=None if self.cash is None else self.cash + sum([c.cash for c in choice], ZERO),
            corrections=(*choice, *self.corrections),
            unexplained=tuple(c for c in self.unexplained if c not in choice),
        )

    @property
    def transferred(self) -> Decimal:
        """Money that nothing explains, which came in or went out (negative): neither won nor lost. Zero where units
        are missing too, since then it was a trade."""
        unclear = [each for each in self.corrections if each.kind in _UNCLEAR]
        return ZERO if any(each.symbol for each in unclear) else sum((each.cash for each in unclear), ZERO)

    @property
    def posted(self) -> tuple[Correction, ...]:
        return tuple(each for each in self.corrections if each.kind is CorrectionKind.POSTED)

    @property
    def asks_why(self) -> bool:
        """Whether money or units differ by more than the activities of this report say."""
        kinds = (CorrectionKind.DEPOSIT, CorrectionKind.CASH)
        return bool(self.unexplained) or any(each.kind in kinds for each in self.corrections)


_new_reconciliation = maker(Reconciliation)


def reconcile(believed: Believed, reported: Reported, *, accepted: str = "") -> Reconciliation:
    """Money is judged only where all units are explained: a trade whose execution is late would be a deposit. Money
    beside new fills waits for the next report: it may be what a fill has not been charged for yet.

    `accepted`: the `key` of an earlier report to book all the same: a person has taken the venue's word for it."""
    executions = new_executions(believed.execution_ids, reported.executions)
    positions = reported.portfolio.positions
    holdings = {symbol: positions[symbol].qty for symbol in sorted(positions) if positions[symbol].qty}
    cash = reported.portfolio.account.cash if reported.has_cash else None
    external, notices, lost_ids = _orders(believed, reported, executions)
    if believed.positions is None:
        adoptions = [_adopted(symbol, qty) for symbol, qty in holdings.items()]
        return _new_reconciliation(
            positions=holdings,
            cash=cash,
            executions=executions,
            corrections=(*adoptions, *notices),
            external=external,
            lost=lost_ids,
        )
    if not (executions or cash != believed.cash or holdings != believed.positions or reported.filled):
        return _new_reconciliation(
            positions=holdings, cash=cash, corrections=tuple(notices), external=external, lost=lost_ids
        )
    at_rest = not (executions or reported.filled or reported.postings) and holdings == believed.positions
    if at_rest and cash is not None and believed.cash is not None and abs(cash - believed.cash) < CENT:
        return _new_reconciliation(  # cash that is told in cents: what all of the below would come to
            positions={symbol: believed.positions[symbol] for symbol in holdings},
            cash=believed.cash + ZERO,
            corrections=tuple(notices),
            external=external,
            lost=lost_ids,
        )
    spans = unbooked(reported.filled, believed.filled, executions)
    units = _positions(believed, holdings, executions, spans, reported.postings)
    money = [] if spans or cash is None else _cash(believed, reported.portfolio, executions, reported.postings)
    open_units = [c for c in units if c.kind is CorrectionKind.UNEXPLAINED]
    early = bool(open_units or executions)
    waits = [c for c in money if c.kind in _WAITING or (early and _is_large(c))]
    doubts = [*open_units, *waits]
    key = "; ".join(f"{c.symbol or 'cash'} {c.qty or c.cash.to_integral_value():f}" for c in doubts)
    if key and key == accepted:
        doubts, key = [], ""
    # small beside missing units may be a withdrawal that the price of a sale makes up for: it waits, unsaid
    left_open = [*doubts, *([c for c in money if c.kind is CorrectionKind.CASH] if open_units else [])]
    bookings = [c for c in (*units, *money) if c not in left_open]
    return _new_reconciliation(
        positions=_after(believed.positions, executions, bookings),
        cash=_cash_after(believed.cash, reported.portfolio.account.currency, executions, bookings),
        executions=executions,
        corrections=(*bookings, *notices),
        external=external,
        lost=lost_ids,
        unexplained=tuple(doubts),
        doubt="; ".join(c.detail for c in doubts),
        key=key,
        awaited=spans,
    )


def _is_large(money: Correction) -> bool:
    return money.kind not in (CorrectionKind.CASH, CorrectionKind.POSTED)


def _after(
    units_before: Mapping[Symbol, Decimal], executions: Sequence[Execution], bookings: Sequence[Correction]
) -> dict[Symbol, Decimal]:
    units = dict(units_before)
    for execution in executions:
        units[execution.symbol] = units.get(execution.symbol, ZERO) + units_of(execution)
    for correction in bookings:
        if correction.symbol is not None:
            units[correction.symbol] = units.get(correction.symbol, ZERO) + correction.qty
    return {symbol: units[symbol] for symbol in sorted(units) if units[symbol]}


def _cash_after(
    cash_before: Decimal | None, currency: str, executions: Sequence[Execution], bookings: Sequence[Correction]
) -> Decimal | None:
    if cash_before is None:
        return None
    proceeds = sum([cash_of(execution, currency) for execution in executions], ZERO)
    return cash_before + proceeds + sum([c.cash for c in bookings], ZERO)


# ---- orders ----


def _orders(
    believed: Believed, reported: Reported, executions: Sequence[Execution]
) -> tuple[tuple[Order, ...], tuple[Correction, ...], tuple[str, ...]]:
    account, orders = reported.portfolio.account.id, reported.portfolio.orders
    own_orders = [order for order in orders if is_ours(order, account)]
    external = () if len(own_orders) == len(orders) else tuple(order for order in orders if order not in own_orders)
    surprises = [
        Correction(
            kind=CorrectionKind.OUR_ORDER,
            symbol=order.symbol,
            detail=f"{order.client_order_id} is open at the venue, and not live in the journal",
        )
        for order in own_orders
        if order.client_order_id not in believed.live
    ]
    foreign = {order.id for order in external}
    fills = [
        Correction(
            kind=CorrectionKind.EXTERNAL_FILL,
            symbol=execution.symbol,
            detail=f"{execution.side} {execution.qty} at {execution.price}, of an order that is not ours",
        )
        for execution in executions
        if execution.order_id in foreign
    ]
    lost_ids = believed.live - {order.client_order_id for order in orders} - reported.looked_up.keys()
    return external, (*surprises, *fills), tuple(sorted(lost_ids))


def _adopted(symbol: Symbol, qty: Decimal) -> Correction:
    return Correction(kind=CorrectionKind.ADOPTED, symbol=symbol, detail=f"{qty} was held at the start", qty=qty)


# ---- positions ----


def _positions(
    believed: Believed,
    holdings: Mapping[Symbol, Decimal],
    executions: Sequence[Execution],
    spans: Mapping[Symbol, Span],
    postings: Sequence[Posting],
) -> list[Correction]:
    """Differences by symbol, but those that fills of our orders explain which are still to be told of."""
    corrections: list[Correction] = []
    units = believed.positions or {}
    for symbol in sorted({*units, *holdings, *(execution.symbol for execution in executions), *spans}):
        old_units, venue_units = units.get(symbol, ZERO), holdings.get(symbol, ZERO)
        fills = [execution for execution in executions if execution.symbol == symbol]
        book_units = old_units + sum([units_of(execution) for execution in fills], ZERO)
        difference, span = venue_units - book_units, spans.get(symbol)
        if abs(difference) <= NEGLIGIBLE:
            continue
        purchases = sum((execution.qty for execution in fills if execution.side is OrderSide.BUY), ZERO)
        estimated = believed.estimates.get(symbol.base, ZERO)
        room = fee_room(symbol, abs(old_units) + purchases) + estimated
        if span is not None and _reaches(span, difference, max(NEGLIGIBLE, room + fee_room(symbol, span.high))):
            continue
        # the levels of a position that was split are in the old units: that is for a person to look at
        moving = [posting for posting in postings if posting.symbol == symbol and posting.kind not in SPLITS]
        why = explaining(difference, moving, lambda posting: posting.qty, NEGLIGIBLE)
        if why:
            corrections += [_posted(posting, qty=posting.qty) for posting in why]
            continue
        # fees give nothing: there is more than we think by no more than what was booked as fees
        fees = sum((each.side.sign * each.qty - units_of(each) for each in fills), estimated)
        most = _MOST_ABOVE * fees if symbol in believed.doubted else room
        is_fee = -most <= difference <= min(room, fees)
        kind = CorrectionKind.FEE if is_fee else CorrectionKind.UNEXPLAINED
        detail = f"{symbol}: {venue_units} at the venue, {book_units} by the books"
        if kind is CorrectionKind.UNEXPLAINED:
            detail += "; no execution explains it"
        corrections.append(Correction(kind=kind, symbol=symbol, detail=detail, qty=difference))
    return corrections


def _reaches(span: Span, difference: Decimal, room: Decimal) -> bool:
    """From nothing, where the list of positions is behind, too, to all of it."""
    return NOTHING.plus(min(span.low, ZERO), max(span.high, ZERO)).covers(difference, room)


# ---- cash ----


def _posted(posting: Posting, *, qty: Decimal = ZERO, cash: Decimal = ZERO) -> Correction:
    symbol = posting.symbol if qty else None
    return Correction(
        kind=CorrectionKind.POSTED, symbol=symbol, detail=posting.told, qty=qty, cash=cash, posting=posting
    )


def _cash(
    believed: Believed, portfolio: Portfolio, executions: Sequence[Execution], postings: Sequence[Posting]
) -> list[Correction]:
    if believed.cash is None:
        return []
    account = portfolio.account
    book_cash = believed.cash + sum([cash_of(execution, account.currency) for execution in executions], ZERO)
    difference = account.cash - book_cash
    if abs(difference) < CENT:
        return []
    small = CASH_ROUNDING + CASH_SHARE * abs(account.equity)
    why = _why(difference, postings, small)
    corrections = [_posted(posting, cash=posting.cash) for posting in why]
    difference -= sum([posting.cash for posting in why], ZERO)
    if abs(difference) < CENT:
        return corrections
    turnover = sum((execution.qty * execution.price for execution in executions), ZERO)
    room = small + FEE_SHARE * turnover
    detail = f"cash: {account.cash:.2f} at the venue, {account.cash - difference:.2f} by the books"
    if abs(difference) > room and denies(portfolio, difference):
        detail += f"; its own equity of {account.equity:.2f} knows nothing of it"
        return [*corrections, Correction(kind=CorrectionKind.CONTRADICTED, symbol=None, detail=detail, cash=difference)]
    if difference < -room - believed.estimates.get(account.currency, ZERO):
        detail += "; no execution explains it"
        return [*corrections, Correction(kind=CorrectionKind.UNEXPLAINED, symbol=None, detail=detail, cash=difference)]
    purchases = sum((e.qty * e.price for e in executions if e.side is OrderSide.BUY), ZERO)
    # what a coin's buy costs in fees is taken in the coin: in cash it explains nothing
    kind = CorrectionKind.DEPOSIT if difference > room - FEE_SHARE * purchases else CorrectionKind.CASH
    return [*corrections, Correction(kind=kind, symbol=None, detail=detail, cash=difference)]


def _why(difference: Decimal, postings: Sequence[Posting], small: Decimal) -> tuple[Posting, ...]:
    """To the cent, or else with what is small left over."""
    exactly = explaining(difference, postings, lambda each: each.cash, CENT)
    if exactly or abs(difference) <= small:
        return exactly
    return explaining(difference, postings, lambda each: each.cash, small)
