"""What the cycle needs from the world. Adapters implement these; the simulated exchange stands behind the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trader.core.market import Bars
from trader.core.types import (
    Account,
    Execution,
    Instrument,
    Order,
    OrderIntent,
    Position,
    Quote,
    Symbol,
    Timeframe,
)


class Clock(Protocol):
    def now(self) -> datetime:
        """The market's time, aware UTC."""

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


class Broker(Protocol):
    """Reads raise Transient when they failed after their retries, CredentialsRefused on 401/403 of the keys."""

    def account(self) -> Account: ...

    def positions(self) -> Sequence[Position]: ...

    def open_orders(self) -> Sequence[Order]:
        """All open orders, ours and others', nested legs inside their parents."""

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """None where the venue says that it does not exist."""

    def order(self, order_id: str) -> Order | None: ...

    def executions(self, after: datetime) -> Sequence[Execution]:
        """Fills at or after that moment, oldest first, each with its fee. Overlap is the caller's to remove, by id."""

    def submit(self, intent: OrderIntent) -> Submission:
        """One attempt, never a retry."""

    def cancel(self, order_id: str) -> bool:
        """Ask for it. False where the venue says that it can no longer be cancelled (look at the order again)."""

    def instruments(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Instrument]:
        """A symbol that the venue does not know, or whose asset can't be read, is absent."""

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        """Stock sessions that overlap [start, end]."""
