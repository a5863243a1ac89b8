"""The Journal port in memory: for a run in process that nobody resumes. It keeps what a report and a test ask for.

What it answers is what the journal on disk answers, but for the status row and people's commands, which it has not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from trader.adapters.journal.records import Alert, BookedPosting, Correction, CycleRecord, EquityPoint, IntentRecord
from trader.adapters.journal.rows import CASH, CLAIMABLE, TRANSFER, book_changes, total
from trader.core.decision import DecisionInputs, Levels, Plan
from trader.core.equity import Counted
from trader.core.postings import Posting
from trader.core.types import ZERO, Execution, Order, OrderIntent, Portfolio, Purpose, Symbol
from trader.core.values import maker
from trader.trading.ports import PendingCommand

_new_cycle_record = maker(CycleRecord)
_new_intent_record = maker(IntentRecord)
_new_equity_point = maker(EquityPoint)
_OVER = frozenset({"rejected", "done"})
_PLANNED = "planned"
_UNCOUNTED = Counted(equity=None, moved=ZERO, doubtful=False)


@dataclass(frozen=True, slots=True)
class Books:
    """Units by symbol, flat ones absent, and cash since the beginning."""

    positions: Mapping[Symbol, Decimal]
    cash: Decimal


class MemoryJournal:
    """`on_plan` is told of each decision: (cycle id, what went in, what came out).

    Public are the things that happened, oldest first: `orders` by id as last seen, `all_intents` by client order id,
    `fills`, `points` (equity, at most one a minute), `alerts`, `corrections`, `cycles` by id, `denials` by rule, and
    when each rule said no for the first time, `denied_since`.
    """

    def __init__(self, on_plan: Callable[[str, DecisionInputs, Plan], None] = lambda name, inputs, plan: None) -> None:
        self.orders: dict[str, Order] = {}
        self.all_intents: dict[str, IntentRecord] = {}
        self.fills: list[Execution] = []
        self.points: list[EquityPoint] = []
        self.alerts: list[Alert] = []
        self.corrections: list[Correction] = []
        self.cycles: dict[str, CycleRecord] = {}
        self.denials: Counter[str] = Counter()
        self.denied_since: dict[str, datetime] = {}
        self._on_plan = on_plan
        self._live: dict[str, IntentRecord] = {}
        self._known: dict[str, int] = {}  # place in `fills`, by execution id
        self._times: list[datetime] = []  # of `fills`
        self._sums: dict[str, Decimal] = {}
        self._believed: Books | None = None
        self._postings: dict[str, BookedPosting] = {}
        self._moved = ZERO
        self._levels: dict[Symbol, Levels] = {}
        self._attempts: Counter[tuple[str, Symbol, Purpose]] = Counter()
        self._flags: dict[str, str] = {}
        self._meta: dict[str, str] = {}

    # ---- cycles and decisions ----

    def begin_cycle(self, cycle_id: str, kind: str, at: datetime) -> None:
        self.cycles[cycle_id] = _new_cycle_record(cycle_id=cycle_id, kind=kind, opened_at=at)

    def close_cycle(
        self, cycle_id: str, at: datetime, outcome: str, note: str = "", timings: Mapping[str, float] | None = None
    ) -> None:
        begun = self.cycles[cycle_id]
        self.cycles[cycle_id] = _new_cycle_record(
            cycle_id=cycle_id, kind=begun.kind, opened_at=begun.opened_at, closed_at=at, outcome=outcome, note=note
        )

    def cycle(self, cycle_id: str) -> CycleRecord | None:
        return self.cycles.get(cycle_id)

    def save_plan(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        self.add_intents(cycle_id, plan.intents, inputs.now)
        self._levels.update((each.symbol, each) for each in plan.levels)
        for denial in (each for verdict in plan.verdicts for each in verdict.denials):
            self.denials[denial.rule] += 1
            self.denied_since.setdefault(denial.rule, inputs.now)
        self._on_plan(cycle_id, inputs, plan)

    # ---- intents ----

    def add_intents(self, cycle_id: str, intents: Sequence[OrderIntent], at: datetime) -> None:
        """ValueError for a client order id that is there already: a bug."""
        for intent in intents:
            name = intent.client_order_id
            if name in self.all_intents:
                raise ValueError(f"{name} is journaled already")
            record = _new_intent_record(
                intent=intent, state=_PLANNED, cycle_id=cycle_id, order_id=None, created_at=at, updated_at=at
            )
            self.all_intents[name] = self._live[name] = record
            self._attempts[cycle_id, intent.symbol, intent.purpose] += 1

    def set_intent(
        self, client_order_id: str, state: str, at: datetime, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        before = self.all_intents[client_order_id]
        after = _new_intent_record(
            intent=before.intent,
            state=str(state),
            cycle_id=before.cycle_id,
            order_id=before.order_id if order_id is None else order_id,
            created_at=before.created_at,
            updated_at=at,
            reason=reason or before.reason,
        )
        self.all_intents[client_order_id] = after
        if after.state in _OVER:
            self._live.pop(client_order_id, None)
        else:
            self._live[client_order_id] = after

    def intents(self, states: Collection[str] | None = None) -> Sequence[IntentRecord]:
        if states is None:
            return list(self.all_intents.values())
        source = self.all_intents if _OVER.intersection(states) else self._live
        return [record for record in source.values() if record.state in states]

    def attempts(self, cycle_id: str, symbol: Symbol, purpose: Purpose) -> int:
        return self._attempts[cycle_id, symbol, purpose]

    # ---- what the venue says ----

    def save_sync(
        self,
        portfolio: Portfolio,
        orders: Sequence[Order],
        executions: Sequence[Execution],
        counted: Counted | None = None,
    ) -> Sequence[Execution]:
        for order in (*portfolio.orders, *orders):
            before = self.orders.get(order.id)
            if before is not order and not (before is not None and order.is_open and not before.is_open):
                self.orders[order.id] = order
        fresh = tuple(execution for execution in executions if self._book(execution))
        count = counted or _UNCOUNTED
        self._put_equity(
            _new_equity_point(
                at=portfolio.at,
                equity=portfolio.account.equity,
                cash=portfolio.account.cash,
                own=count.equity,
                moved=count.moved,
                doubtful=count.doubtful,
            )
        )
        return fresh

    def _book(self, execution: Execution) -> bool:
        """True where it is new. A posted fee takes an estimated one's place."""
        place = self._known.get(execution.id)
        if place is None:
            self._known[execution.id] = len(self.fills)
            self.fills.append(execution)
            self._times.append(execution.at)
            self._move(book_changes(execution))
            return True
        before = self.fills[place]
        if before.fee_estimated and not execution.fee_estimated:
            self._move({name: -change for name, change in book_changes(before).items()})
            self._move(book_changes(execution))
            self.fills[place] = replace(before, fee=execution.fee, fee_currency=execution.fee_currency)
        return False

    def _move(self, changes: Mapping[str, Decimal]) -> None:
        self._sums = total([self._sums, changes])
        self._believed = None

    def _put_equity(self, point: EquityPoint) -> None:
        last = self.points[-1] if self.points else None
        if last is None:
            self.points.append(point)
        elif (last.equity, last.cash, last.own, last.moved, last.doubtful) == (
            point.equity, point.cash, point.own, point.moved, point.doubtful
        ):  # fmt: skip
            return
        elif last.at.replace(second=0, microsecond=0) == point.at.replace(second=0, microsecond=0):
            self.points[-1] = point
        else:
            self.points.append(point)

    def believed(self) -> Books:
        if self._believed is None:
            held = {Symbol(name): qty for name, qty in self._sums.items() if qty and name != CASH}
            self._believed = Books(positions=held, cash=self._sums.get(CASH, ZERO))
        return self._believed

    def executions(
        self, limit: int | None = None, *, symbol: Symbol | None = None, after: datetime | None = None
    ) -> Sequence[Execution]:
        fills = self.fills if after is None else self.fills[bisect_left(self._times, after) :]
        if symbol is not None:
            fills = [fill for fill in fills if fill.symbol == symbol]
        return fills if limit is None else fills[-limit:]

    def last_equity(self, before: datetime) -> EquityPoint | None:
        return next((point for point in reversed(self.points) if point.at < before and not point.doubtful), None)

    def last_execution_at(self) -> datetime | None:
        return self._times[-1] if self._times else None

    def correction(
        self,
        kind: str,
        at: datetime,
        *,
        symbol: Symbol | None = None,
        qty: Decimal = ZERO,
        cash: Decimal = ZERO,
        detail: str = "",
        posting: Posting | None = None,
    ) -> None:
        number = len(self.corrections) + 1
        self.corrections.append(
            Correction(id=number, kind=kind, symbol=symbol, qty=qty, cash=cash, detail=detail, at=at)
        )
        if posting is not None:
            self._postings[posting.id] = BookedPosting(posting=posting, correction_id=number)
        self._moved += cash if kind == TRANSFER else ZERO
        self._move({CASH: cash} | ({} if symbol is None else {symbol.text: qty}))

    # ---- activities beside the fills ----

    def postings(self, since: date) -> Sequence[BookedPosting]:
        return [each for each in self._postings.values() if each.posting.day >= since]

    def unclaimed(self, after: datetime) -> Sequence[Correction]:
        claimed_ids = {entry.correction_id for entry in self._postings.values()}
        return [c for c in self.corrections if c.at >= after and c.kind in CLAIMABLE and c.id not in claimed_ids]

    def claim(self, correction_id: int, reasons: Mapping[str, Sequence[Posting]]) -> None:
        correction = self.corrections[correction_id - 1]
        (kind, first), *more_reasons = reasons.items()
        self._moved -= correction.cash if correction.kind == TRANSFER else ZERO
        remainder = correction.cash
        for more_kind, postings in more_reasons:
            cash = sum((posting.cash for posting in postings), ZERO)
            self._reason(len(self.corrections) + 1, correction, more_kind, cash, postings)
            remainder -= cash
        self._reason(correction_id, correction, kind, remainder, first)

    def _reason(self, number: int, of: Correction, kind: str, cash: Decimal, postings: Sequence[Posting]) -> None:
        detail = "; ".join(posting.told for posting in postings)
        self.corrections[number - 1 : number] = [replace(of, id=number, kind=kind, cash=cash, detail=detail)]
        self._postings.update(
            {posting.id: BookedPosting(posting=posting, correction_id=number) for posting in postings}
        )
        self._moved += cash if kind == TRANSFER else ZERO

    def settle_fees(
        self, fills: Sequence[Execution], joined: Mapping[str, Posting], freed: Collection[str], at: datetime
    ) -> None:
        for fill in fills:
            place = self._known.get(fill.id)
            if place is not None:
                self._move({name: -change for name, change in book_changes(self.fills[place]).items()})
                self._move(book_changes(fill))
                self.fills[place] = fill
        for name in freed:
            self._postings.pop(name, None)
        self._postings.update(
            {posting.id: BookedPosting(posting=posting, fill=fill) for fill, posting in joined.items()}
        )

    def moved(self) -> Decimal:
        return self._moved

    # ---- the small things ----

    def levels(self) -> Mapping[Symbol, Levels]:
        return {symbol: self._levels[symbol] for symbol in sorted(self._levels)}

    def save_levels(self, levels: Iterable[Levels]) -> None:
        self._levels.update((each.symbol, each) for each in levels)

    def drop_levels(self, symbol: Symbol) -> None:
        self._levels.pop(symbol, None)

    def flag(self, name: str) -> str:
        return self._flags.get(name, "")

    def set_flag(self, name: str, value: str, at: datetime) -> None:
        self._flags[name] = value

    def pending_commands(self) -> Sequence[PendingCommand]:
        return ()

    def finish_command(self, command_id: int, at: datetime, ok: bool, message: str) -> None:
        """There are none."""

    def alert(self, kind: str, severity: str, detail: str, at: datetime) -> None:
        self.alerts.append(Alert(id=len(self.alerts) + 1, kind=kind, severity=severity, detail=detail, at=at))

    def put_status(self, status: Mapping[str, object], at: datetime) -> None:
        """Nobody reads it."""

    def set_meta(self, key: str, value: str) -> None:
        self._meta[key] = value

    def get_meta(self, key: str) -> str | None:
        return self._meta.get(key)
