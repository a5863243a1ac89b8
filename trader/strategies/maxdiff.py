"""Buys at the predicted low to sell at the predicted high, or the mirror image, whichever excursion is the larger.

With L and H the predicted low and high of the next bars and C the last close: long if |H/C - 1| > |L/C - 1|, else
short. A long enters at L, leaves at H, and gives up at a deeper quantile of the low. Crypto can't be sold short: there
the formula says flat, and `side_rule=both` takes the long all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np

from forecasters.types import HIGH, LOW, Forecast
from trader.core.decision import MarketView, Signal
from trader.core.portfolio import is_held
from trader.core.types import AssetClass, EntrySide, Instrument, Quote, Symbol

BPS = Decimal(10_000)


class SideRule(StrEnum):
    FORMULA = "formula"
    BOTH = "both"  # where the formula says short and the venue can't, long


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Quantiles are written for a long; a short uses their mirror images (the high at 1 - entry_quantile, ...).

    entry_quantile    of the low, 0.01 to 0.99: lower enters more rarely and cheaper
    target_quantile   of the high, 0.01 to 0.99: higher leaves more rarely and dearer
    stop_quantile     of the low, 0 to entry_quantile; the lowest that the forecast has where it is below that
    stop_margin_bps   beyond the stop's quantile, 0 to 2000
    steps             bars of the forecast to look over, 1 to 512; fewer where the forecast is shorter
    side_rule         formula or both
    """

    entry_quantile: float = 0.5
    target_quantile: float = 0.5
    stop_quantile: float = 0.05
    stop_margin_bps: Decimal = Decimal(25)
    steps: int = 4
    side_rule: SideRule = SideRule.FORMULA

    def __post_init__(self) -> None:
        _within("entry_quantile", self.entry_quantile, 0.01, 0.99)
        _within("target_quantile", self.target_quantile, 0.01, 0.99)
        _within("stop_quantile", self.stop_quantile, 0.0, self.entry_quantile)
        _within("stop_margin_bps", float(self.stop_margin_bps), 0, 2000)
        _within("steps", self.steps, 1, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Levels for one side, quote currency, not yet on the tick."""

    side: EntrySide
    entry: float
    target: float
    stop: float


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """One signal for each symbol with both a forecast and an instrument; an entry only where there is a quote."""
    signals = []
    for symbol in sorted(view.forecasts):
        instrument = view.instruments.get(symbol)
        if instrument is None:
            continue
        position = view.portfolio.position(symbol)
        if position is not None and is_held(position, instrument):
            signals.append(_exits(symbol, view.forecasts[symbol], position.entry_side, instrument, params))
        else:
            signals.append(_entry(symbol, view.forecasts[symbol], view.quotes.get(symbol), instrument, params))
    return tuple(signals)


def band(forecast: Forecast, side: EntrySide, params: Params) -> Band:
    """The levels of one side. Raises ValueError where the forecast can't give them."""
    outer, inner = (LOW, HIGH) if side is EntrySide.LONG else (HIGH, LOW)
    entry = _level(forecast, outer, side, params.entry_quantile, params.steps)
    target = _level(forecast, inner, side, params.target_quantile, params.steps)
    deepest = max(params.stop_quantile, _shallowest(forecast, side))
    stop = _level(forecast, outer, side, deepest, params.steps)
    if not entry * side.sign < target * side.sign:
        raise ValueError(f"predicted low and high are crossed: entry {entry:.10g}, target {target:.10g}")
    return Band(
        side=side, entry=entry, target=target, stop=stop * (1 - side.sign * float(params.stop_margin_bps) / 1e4)
    )


def chosen_side(forecast: Forecast, instrument: Instrument, params: Params) -> EntrySide | None:
    """By the formula; None is flat."""
    long = band(forecast, EntrySide.LONG, params)
    up, down = abs(long.target / forecast.last_close - 1), abs(long.entry / forecast.last_close - 1)
    if up > down:
        return EntrySide.LONG
    if instrument.symbol.asset_class is AssetClass.CRYPTO or not instrument.shortable:
        return EntrySide.LONG if params.side_rule is SideRule.BOTH else None
    return EntrySide.SHORT


def _entry(symbol: Symbol, forecast: Forecast, quote: Quote | None, instrument: Instrument, params: Params) -> Signal:
    try:
        side = chosen_side(forecast, instrument, params)
        chosen = band(forecast, side, params) if side is not None else None
    except ValueError as error:
        return Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
    if chosen is None:
        return Signal(symbol=symbol, entry_side=None, reason="the larger excursion is down, and it can't be sold short")
    if quote is None:
        return Signal(symbol=symbol, entry_side=None, reason="no usable quote")
    entry = _resting(chosen, quote, instrument)
    if entry <= 0:
        return Signal(symbol=symbol, entry_side=None, reason=f"{chosen.entry:.10g} is less than a tick")
    target, stop = _exit_prices(chosen, entry, instrument)
    return Signal(
        symbol=symbol,
        entry_side=chosen.side,
        entry=entry,
        target=target,
        stop=stop,
        edge=(target / entry - 1) * chosen.side.sign,
        reason=f"{chosen.side}: {chosen.entry:.10g} to {chosen.target:.10g}, last close {forecast.last_close:.10g}",
    )


def _exits(symbol: Symbol, forecast: Forecast, side: EntrySide, instrument: Instrument, params: Params) -> Signal:
    """Fresh exits for what is held; no entry."""
    try:
        held = band(forecast, side, params)
    except ValueError as error:
        return Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
    target, stop = _exit_prices(held, _price(held.entry), instrument)
    return Signal(symbol=symbol, entry_side=None, target=target, stop=stop, reason=f"{side} held: new exits")


def _resting(chosen: Band, quote: Quote, instrument: Instrument) -> Decimal:
    """The entry on the tick, no better than our own side of the book: it is to be a maker, never to cross."""
    if chosen.side is EntrySide.LONG:
        return instrument.price_down(min(_price(chosen.entry), quote.bid))
    return instrument.price_up(max(_price(chosen.entry), quote.ask))


def _exit_prices(chosen: Band, entry: Decimal, instrument: Instrument) -> tuple[Decimal, Decimal]:
    """Target rounded towards the entry, stop away from it and strictly beyond."""
    target, stop = _price(chosen.target), _price(chosen.stop)
    tick = instrument.tick_at(entry)
    if chosen.side is EntrySide.LONG:
        return instrument.price_down(target), instrument.price_down(min(stop, entry - tick))
    return instrument.price_up(target), instrument.price_up(max(stop, entry + tick))


def _level(forecast: Forecast, channel: int, side: EntrySide, quantile: float, steps: int) -> float:
    """The quantile of one channel, interpolated between levels, at its widest over the steps."""
    wanted = quantile if side is EntrySide.LONG else 1 - quantile
    levels, table = forecast.levels, forecast.quantiles[:, :steps, channel]  # [Q], [Q, H]
    if table.size == 0 or not np.isfinite(table).all() or not (table > 0).all():
        raise ValueError("empty, not finite or not positive")
    if not levels[0] - 1e-9 <= wanted <= levels[-1] + 1e-9:
        raise ValueError(f"quantile {wanted:.3g} is outside the forecast's {levels[0]:.3g} to {levels[-1]:.3g}")
    by_step = [float(np.interp(wanted, levels, table[:, step])) for step in range(table.shape[1])]
    return min(by_step) if channel == LOW else max(by_step)


def _shallowest(forecast: Forecast, side: EntrySide) -> float:
    """The most extreme quantile that the forecast has on the stop's side, as a long's."""
    return float(forecast.levels[0]) if side is EntrySide.LONG else 1 - float(forecast.levels[-1])


def _price(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: {value} is not in {least} to {most}")
