"""What executions do to the books: each counts once, net of what was taken as its fee."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trader.core.types import ZERO, Execution


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
