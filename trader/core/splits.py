"""A stock split: the same money in other units. What was said per unit, the levels, is then to be said anew.

The units alone tell nothing, a transfer changes them too. A split leaves what the position has cost as it was, so that
the venue's entry price moves against the units.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from trader.core.decision import Levels
from trader.core.exits import away
from trader.core.types import AssetClass, EntrySide, Instrument, Position, Symbol

_ODD = (Fraction(3, 2), Fraction(4, 3), Fraction(5, 2), Fraction(5, 4), Fraction(6, 5))
_FORWARD = (*(Fraction(n) for n in range(2, 101)), *_ODD)
USUAL = tuple(Decimal(r.numerator) / Decimal(r.denominator) for f in _FORWARD for r in (f, 1 / f))
PRICE_SLACK = Decimal("0.02")  # the venue rounds entry prices, and pays fractions of a share out


def like_a_split(symbol: Symbol, before: Decimal, after: Decimal) -> bool:
    """Whether the units could have changed by one: a fraction of a share is paid out."""
    return symbol.asset_class is AssetClass.STOCK and any(_fits(before, after, ratio) for ratio in USUAL)


def split_ratio(before: Position, after: Position) -> Decimal | None:
    """Units now for one of before, where the entry price says so, too; None where that can't be told."""
    if min(before.avg_entry_price, after.avg_entry_price) <= 0:
        return None
    by_price = before.avg_entry_price / after.avg_entry_price
    fitting = [ratio for ratio in USUAL if _fits(before.qty, after.qty, ratio)]
    nearest = min(fitting, key=lambda ratio: abs(by_price / ratio - 1), default=None)
    return nearest if nearest is not None and abs(by_price / nearest - 1) <= PRICE_SLACK else None


def _fits(before: Decimal, after: Decimal, ratio: Decimal) -> bool:
    return before * after > 0 and abs(after - before * ratio) < 1


def scaled(levels: Levels, ratio: Decimal, instrument: Instrument, now: datetime) -> Levels:
    """The same levels in the new units, on the tick."""
    long = levels.entry_side is EntrySide.LONG
    stop = None if levels.stop is None else away(levels.stop / ratio, levels.entry_side, instrument)
    target = levels.target
    if target is not None:
        target = instrument.price_up(target / ratio) if long else instrument.price_down(target / ratio)
    keep = None if levels.keep is None else levels.keep * ratio
    return replace(levels, stop=stop, target=target, keep=keep, set_at=now)


def forgotten(levels: Levels | None, symbol: Symbol, side: EntrySide, now: datetime) -> Levels:
    """Nobody knows what they are in the new units. Not dropped: that the position is ours is still known by them, and
    a fallback that rests at the venue is in the old units, too."""
    if levels is None:
        return Levels(symbol=symbol, entry_side=side, target=None, stop=None, set_at=now, expires_at=None)
    # none of it is none of it in any units
    keep = levels.keep if levels.keep == 0 else None
    return replace(levels, entry_side=side, target=None, stop=None, set_at=now, keep=keep)


def are_forgotten(levels: Levels | None) -> bool:
    return levels is not None and levels.stop is None and levels.target is None
