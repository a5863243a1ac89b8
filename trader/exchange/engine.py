"""The matching engine's door: one event in, new books and what happened out. Pure, and it never raises."""

from __future__ import annotations

from trader.exchange.accounting import AccountFigures, PositionFigures, account_figures, open_books
from trader.exchange.events import Books, Event, Output

__all__ = ["AccountFigures", "PositionFigures", "account_figures", "apply", "open_books"]


def apply(books: Books, event: Event) -> tuple[Books, tuple[Output, ...]]:
    """The books after `event`, and the trade updates or the refusal that it caused, in order."""
    return books, ()
