"""Books what no execution explains, each difference with its reason: units by symbol, then money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trader.core.reconcile import Correction, Reconciliation
from trader.core.types import ZERO, Symbol
from trader.trading import failpoints
from trader.trading.history import kind_of
from trader.trading.journal_cache import Known


def correct(known: Known, result: Reconciliation, opening: bool, *, first: datetime, now: datetime) -> bool:
    """Returns whether money was booked that no activity names.

    opening  these are the first books
    first    time of the equity that shows the money first, which is when it came in or went out
    """
    books = known.books()
    _correct_units(known, result, books.positions, now)
    if result.cash is None or result.cash == books.cash:
        return False
    unnamed = _correct_named_cash(known, result, result.cash - books.cash, first, now)
    if unnamed:
        kind = "opening" if opening else "transfer" if result.transferred else "cash"
        at = first if result.transferred else now
        known.correct(kind, at, cash=unnamed, detail=f"cash is {result.cash}")
    return bool(unnamed)


def _correct_units(known: Known, result: Reconciliation, booked: Mapping[Symbol, Decimal], now: datetime) -> None:
    reasons: dict[Symbol | None, Correction] = {c.symbol: c for c in result.corrections}
    for symbol in sorted({*booked, *result.positions}):
        difference = result.positions.get(symbol, ZERO) - booked.get(symbol, ZERO)
        if difference:
            why = reasons.get(symbol)
            kind = why.kind.value if why else "opening"
            detail, posting = (why.detail, why.posting) if why else ("", None)
            known.correct(kind, now, symbol=symbol, qty=difference, detail=detail, posting=posting)
            failpoints.reach("amid_corrections")


def _correct_named_cash(
    known: Known, result: Reconciliation, difference: Decimal, first: datetime, now: datetime
) -> Decimal:
    """Each posting of money by its name. Returns what is left of the difference."""
    for each in result.posted:
        if each.posting is not None and each.cash:
            at = first if each.posting.is_transfer else now
            known.correct(kind_of(each.posting), at, cash=each.cash, detail=each.detail, posting=each.posting)
            failpoints.reach("amid_corrections")
            difference -= each.cash
    return difference
