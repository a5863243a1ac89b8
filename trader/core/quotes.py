"""Is a quote fit to trade on? Everything that is not surely good is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.decision import RiskLimits
from trader.core.types import ZERO, EntrySide, Quote

CLOCK_TOLERANCE = timedelta(seconds=5)  # the venue's clock may be ahead of ours by this much


def quote_problem(quote: Quote | None, now: datetime, limits: RiskLimits) -> str | None:
    """One line that says why nothing may be entered on it, or None."""
    if quote is None:
        return "missing"
    problem = price_problem(quote)
    if problem is not None:
        return problem
    age = now - quote.at
    if age > limits.max_quote_age:
        return f"stale: {age.total_seconds():.1f} s old, over {limits.max_quote_age.total_seconds():.0f} s"
    if age < -CLOCK_TOLERANCE:
        return f"from the future: {-age.total_seconds():.1f} s ahead"
    if quote.synthetic and not limits.allow_synthetic_quotes:
        return "synthetic: modelled, not seen at the venue"
    if quote.spread_bps > limits.max_spread_bps:
        return f"too wide: {quote.spread_bps:.1f} bps, over {limits.max_spread_bps} bps"
    return None


def is_beyond(quote: Quote, stop: Decimal, side: EntrySide) -> bool:
    """Whether a position of that side could only be left at its stop or worse."""
    price = quote.bid if side is EntrySide.LONG else quote.ask
    return (price - stop) * side.sign <= 0


def price_problem(quote: Quote) -> str | None:
    """Whether bid and ask can be prices at all, whatever their age."""
    if not (quote.bid.is_finite() and quote.ask.is_finite()):
        return f"not a number: bid {quote.bid}, ask {quote.ask}"
    if ZERO < quote.bid < quote.ask:
        return None
    if quote.bid <= 0 and quote.ask <= 0:
        return f"zero: bid {quote.bid}, ask {quote.ask}"
    if quote.bid <= 0 or quote.ask <= 0:
        return f"one-sided: bid {quote.bid}, ask {quote.ask}"
    if quote.bid > quote.ask:
        return f"crossed: bid {quote.bid} over ask {quote.ask}"
    return f"locked: bid and ask both {quote.bid}"
