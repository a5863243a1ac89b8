"""What the cycle needs from the world. Adapters implement these; the simulated exchange stands behind the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from trader.core.decision import DecisionInputs, Levels, Plan
from trader.core.equity import Counted
from trader.core.market import Bars
from trader.core.postings import Activities, Posting
from trader.core.types import (
    ZERO,
    Account,
    Execution,
    Instrument,
    Order,
    OrderIntent,
    Portfolio,
    Position,
    Purpose,
    Quote,
    Symbol,
    Timeframe,
)
from trader.core.values import quick


class Clock(Protocol):
    def now(self) -> datetime:
        """The market's time, aware UTC."""

    def monotonic(self) -> float:
        """Seconds of the market's time since some moment, which nobody can set: for back-offs, deadlines and ages."""

    def wait_until(self, moment: datetime) -> datetime:
        """Wait for `moment`; may return earlier, when something happened (a fill, a wake-up). Returns now()."""

    def wake(self) -> None:
        """Make a running or the next `wait_until` return at once. Called from any thread."""


class MarketData(Protocol):
    def bars(
        self, symbols: Sequence[Symbol], timeframe: Timeframe, *, end: datetime, count: int
    ) -> Mapping[Symbol, Bars]:
        """Up to `count` newest bars that closed at or before `end`. One without any is absent. Raises Transient."""

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        """The latest quotes, as the venue gives them, unjudged. A symbol without one is absent. Raises Transient."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The venue said no. `code` is its own, `status` the HTTP one."""

    reason: str
    code: int = 0
    status: int = 0
    duplicate: bool = False  # the client order id exists there already: adopt that order


@dataclass(frozen=True, slots=True, kw_only=True)
class Undetermined:
    """The venue did not say. `sent` is False where the request surely never left: then the same id may go again."""

    reason: str
    sent: bool = True


Submission = Accepted | Refused | Undetermined


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading session of the stock market, from the venue's calendar."""

    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A position or an order that can't be read. It is there all the same: shown, and nothing is entered beside it.

    symbol  None where not even that could be read, or it is nothing that could be traded here
    """

    kind: str
    symbol: Symbol | None
    detail: str


class Broker(Protocol):
    """Reads raise Transient when they failed after their retries, CredentialsRefused on 401/403 of the keys."""

    def account(self) -> Account: ...

    def positions(self) -> Sequence[Position]: ...

    def open_orders(self) -> Sequence[Order]:
        """All open orders, ours and others', nested legs inside their parents."""

    def opaque(self) -> Sequence[Opaque]:
        """What of the last answers to the two above could not be read."""

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """None where the venue says that it does not exist."""

    def order(self, order_id: str) -> Order | None: ...

    def activities(self, after: datetime) -> Activities:
        """Fills at or after that moment, oldest first, each with its fee or our estimate, and what else is dated that
        day or later. Overlap is the caller's to remove, by id."""

    def venue_time(self) -> datetime:
        """By the venue's own clock, which its activities are dated by."""

    def submit(self, intent: OrderIntent) -> Submission:
        """One attempt, never a retry."""

    def cancel(self, order_id: str) -> bool:
        """Ask for it. False where the venue says that it can no longer be cancelled (look at the order again)."""

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        """A symbol that the venue does not know, or whose asset can't be read, is absent. `fresh`: as of now."""

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        """Stock sessions that overlap [start, end]."""


class KnownIntent(Protocol):
    """An intent as the journal keeps it. `state` is an IntentState's text."""

    @property
    def intent(self) -> OrderIntent: ...

    @property
    def state(self) -> str: ...

    @property
    def order_id(self) -> str | None: ...

    @property
    def created_at(self) -> datetime: ...


class KnownBooks(Protocol):
    """What the journal's executions and corrections add up to: units by symbol, and cash since the beginning."""

    @property
    def positions(self) -> Mapping[Symbol, Decimal]: ...

    @property
    def cash(self) -> Decimal: ...


class PendingCommand(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def args(self) -> Mapping[str, str]: ...


class BookedPosting(Protocol):
    """An activity that is in the books: as the fee of the execution `fill`, or as the reason of a correction."""

    @property
    def posting(self) -> Posting: ...

    @property
    def fill(self) -> str: ...


class BookedMoney(Protocol):
    """A correction of the cash."""

    @property
    def id(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def cash(self) -> Decimal: ...


class KnownEquity(Protocol):
    """`own`: by our count; None where that was not known. `moved`: money that had come in by then, as far as booked."""

    @property
    def equity(self) -> Decimal: ...

    @property
    def own(self) -> Decimal | None: ...

    @property
    def moved(self) -> Decimal: ...


class Latch(Protocol):
    """`killed` and `halted` in a file: works where the journal does not."""

    def read(self) -> Mapping[str, str]:
        """What is latched, with its reason."""

    def clear(self) -> None:
        """Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An exit as the reserve keeps it. `state` is an IntentState's text."""

    cycle_id: str
    intent: OrderIntent
    at: datetime
    state: str = "planned"
    order_id: str | None = None
    reason: str = ""


class Reserve(Protocol):
    """Exits for when the journal takes nothing, and room on the disk for them. Raises OSError."""

    def add(self, cycle_id: str, intent: OrderIntent, at: datetime) -> None:
        """On the disk when it returns."""

    def note(self, client_order_id: str, state: str, order_id: str | None, reason: str) -> None: ...

    def kept(self) -> Sequence[Reserved]: ...

    def clear(self) -> None: ...

    def is_whole(self) -> bool:
        """Whether the room is kept back."""

    def make_room(self) -> bool:
        """Keep it back again, where there is enough. Raises nothing."""

    def give_room(self) -> None: ...

    def lacking(self) -> int:
        """Bytes that must become free first. Raises nothing."""


class Journal(Protocol):
    """The daemon's memory. A call that returns is on disk; one that fails raises DatabaseAway or DatabaseUnusable."""

    def begin_cycle(self, cycle_id: str, kind: str, at: datetime) -> None: ...

    def close_cycle(
        self, cycle_id: str, at: datetime, outcome: str, note: str = "", timings: Mapping[str, float] | None = None
    ) -> None: ...

    def cycle(self, cycle_id: str) -> object | None:
        """None where it was never begun."""

    def save_plan(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None: ...

    def add_intents(self, cycle_id: str, intents: Sequence[OrderIntent], at: datetime) -> None: ...

    def set_intent(
        self, client_order_id: str, state: str, at: datetime, *, order_id: str | None = None, reason: str = ""
    ) -> None: ...

    def intents(self, states: Collection[str] | None = None) -> Sequence[KnownIntent]: ...

    def attempts(self, cycle_id: str, symbol: Symbol, purpose: Purpose) -> int: ...

    def save_sync(
        self,
        portfolio: Portfolio,
        orders: Sequence[Order],
        executions: Sequence[Execution],
        counted: Counted | None = None,
    ) -> Sequence[Execution]: ...

    def postings(self, since: date) -> Sequence[BookedPosting]:
        """In the books, of that day and later."""

    def settle_fees(
        self, fills: Sequence[Execution], joined: Mapping[str, Posting], freed: Collection[str], at: datetime
    ) -> None:
        """`fills` with their fees from `at` on, the postings that say so, and those that do so no more."""

    def unclaimed(self, after: datetime) -> Sequence[BookedMoney]:
        """Booked since then without an activity that says why."""

    def claim(self, correction_id: int, reasons: Mapping[str, Sequence[Posting]]) -> None:
        """They do, by kind."""

    def moved(self) -> Decimal:
        """Money that came in, less what went out, as far as it is booked."""

    def believed(self) -> KnownBooks: ...

    def executions(
        self, limit: int | None = None, *, symbol: Symbol | None = None, after: datetime | None = None
    ) -> Sequence[Execution]: ...

    def last_equity(self, before: datetime) -> KnownEquity | None:
        """The newest that was recorded before then, and is not in doubt."""

    def last_execution_at(self) -> datetime | None: ...

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
    ) -> None: ...

    def levels(self) -> Mapping[Symbol, Levels]: ...

    def save_levels(self, levels: Iterable[Levels]) -> None: ...

    def drop_levels(self, symbol: Symbol) -> None: ...

    def flag(self, name: str) -> str: ...

    def set_flag(self, name: str, value: str, at: datetime) -> None: ...

    def pending_commands(self) -> Sequence[PendingCommand]: ...

    def finish_command(self, command_id: int, at: datetime, ok: bool, message: str) -> None: ...

    def alert(self, kind: str, severity: str, detail: str, at: datetime) -> None: ...

    def put_status(self, status: Mapping[str, object], at: datetime) -> None: ...

    def set_meta(self, key: str, value: str) -> None: ...

    def get_meta(self, key: str) -> str | None: ...
