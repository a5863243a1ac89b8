"""Trades the forecast of the close, where its edge is worth more than the costs.

The edge is the expected close after `steps` bars against the entry's price, less both fills' fees, half a spread for
each leg that crosses and a margin. The entry waits on our own side of the book, or takes what is on offer; target and
stop are outer quantiles of the high and the low, there to protect: the plan is to leave with the forecast's horizon
(HOLD, EXITS__MAX_AGE_S), or at once, at a loss too, where the forecast has changed its mind.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np

from forecasters.types import CLOSE, HIGH, LOW, Forecast
from trader.core.decision import MarketView, Signal, leave
from trader.core.outcomes import costs_of
from trader.core.portfolio import is_held
from trader.core.types import AssetClass, EntrySide, Instrument, Quote, Symbol
from trader.strategies._levels import exact, exit_prices, level, shallowest, within

_MEDIAN_ERROR = 1.2533  # standard error of a median over that of a mean, for a normal distribution


class Statistic(StrEnum):
    MEDIAN = "median"
    MEAN = "mean"  # of the paths; the median where there are none


class Entry(StrEnum):
    REST = "rest"  # at our own side of the book, as a maker
    CROSS = "cross"  # at the other side, as a taker


class Sides(StrEnum):
    LONG = "long"
    BOTH = "both"  # short too, where the instrument can be sold short


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Quantiles are written for a long; a short uses their mirror images.

    statistic         what stands for the close: its median or its mean
    steps             how many bars ahead, 1 to 512; fewer where the forecast is shorter
    margin_bps        the least edge after all costs, 0 to 1000
    sampling_errors   by how many standard errors of the sampled close the edge must exceed that, 0 to 10
    entry             rest at our own side of the book, or cross to the other
    sides             long, or both: short too, where the instrument can be sold short
    target_quantile   the quantile of the high to leave at, 0.01 to 0.99; no higher than the forecast has
    stop_quantile     the quantile of the low to stop at, 0 to 0.5; no lower than the forecast has
    stop_margin_bps   how far beyond that quantile the stop lies, 0 to 2000
    leave_bps         leave where the close is expected against the position by more than this, surely as by
                      `sampling_errors`, 0 to 10000
    """

    statistic: Statistic = Statistic.MEDIAN
    steps: int = 4
    margin_bps: Decimal = Decimal(5)
    sampling_errors: float = 2.0
    entry: Entry = Entry.REST
    sides: Sides = Sides.LONG
    target_quantile: float = 0.9
    stop_quantile: float = 0.05
    stop_margin_bps: Decimal = Decimal(25)
    leave_bps: Decimal = Decimal(10)

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 512)
        within("margin_bps", float(self.margin_bps), 0, 1000)
        within("sampling_errors", self.sampling_errors, 0, 10)
        within("target_quantile", self.target_quantile, 0.01, 0.99)
        within("stop_quantile", self.stop_quantile, 0.0, 0.5)
        within("stop_margin_bps", float(self.stop_margin_bps), 0, 2000)
        within("leave_bps", float(self.leave_bps), 0, 10_000)


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """One signal for each symbol with both a forecast and an instrument; an entry only where there is a quote."""
    signals = []
    for symbol in sorted(view.forecasts):
        instrument = view.instruments.get(symbol)
        if instrument is None:
            continue
        position = view.portfolio.position(symbol)
        try:
            if position is not None and is_held(position, instrument):
                side, quote = position.entry_side, view.quotes.get(symbol)
                made = _exits(symbol, view.forecasts[symbol], side, quote, instrument, params)
            else:
                made = _entry(symbol, view.forecasts[symbol], view.quotes.get(symbol), instrument, params)
        except ValueError as error:
            made = Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
        signals.append(made)
    return tuple(signals)


def expected_close(forecast: Forecast, params: Params) -> tuple[float, float]:
    """(the close at the last step, its standard error from sampling), quote currency. Raises ValueError.

    The error is zero where the model gave quantiles and drew nothing.
    """
    step = min(params.steps, len(forecast.times)) - 1
    closes = forecast.paths[:, step, CLOSE] if forecast.paths is not None else None
    error = float(closes.std()) / float(np.sqrt(len(closes))) if closes is not None else 0.0
    if params.statistic is Statistic.MEAN and closes is not None:
        close = float(closes.mean())
    else:
        levels = forecast.levels
        if not levels[0] <= 0.5 <= levels[-1]:
            raise ValueError(f"no median between the levels {levels[0]:.3g} and {levels[-1]:.3g}")
        close, error = float(np.interp(0.5, levels, forecast.quantiles[:, step, CLOSE])), error * _MEDIAN_ERROR
    if not (np.isfinite(close) and np.isfinite(error) and close > 0):
        raise ValueError(f"the close is {close}")
    return close, error


def _entry(symbol: Symbol, forecast: Forecast, quote: Quote | None, instrument: Instrument, params: Params) -> Signal:
    if quote is None:
        return Signal(symbol=symbol, entry_side=None, reason="no usable quote")
    close, error = expected_close(forecast, params)
    side = EntrySide.LONG if close >= float(quote.mid) else EntrySide.SHORT
    if side is EntrySide.SHORT and not _may_short(instrument, params):
        return Signal(symbol=symbol, entry_side=None, reason=f"the close is expected at {close:.10g}, below the market")
    crosses = params.entry is Entry.CROSS
    entry = _entry_price(side, quote, instrument, crosses=crosses)
    if entry <= 0:
        return Signal(symbol=symbol, entry_side=None, reason=f"{quote.bid} is less than a tick")
    costs = costs_of(instrument, quote, entry_crosses=crosses, target_rests=False)
    gross = side.sign * (close / float(entry) - 1)
    net = gross - costs.entry - costs.taken
    least = float(params.margin_bps) / 1e4 + params.sampling_errors * error / float(entry)
    reason = f"{side}: close expected at {close:.10g}, {net * 1e4:.1f} bps after costs, needs {least * 1e4:.1f}"
    if not net > least:
        return Signal(symbol=symbol, entry_side=None, reason=reason)
    target, stop = _levels(forecast, side, entry, instrument, params)
    if target * side.sign <= entry * side.sign:
        return Signal(symbol=symbol, entry_side=None, reason=f"{side}: the target {target} is not beyond {entry}")
    return Signal(
        symbol=symbol,
        entry_side=side,
        entry=entry,
        target=target,
        stop=stop,
        edge=exact(round(gross, 10)),
        reason=reason,
    )


def _exits(
    symbol: Symbol, forecast: Forecast, side: EntrySide, quote: Quote | None, instrument: Instrument, params: Params
) -> Signal:
    """Fresh exits for what is held, or out of it; no entry."""
    close, error = expected_close(forecast, params)
    market = forecast.last_close if quote is None else float(quote.mid)
    against = -side.sign * (close / market - 1)
    if against > float(params.leave_bps) / 1e4 + params.sampling_errors * error / market:
        return leave(
            symbol, reason=f"{side} held, the close is expected at {close:.10g}: {against * 1e4:.1f} bps against"
        )
    target, stop = _levels(forecast, side, exact(forecast.last_close), instrument, params)
    return Signal(symbol=symbol, entry_side=None, target=target, stop=stop, reason=f"{side} held: new exits")


def _may_short(instrument: Instrument, params: Params) -> bool:
    coin = instrument.symbol.asset_class is AssetClass.CRYPTO
    return params.sides is Sides.BOTH and instrument.shortable and not coin


def _entry_price(side: EntrySide, quote: Quote, instrument: Instrument, *, crosses: bool) -> Decimal:
    """On the tick: rounded away from the market where it rests, into it where it takes."""
    if side is EntrySide.LONG:
        return instrument.price_up(quote.ask) if crosses else instrument.price_down(quote.bid)
    return instrument.price_down(quote.bid) if crosses else instrument.price_up(quote.ask)


def _levels(
    forecast: Forecast, side: EntrySide, entry: Decimal, instrument: Instrument, params: Params
) -> tuple[Decimal, Decimal]:
    outer, inner = (LOW, HIGH) if side is EntrySide.LONG else (HIGH, LOW)
    outermost = shallowest(forecast, side)
    target = level(forecast, inner, side, min(params.target_quantile, _highest(forecast, side)), params.steps)
    stop = level(forecast, outer, side, max(params.stop_quantile, outermost), params.steps)
    stop *= 1 - side.sign * float(params.stop_margin_bps) / 1e4
    return exit_prices(side, target, stop, entry, instrument)


def _highest(forecast: Forecast, side: EntrySide) -> float:
    """The most extreme quantile on the target's side, as a long's."""
    return float(forecast.levels[-1]) if side is EntrySide.LONG else 1 - float(forecast.levels[0])
