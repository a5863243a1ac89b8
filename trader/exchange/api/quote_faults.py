"""What the data API says of a book instead of the true one. The true one goes on trading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from trader.core.types import ZERO, Quote, Symbol
from trader.exchange.api.faults import Fired


def spoiled(quote: Quote, fired: Fired, quote_of: Callable[[Symbol], Quote | None]) -> Quote | None:
    """`quote_of` tells the true quote of another symbol, for those that are swapped."""
    rule = fired.rule
    is_swap = rule.kind == "swapped"
    if rule.symbol is not None and quote.symbol not in ((rule.symbol, rule.other) if is_swap else (rule.symbol,)):
        return quote
    if is_swap:
        return _swapped(quote, fired, quote_of)
    if rule.kind in ("frozen", "stuck"):
        first: Quote = fired.kept.setdefault(quote.symbol.text, quote)
        return first if rule.kind == "frozen" else replace(first, at=quote.at)
    if rule.kind == "absurd":
        return replace(quote, **rule.told)
    if rule.kind == "absent":
        return None
    if rule.kind == "zero":
        return replace(quote, bid=ZERO, ask=ZERO, bid_size=ZERO, ask_size=ZERO)
    if rule.kind == "one_sided":
        return replace(quote, ask=ZERO, ask_size=ZERO)
    if rule.kind == "crossed":
        return replace(quote, bid=quote.ask, ask=quote.bid)
    if rule.kind == "locked":
        return replace(quote, bid=quote.ask)
    return replace(quote, at=quote.at - timedelta(seconds=rule.amount))


def _swapped(quote: Quote, fired: Fired, quote_of: Callable[[Symbol], Quote | None]) -> Quote | None:
    first_symbol, second_symbol = fired.rule.symbol, fired.rule.other
    twin = second_symbol if quote.symbol == first_symbol else first_symbol
    twin_quote = None if twin is None else quote_of(twin)
    return None if twin_quote is None else replace(twin_quote, symbol=quote.symbol)
