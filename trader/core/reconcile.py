"""What we believe against what the venue reports. Start-up, crash recovery and every cycle are this same step.

The venue's report is the truth unless it contradicts itself; what no execution and no fee explains is never booked in
silence: it is asked for again, and then it is a reason to stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from trader.core.portfolio import is_ours
from trader.core.types import ZERO, AssetClass, Execution, Order, OrderSide, Portfolio, Symbol
from trader.core.values import maker, quick

NEGLIGIBLE = Decimal("0.00000001")  # units; the venue keeps nine decimals
FEE_SHARE = Decimal("0.003")  # no fill costs more of its value than this; a fee may be posted after its fill
CASH_ROUNDING = Decimal(1)  # account currency: regulatory fees, cents
CASH_SHARE = Decimal("0.0001")  # of equity: interest


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """From the journal.

    positions      signed units, net of fees taken in the coin; None where nothing was ever booked (a first start)
    live           client order ids of our intents that may be open at the venue (sent, unknown, accepted)
    execution_ids  all that are booked already (those in the overlap suffice)
    cash           None where nothing was ever booked
    """

    positions: Mapping[Symbol, Decimal] | None
    live: frozenset[str] = frozenset()
    execution_ids: frozenset[str] = frozenset()
    cash: Decimal | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """From the venue. `looked_up`: answers by client order id, None where the venue does not know it.

    Executions are to be read after the positions, so that they cover whatever the positions show.
    """

    portfolio: Portfolio
    executions: tuple[Execution, ...] = ()
    looked_up: Mapping[str, Order | None] = field(default_factory=dict)


class CorrectionKind(StrEnum):
    ADOPTED = "adopted"  # a position that was there at the first start
    FEE = "fee"  # a difference that fees explain
    EXTERNAL_FILL = "external_fill"  # an execution of an order that is not ours
    OUR_ORDER = "our_order"  # open at the venue, ours by its id, and not live in our books
    CASH = "cash"  # a small difference
    DEPOSIT = "deposit"  # money that came in
    UNEXPLAINED = "unexplained"  # with a halt


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """`qty` and `cash`: by how much the books change beyond the executions."""

    kind: CorrectionKind
    symbol: Symbol | None
    detail: str
    qty: Decimal = ZERO
    cash: Decimal = ZERO


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What to book, what to say, and whether to go on.

    positions, cash  to be believed from now on (as before where `suspect`)
    executions       new ones, each once, oldest first (none where `suspect`)
    external         open orders that are not ours: never cancelled, counted as exposure
    lost             client order ids to ask the venue for, then reconcile again with the answers
    suspect          the report may be wrong: ask again, trade nothing until it is resolved; "" if sound
    vanished         where all positions are gone and no execution explains it: which, and what cash there is then
    halts            reasons to stop for a person
    """

    positions: Mapping[Symbol, Decimal]
    cash: Decimal | None
    executions: tuple[Execution, ...] = ()
    corrections: tuple[Correction, ...] = ()
    external: tuple[Order, ...] = ()
    lost: tuple[str, ...] = ()
    suspect: str = ""
    vanished: str = ""
    halts: tuple[str, ...] = ()

    @property
    def transferred(self) -> Decimal:
        """Money that came in or went out (negative): neither won nor lost. Zero where units are missing too, since
        then it was a trade."""
        unclear = [
            each for each in self.corrections if each.kind in (CorrectionKind.DEPOSIT, CorrectionKind.UNEXPLAINED)
        ]
        return ZERO if any(each.symbol for each in unclear) else sum((each.cash for each in unclear), ZERO)


_new_reconciliation = maker(Reconciliation)


def reconcile(believed: Believed, reported: Reported, *, confirmed: bool = False, accepted: str = "") -> Reconciliation:
    """`confirmed`: this is a second, separate report after a suspect one. An unexplained difference is suspect in
    the first (positions and fills are not read in one instant) and a halt in the second. An empty positions answer
    that no execution explains stays suspect: it is never read as flat. So do fills that the positions do not show yet.
    Money beside new fills is suspect in the first report, too: it may be what a fill has not been charged for yet.
    `accepted`: what of `vanished` a person has looked at and taken the venue's word for.
    """
    executions = new_executions(believed.execution_ids, reported.executions)
    positions = reported.portfolio.positions
    held = {symbol: positions[symbol].qty for symbol in sorted(positions) if positions[symbol].qty}
    cash = reported.portfolio.account.cash
    external, corrections, lost = _orders(believed, reported, executions)
    if believed.positions is None:
        adopted = [_adopted(symbol, qty) for symbol, qty in held.items()]
        return _new_reconciliation(
            positions=held,
            cash=cash,
            executions=executions,
            corrections=(*adopted, *corrections),
            external=external,
            lost=lost,
        )
    differences, behind = list[Correction](), list[Symbol]()
    if executions or cash != believed.cash or held != believed.positions:
        differences, behind = _positions(believed.positions, held, executions)
        differences += _cash(believed.cash, reported.portfolio, executions)
    unexplained = [correction for correction in differences if correction.kind is CorrectionKind.UNEXPLAINED]
    if executions and not confirmed:
        unexplained += [correction for correction in differences if correction.kind is CorrectionKind.DEPOSIT]
    vanished = _vanished(held, unexplained, cash)
    if vanished and vanished == accepted and confirmed:
        unexplained = []  # booked as corrections all the same
    suspect = _suspicion(held, unexplained, behind, confirmed)
    if suspect:
        return _new_reconciliation(
            positions=believed.positions,
            cash=believed.cash,
            external=external,
            lost=lost,
            suspect=suspect,
            vanished=vanished,
        )
    return _new_reconciliation(
        positions=held,
        cash=cash,
        executions=executions,
        corrections=(*differences, *corrections),
        external=external,
        lost=lost,
        halts=tuple(correction.detail for correction in unexplained),
    )


def new_executions(known: frozenset[str], executions: Sequence[Execution]) -> tuple[Execution, ...]:
    """Each execution id once, those in `known` not at all; oldest first."""
    if not executions:
        return ()
    unique = {execution.id: execution for execution in reversed(executions) if execution.id not in known}
    return tuple(sorted(unique.values(), key=lambda execution: (execution.at, execution.id)))


def units_of(execution: Execution) -> Decimal:
    """By how much it changes the position: signed, net of a fee taken in the coin."""
    fee = execution.fee if execution.fee_currency == execution.symbol.base else ZERO
    return execution.side.sign * execution.qty - fee


def cash_of(execution: Execution, currency: str) -> Decimal:
    """By how much it changes the cash, net of a fee taken in `currency`."""
    fee = execution.fee if execution.fee_currency == currency else ZERO
    return -execution.side.sign * execution.qty * execution.price - fee


# ---- orders ----


def _orders(
    believed: Believed, reported: Reported, executions: Sequence[Execution]
) -> tuple[tuple[Order, ...], tuple[Correction, ...], tuple[str, ...]]:
    account, orders = reported.portfolio.account.id, reported.portfolio.orders
    ours = [order for order in orders if is_ours(order, account)]
    external = () if len(ours) == len(orders) else tuple(order for order in orders if order not in ours)
    surprises = [
        Correction(
            kind=CorrectionKind.OUR_ORDER,
            symbol=order.symbol,
            detail=f"{order.client_order_id} is open at the venue, and not live in the journal",
        )
        for order in ours
        if order.client_order_id not in believed.live
    ]
    foreign = {order.id for order in external}
    fills = (
        []
        if not external
        else [
            Correction(
                kind=CorrectionKind.EXTERNAL_FILL,
                symbol=execution.symbol,
                detail=f"{execution.side} {execution.qty} at {execution.price}, of an order that is not ours",
            )
            for execution in executions
            if execution.order_id in foreign
        ]
    )
    lost = believed.live - {order.client_order_id for order in orders} - reported.looked_up.keys()
    return external, (*surprises, *fills), tuple(sorted(lost))


def _adopted(symbol: Symbol, qty: Decimal) -> Correction:
    return Correction(kind=CorrectionKind.ADOPTED, symbol=symbol, detail=f"{qty} was held at the start", qty=qty)


# ---- positions ----


def _positions(
    believed: Mapping[Symbol, Decimal], held: Mapping[Symbol, Decimal], executions: Sequence[Execution]
) -> tuple[list[Correction], list[Symbol]]:
    """Differences by symbol, and the symbols whose positions do not show the newest fills yet."""
    corrections: list[Correction] = []
    behind: list[Symbol] = []
    for symbol in sorted({*believed, *held, *(execution.symbol for execution in executions)}):
        before, now = believed.get(symbol, ZERO), held.get(symbol, ZERO)
        fills = [execution for execution in executions if execution.symbol == symbol]
        expected = before + sum([units_of(execution) for execution in fills], ZERO)
        difference = now - expected
        if abs(difference) <= NEGLIGIBLE:
            continue
        detail = f"{symbol}: {now} at the venue, {expected} by the books"
        if abs(difference) <= _fee_room(symbol, before, fills):
            kind = CorrectionKind.FEE
        else:
            kind = CorrectionKind.UNEXPLAINED
            detail += f" ({len(fills)} new fills); no execution explains it"
            if _lags(before, now, fills):
                behind.append(symbol)
        corrections.append(Correction(kind=kind, symbol=symbol, detail=detail, qty=difference))
    return corrections, behind


def _fee_room(symbol: Symbol, before: Decimal, fills: Sequence[Execution]) -> Decimal:
    """Units that fees in the coin can explain: they may be posted after the fill, or differ from our estimate."""
    if symbol.asset_class is AssetClass.STOCK:
        return ZERO
    bought = sum((execution.qty for execution in fills if execution.side is OrderSide.BUY), ZERO)
    return FEE_SHARE * (abs(before) + bought)


def _lags(before: Decimal, now: Decimal, fills: Sequence[Execution]) -> bool:
    """Whether the position is what it was before the newest of the fills: it was read a moment too early."""
    shown = before
    for execution in fills:
        room = max(NEGLIGIBLE, _fee_room(execution.symbol, before, fills))
        if abs(now - shown) <= room:
            return True
        shown += units_of(execution)
    return False


# ---- cash ----


def _cash(believed: Decimal | None, portfolio: Portfolio, executions: Sequence[Execution]) -> list[Correction]:
    if believed is None:
        return []
    account = portfolio.account
    expected = believed + sum([cash_of(execution, account.currency) for execution in executions], ZERO)
    difference = account.cash - expected
    if abs(difference) < Decimal("0.005"):
        return []
    traded = sum((execution.qty * execution.price for execution in executions), ZERO)
    room = CASH_ROUNDING + CASH_SHARE * abs(account.equity) + FEE_SHARE * traded
    detail = f"cash: {account.cash:.2f} at the venue, {expected:.2f} by the books"
    if difference < -room:
        detail += "; no execution explains it"
        return [Correction(kind=CorrectionKind.UNEXPLAINED, symbol=None, detail=detail, cash=difference)]
    bought = sum((each.qty * each.price for each in executions if each.side is OrderSide.BUY), ZERO)
    # what a coin's buy costs in fees is taken in the coin: in cash it explains nothing
    kind = CorrectionKind.DEPOSIT if difference > room - FEE_SHARE * bought else CorrectionKind.CASH
    return [Correction(kind=kind, symbol=None, detail=detail, cash=difference)]


# ---- judgement ----


def _vanished(held: Mapping[Symbol, Decimal], unexplained: Sequence[Correction], cash: Decimal) -> str:
    missing = [] if held else [correction.detail for correction in unexplained if correction.symbol is not None]
    return "; ".join([*missing, f"cash is {cash}"]) if missing else ""


def _suspicion(
    held: Mapping[Symbol, Decimal], unexplained: Sequence[Correction], behind: Sequence[Symbol], confirmed: bool
) -> str:
    missing = [correction for correction in unexplained if correction.symbol is not None]
    if missing and not held:
        return f"no positions at all in the venue's answer, and no execution explains it ({missing[0].detail})"
    if behind:
        return f"fills that the positions do not show yet: {', '.join(str(symbol) for symbol in behind)}"
    if unexplained and not confirmed:
        return unexplained[0].detail
    return ""
