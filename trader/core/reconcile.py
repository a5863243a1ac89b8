"""What we believe against what the venue reports. Start-up, crash recovery and every cycle are this same step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from trader.core.types import ZERO, Execution, Order, Portfolio, Symbol


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """From the venue. `looked_up`: answers by client order id, None where the venue does not know it."""

    portfolio: Portfolio
    executions: tuple[Execution, ...] = ()
    looked_up: Mapping[str, Order | None] = field(default_factory=dict)


class CorrectionKind(StrEnum):
    ADOPTED = "adopted"  # a position that was there at the first start
    FEE = "fee"  # a difference that fees explain
    EXTERNAL_FILL = "external_fill"  # an execution of an order that is not ours
    EXTERNAL_ORDER = "external_order"  # left alone, counted as exposure
    OUR_ORDER = "our_order"  # open at the venue, ours by its id, and not in our books as live
    ORDER_CLOSED = "order_closed"  # believed live, terminal at the venue
    ORDER_ABSENT = "order_absent"  # believed live, and the venue does not know it
    CASH = "cash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    kind: CorrectionKind
    symbol: Symbol | None
    detail: str
    qty: Decimal = ZERO  # units by which the books change beyond the executions
    cash: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What to book, what to say, and whether to go on.

    positions, cash  to be believed from now on (unchanged where `suspect`)
    executions       new ones, each once, oldest first
    external         open orders that are not ours: never cancelled
    lost             client order ids to ask the venue for, then reconcile again with the answers
    suspect          the report may be wrong: ask again, trade nothing until it is resolved; "" if sound
    halts            reasons to stop for a person
    """

    positions: Mapping[Symbol, Decimal]
    cash: Decimal | None
    executions: tuple[Execution, ...] = ()
    corrections: tuple[Correction, ...] = ()
    external: tuple[Order, ...] = ()
    lost: tuple[str, ...] = ()
    suspect: str = ""
    halts: tuple[str, ...] = ()


def reconcile(believed: Believed, reported: Reported, *, confirmed: bool = False) -> Reconciliation:
    """`confirmed`: this is a second, separate report after a suspect one. An unexplained difference is suspect in
    the first (positions and fills are not read in one instant) and a halt in the second. An empty positions answer
    that no execution explains stays suspect: it is never read as flat.
    """
    raise NotImplementedError
