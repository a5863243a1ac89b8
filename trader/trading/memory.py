"""What the desk remembers between two calls, and how it comes back after a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from trader.core.decision import RiskState
from trader.core.equity import Peak
from trader.core.types import Execution, Order, Portfolio, Symbol
from trader.trading.counts import Counts
from trader.trading.ports import Journal, KnownIntent

FLAGS = ("paused", "halted", "killed", "flatten")
OVERLAP = timedelta(minutes=2)  # executions this far before the last one are asked for again: clocks differ
LIST_LAG = timedelta(minutes=3)  # so long after a fill the list of positions may not show it


@dataclass(slots=True)
class Memory:
    """What must outlive one call but not the process: the journal can give all of it back."""

    portfolio: Portfolio | None = None
    synced_at: datetime | None = None
    touched: bool = True  # we have sent something to the venue since
    settled: int | None = None  # Known.changes when reconciling last found nothing to do; None where it found something
    opened: datetime | None = None  # when the books were opened; None before the first sync
    began: datetime | None = None  # when the report that opens them began
    flags: dict[str, str] = field(default_factory=dict)
    execution_ids: frozenset[str] = frozenset()
    ended: dict[str, Order] = field(default_factory=dict)  # by client id, seen terminal since the last sync
    filled: dict[str, Decimal] = field(default_factory=dict)  # units of the booked executions, by order id
    freed: dict[Symbol, float] = field(default_factory=dict)  # when an order of ours there was last seen cancelled
    last_execution_at: datetime | None = None
    submitted: deque[float] = field(default_factory=deque)  # by the clock's own seconds
    unanswered: dict[str, datetime] = field(default_factory=dict)  # by client id, when it was last sent in vain
    counts: Counts = field(default_factory=Counts)
    earned: Decimal | None = None  # the newest equity that counted, less the money that had come in: see `day`
    day: date | None = None
    day_start: Decimal | None = None  # likewise
    peak: Peak = field(default_factory=Peak)  # likewise
    last_stops: dict[Symbol, datetime] = field(default_factory=dict)
    symbols: frozenset[Symbol] = frozenset()  # those that are traded


def recall(journal: Journal, symbols: Iterable[Symbol], live: Sequence[KnownIntent] = ()) -> Memory:
    """As the journal gives it back."""
    memory = Memory(flags={name: journal.flag(name) for name in FLAGS}, symbols=frozenset(symbols))
    opening_time = journal.get_meta("opened")
    memory.opened = datetime.fromisoformat(opening_time).astimezone(UTC) if opening_time else None
    memory.counts = Counts.recalled(journal)
    day = journal.get_meta("day")
    if day:
        text, _, equity = day.partition(" ")
        memory.day, memory.day_start = date.fromisoformat(text), Decimal(equity)
    peak = journal.get_meta("peak")
    memory.peak = Peak(Decimal(peak) if peak else None)
    remember_fills(memory, fills_of(journal, live))
    for symbol in memory.symbols:
        stop_time = journal.get_meta(f"stop {symbol}")
        if stop_time:
            memory.last_stops[symbol] = datetime.fromisoformat(stop_time)
    return memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """Of the booked executions, what the next report is held against."""

    last_at: datetime | None
    booked_ids: frozenset[str]
    units: dict[str, Decimal]  # by order id


def fills_of(journal: Journal, live: Collection[KnownIntent]) -> Fills:
    last_at, units = journal.last_execution_at(), dict[str, Decimal]()
    ids = frozenset[str]() if last_at is None else booked_lately(journal, last_at)
    if live:
        for execution in journal.executions(after=min(each.created_at for each in live) - OVERLAP):
            units[execution.order_id] = units.get(execution.order_id, Decimal(0)) + execution.qty
    return Fills(last_at=last_at, booked_ids=ids, units=units)


def remember_fills(memory: Memory, fills: Fills) -> None:
    memory.last_execution_at, memory.execution_ids, memory.filled = fills.last_at, fills.booked_ids, fills.units


def booked_lately(journal: Journal, last: datetime) -> frozenset[str]:
    """Ids of the executions that an overlapping question to the venue can bring again."""
    return frozenset(execution.id for execution in journal.executions(after=last - 2 * OVERLAP))


def remember_stop(memory: Memory, journal: Journal, execution: Execution) -> None:
    """A stop was filled: its symbol is to rest for a while."""
    memory.last_stops[execution.symbol] = execution.at
    journal.set_meta(f"stop {execution.symbol}", execution.at.isoformat())


def risk_state(memory: Memory, doubt: str, seconds: float, moved: Decimal) -> RiskState:
    """What risk must remember, the day and the peak being those of now. `doubt`: why no entry is to be made, or "".

    seconds  the clock's own, `Clock.monotonic`
    moved    money that has come in, less what has gone out
    """
    submitted, flags = memory.submitted, memory.flags
    while submitted and submitted[0] < seconds - 60:
        submitted.popleft()
    return RiskState(
        day_start_equity=None if memory.day_start is None else memory.day_start + moved,
        peak_equity=None if memory.peak.value is None else memory.peak.value + moved,
        orders_last_minute=len(submitted),
        last_stop_at=dict(memory.last_stops),
        day_notional=memory.counts.notional,
        day_orders=memory.counts.orders,
        refusals=memory.counts.refusals,
        losing_exits=memory.counts.losing_exits,
        paused=flags["paused"] or flags["flatten"] or doubt,
        halted=flags["halted"],
        killed=flags["killed"],
    )
