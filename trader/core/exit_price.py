"""The price that a position is left by: from the quote and the venue's own mark, neither of them believed alone.

A quote that is too old or too wide is none. One that jumps is believed where the mark jumps with it, or where it stands
for a while and nothing contradicts it; until then the stop rests at the venue, which knows its own market. Without a
quote the mark is the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.decision import ExitPolicy
from trader.core.quotes import CLOCK_TOLERANCE, price_problem
from trader.core.types import EntrySide, Position, Quote
from trader.core.values import maker, quick

BPS = Decimal(10_000)
MARK_MOVES_S = 300.0  # a mark that has not moved for so long contradicts no quote: it may stand still
JUMP_STANDS_S = 60.0  # so long a jump must stand before it is believed with nothing to confirm it
FAR = Decimal("0.5")  # a price further than this share from all that was known is none by itself


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is remembered of a position's prices. Seconds are the clock's own.

    price       the last one that was believed
    jumped_at   since when quotes contradict it
    """

    price: Decimal | None = None
    mark: Decimal | None = None
    mark_moved_at: float = 0.0
    jumped_at: float | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`quote`: fit to act on. `mark`: the price to act on where there is no such quote. Neither: `problem` says why."""

    quote: Quote | None = None
    mark: Decimal | None = None
    problem: str = ""


_new_seen, _new_judged = maker(Seen), maker(Judged)


def judge(
    seen: Seen, quote: Quote | None, position: Position, policy: ExitPolicy, now: datetime, seconds: float
) -> tuple[Judged, Seen]:
    """Pure: what to go by now, and what to remember."""
    mark = _usable_mark(position)
    moved_at = seconds if mark != seen.mark or mark is None else seen.mark_moved_at
    problem = quote_fault(quote, policy, now)
    if quote is None or problem:
        memory = Seen(price=seen.price, mark=mark, mark_moved_at=moved_at, jumped_at=seen.jumped_at)
        return _by_mark(memory, position, problem)
    price = quote.bid if position.entry_side is EntrySide.LONG else quote.ask
    references = [
        reference for reference in (mark, seen.price) if reference is not None and _near(price, reference, policy)
    ]
    is_contradiction = mark is not None and seconds - moved_at < MARK_MOVES_S
    if references or (seen.price is None and mark is None):
        return _new_judged(quote=quote), _new_seen(price=price, mark=mark, mark_moved_at=moved_at)
    since = seconds if seen.jumped_at is None else seen.jumped_at
    if not is_contradiction and seconds - since >= JUMP_STANDS_S and not _is_far(price, mark, seen.price):
        return Judged(quote=quote), Seen(price=price, mark=mark, mark_moved_at=moved_at)
    text = f"quote {price} against mark {mark} and last price {seen.price}"
    return Judged(problem=text), Seen(price=seen.price, mark=mark, mark_moved_at=moved_at, jumped_at=since)


def quote_fault(quote: Quote | None, policy: ExitPolicy, now: datetime) -> str:
    """Why nothing is to be left by it; "" for no reason. The way out is less particular than the way in."""
    if quote is None:
        return "no quote"
    impossible = price_problem(quote)
    if impossible is not None:
        return impossible
    age = now - quote.at
    if age > policy.max_quote_age or age < -CLOCK_TOLERANCE:
        return f"quote of {age.total_seconds():.0f} s ago"
    if quote.spread_bps > policy.max_spread_bps:
        return f"quote {quote.bid}/{quote.ask}, {quote.spread_bps:.0f} bps wide"
    return ""


def is_watched(quote: Quote | None, policy: ExitPolicy, now: datetime) -> bool:
    """Whether the daemon sees enough to watch a stop that does not rest at the venue."""
    return quote is not None and now - quote.at <= min(policy.watch_quote_age, policy.max_quote_age)


def _by_mark(seen: Seen, position: Position, problem: str) -> tuple[Judged, Seen]:
    mark = seen.mark
    last_price = seen.price if seen.price is not None else position.avg_entry_price
    if mark is None or last_price <= 0 or abs(mark / last_price - 1) > FAR:
        return Judged(problem=f"{problem}; mark {position.mark}, last price {last_price}"), seen
    return Judged(mark=mark, problem=problem), Seen(price=mark, mark=mark, mark_moved_at=seen.mark_moved_at)


def _usable_mark(position: Position) -> Decimal | None:
    mark = position.mark
    return mark if mark is not None and mark.is_finite() and mark > 0 else None


def _is_far(price: Decimal, *candidates: Decimal | None) -> bool:
    references = [reference for reference in candidates if reference is not None]
    return bool(references) and all(abs(price / reference - 1) > FAR for reference in references)


def _near(price: Decimal, other: Decimal, policy: ExitPolicy) -> bool:
    return abs(price / other - 1) * BPS <= policy.max_disagreement_bps
