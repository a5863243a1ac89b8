"""What strategies share: quantiles of a forecast as levels, and prices on the tick."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecasters.types import LOW, Forecast
from trader.core.market import extent
from trader.core.types import EntrySide, Instrument, Quote


def level(forecast: Forecast, channel: int, side: EntrySide, quantile: float, steps: int) -> float:
    """The quantile of one channel, interpolated between levels, at its widest over the steps. Raises ValueError.

    quantile  as a long's; a short uses its mirror image
    """
    wanted = quantile if side is EntrySide.LONG else 1 - quantile
    levels, table = _levels_of(forecast), forecast.quantiles[:, :steps, channel]  # [Q], [Q, H]
    if table.size == 0 or not (_is_sound(forecast) or (table.min() > 0 and table.max() < np.inf)):  # NaN fails too
        raise ValueError("empty, not finite or not positive")
    if not levels[0] - 1e-9 <= wanted <= levels[-1] + 1e-9:
        raise ValueError(f"quantile {wanted:.3g} is outside the forecast's {levels[0]:.3g} to {levels[-1]:.3g}")
    by_step = interpolated(wanted, levels, table)
    return min(by_step) if channel == LOW else max(by_step)


@lru_cache(maxsize=256)  # asked for three levels of each side
def _levels_of(forecast: Forecast) -> list[float]:
    """[Q]"""
    levels: list[float] = forecast.levels.tolist()
    return levels


def _is_sound(forecast: Forecast) -> bool:
    """Whether all of its quantiles are prices."""
    lowest, highest = extent(forecast)
    return lowest > 0 and highest < np.inf


def interpolated(wanted: float, levels: list[float], table: NDArray[np.float64]) -> list[float]:
    """[H], from [Q] and [Q, H]: as `numpy.interp` of each column, to the last bit.

    Two rows of a few steps: as numbers they are reckoned in the time that numpy takes to begin.
    """
    above = bisect_right(levels, wanted)  # the first level beyond
    below = max(above - 1, 0)
    lower: list[float] = table[below].tolist()
    if above in (0, len(levels)) or levels[below] == wanted:
        return lower
    upper: list[float] = table[above].tolist()
    width, share = levels[above] - levels[below], wanted - levels[below]
    return [low + (high - low) / width * share for low, high in zip(lower, upper, strict=True)]


def shallowest(forecast: Forecast, side: EntrySide) -> float:
    """The most extreme quantile that the forecast has on the stop's side, as a long's."""
    return float(forecast.levels[0]) if side is EntrySide.LONG else 1 - float(forecast.levels[-1])


def resting(side: EntrySide, price: float, quote: Quote, instrument: Instrument) -> Decimal:
    """An entry on the tick, no better than our own side of the book: it is to be a maker, never to cross."""
    if side is EntrySide.LONG:
        return instrument.price_down(min(exact(price), quote.bid))
    return instrument.price_up(max(exact(price), quote.ask))


def exit_prices(
    side: EntrySide, target: float, stop: float, entry: Decimal, instrument: Instrument
) -> tuple[Decimal, Decimal]:
    """(target, stop): the target rounded towards the entry, the stop away from it and strictly beyond."""
    tick = instrument.tick_at(entry)
    if side is EntrySide.LONG:
        return instrument.price_down(exact(target)), instrument.price_down(min(exact(stop), entry - tick))
    return instrument.price_up(exact(target)), instrument.price_up(max(exact(stop), entry + tick))


def exact(value: float) -> Decimal:
    """The shortest decimal that is this float."""
    return Decimal(repr(float(value)))


def within(name: str, value: float, least: float, most: float) -> None:
    """Raises ValueError, one line, NaN included."""
    if not least <= value <= most:
        raise ValueError(f"{name}: {value} is not in {least} to {most}")
