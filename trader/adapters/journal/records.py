"""What the journal gives back: rows as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trader.core.postings import Posting
from trader.core.types import ZERO, Order, OrderIntent, OrderSide, Quote, Symbol
from trader.core.values import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecord:
    """An intent and what became of it. `state`: planned, sent, accepted, refused, unknown, abandoned, or a
    terminal order status; the words are the caller's, the journal only keeps them."""

    intent: OrderIntent
    state: str
    cycle_id: str
    order_id: str | None
    created_at: datetime
    updated_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What the journal's executions and corrections add up to.

    positions   signed units by symbol, fees in the coin taken off; flat symbols are absent
    cash        account currency, since the opening balance (a delta, not the balance)
    orders      open as far as we know
    """

    positions: Mapping[Symbol, Decimal]
    cash: Decimal
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeChange:
    """`fee` is what it was until `at`."""

    execution_id: str
    fee: Decimal
    fee_currency: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command from a person. `done_at` None: not executed yet."""

    id: int
    kind: str
    args: Mapping[str, str]
    at: datetime
    done_at: datetime | None = None
    ok: bool | None = None
    message: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """One run of a job. `closed_at` None: still running, or cut off by a crash. `timings` in seconds."""

    cycle_id: str
    kind: str
    opened_at: datetime
    closed_at: datetime | None = None
    outcome: str = ""
    note: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    cycle_id: str
    symbol: Symbol
    wanted: Decimal
    allowed: Decimal
    net_edge_bps: Decimal | None
    denials: tuple[tuple[str, str], ...]  # (rule, figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRecord:
    cycle_id: str
    quote: Quote


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """The account as the venue reported it when it last changed. Account currency.

    own       by the books' cash and units, at the venue's marks; None where that was not known
    moved     money that had come in by then, less what had gone out, as far as it was booked
    doubtful  `equity` and `own` differ by more than the band: one of them is no equity
    """

    at: datetime
    equity: Decimal
    cash: Decimal
    own: Decimal | None = None
    moved: Decimal = ZERO
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    id: int
    kind: str
    severity: str  # info, warning, error
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A change of the believed books that no execution explains: an opening balance, a deposit, a split."""

    id: int
    kind: str
    symbol: Symbol | None
    qty: Decimal
    cash: Decimal
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedPosting:
    """An activity that is in the books: as the fee of the execution `fill`, or as the reason of a correction."""

    posting: Posting
    fill: str = ""
    correction_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One round trip, booked when the closing fill happened. Quote currency.

    entry_price  what a unit in hand had cost: a fee taken in the coin is in it
    fees         of entry and exit together; `pnl` is after them
    """

    symbol: Symbol
    entry_order_side: OrderSide
    qty: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: datetime
    closed_at: datetime
    fees: Decimal
    pnl: Decimal
