"""Buys low to sell high within the forecast's range, or the mirror image. Two ways to choose the levels.

mode=levels: with L and H the predicted low and high of the next bars and C the last close: long if
|H/C - 1| > |L/C - 1|, else short. A long enters at L, leaves at H, and gives up at a deeper quantile of the low.
Crypto can't be sold short: there the formula says flat, and `side_rule=both` takes the long all the same.

mode=expected: of all entries, targets and stops on a grid of the sampled paths' quantiles, those with the greatest
expected return after fees and crossed spreads, with the fills counted on the same paths in the engine's order of
events (`trader.core.outcomes`). Nothing is entered unless that return is surely positive: above `margin_bps` by
`sampling_errors` of its own standard errors, since the best of many noisy averages flatters itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from forecasters.types import HIGH, LOW, Forecast
from trader.core import expected
from trader.core.decision import MarketView, Signal
from trader.core.outcomes import Costs, costs_of, outlook
from trader.core.portfolio import is_held
from trader.core.types import AssetClass, EntrySide, Instrument, Quote, Symbol
from trader.core.values import quick
from trader.strategies._levels import exact, exit_prices, level, resting, shallowest, within


class Mode(StrEnum):
    LEVELS = "levels"
    EXPECTED = "expected"


class SideRule(StrEnum):
    FORMULA = "formula"
    BOTH = "both"  # where the formula says short and the venue can't, long


class TargetFill(StrEnum):
    TAKEN = "taken"  # it may be watched only, and then has to be taken: as the risk layer counts it
    RESTING = "resting"  # it surely waits at the venue: EXIT_RESTS=target, or an OCO


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Quantiles are written for a long; a short uses their mirror images (the high at 1 - entry_quantile, ...).

    mode              levels: quantiles of the forecast; expected: the greatest expected return
    steps             bars of the forecast to look over, 1 to 512; fewer where the forecast is shorter

    entry_quantile    levels: the quantile of the low to enter at, 0.01 to 0.99; a lower one is cheaper and rarer
    target_quantile   levels: the quantile of the high to leave at, 0.01 to 0.99; a higher one is dearer and rarer
    stop_quantile     levels: the quantile of the low to stop at, 0 to entry_quantile; no lower than the forecast has
    stop_margin_bps   levels: how far beyond that quantile the stop lies, 0 to 2000
    side_rule         levels: formula takes the side of the larger excursion; both goes long where it can't go short

    margin_bps        expected: the least expected return of placing the entry, 0 to 1000
    sampling_errors   expected: by how many standard errors the return must exceed that, 0 to 10
    target_fill       expected: what a target costs: taken from the book, or resting at the venue
    """

    mode: Mode = Mode.LEVELS
    steps: int = 4
    entry_quantile: float = 0.5
    target_quantile: float = 0.5
    stop_quantile: float = 0.05
    stop_margin_bps: Decimal = Decimal(25)
    side_rule: SideRule = SideRule.FORMULA
    margin_bps: Decimal = Decimal(2)
    sampling_errors: float = 2.0
    target_fill: TargetFill = TargetFill.TAKEN

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 512)
        within("entry_quantile", self.entry_quantile, 0.01, 0.99)
        within("target_quantile", self.target_quantile, 0.01, 0.99)
        within("stop_quantile", self.stop_quantile, 0.0, self.entry_quantile)
        within("stop_margin_bps", float(self.stop_margin_bps), 0, 2000)
        within("margin_bps", float(self.margin_bps), 0, 1000)
        within("sampling_errors", self.sampling_errors, 0, 10)


@quick
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
        forecast, quote, position = view.forecasts[symbol], view.quotes.get(symbol), view.portfolio.position(symbol)
        if position is not None and is_held(position, instrument):
            signals.append(_exits(symbol, forecast, position.entry_side, quote, instrument, params))
        elif quote is None:
            signals.append(Signal(symbol=symbol, entry_side=None, reason="no usable quote"))
        elif params.mode is Mode.EXPECTED:
            signals.append(_best_expected(symbol, forecast, quote, instrument, params))
        else:
            signals.append(_entry(symbol, forecast, quote, instrument, params))
    return tuple(signals)


# ---- levels ----


def band(forecast: Forecast, side: EntrySide, params: Params) -> Band:
    """The levels of one side. Raises ValueError where the forecast can't give them."""
    outer, inner = (LOW, HIGH) if side is EntrySide.LONG else (HIGH, LOW)
    entry = level(forecast, outer, side, params.entry_quantile, params.steps)
    target = level(forecast, inner, side, params.target_quantile, params.steps)
    deepest = max(params.stop_quantile, shallowest(forecast, side))
    stop = level(forecast, outer, side, deepest, params.steps)
    if not entry * side.sign < target * side.sign:
        raise ValueError(f"predicted low and high are crossed: entry {entry:.10g}, target {target:.10g}")
    return Band(
        side=side, entry=entry, target=target, stop=stop * (1 - side.sign * float(params.stop_margin_bps) / 1e4)
    )


def chosen_band(forecast: Forecast, instrument: Instrument, params: Params) -> Band | None:
    """By the formula; None is flat. Raises ValueError where the forecast can't give one."""
    long = band(forecast, EntrySide.LONG, params)
    up, down = abs(long.target / forecast.last_close - 1), abs(long.entry / forecast.last_close - 1)
    if up > down:
        return long
    if not _can_short(instrument):
        return long if params.side_rule is SideRule.BOTH else None
    return band(forecast, EntrySide.SHORT, params)


def _can_short(instrument: Instrument) -> bool:
    return instrument.symbol.asset_class is not AssetClass.CRYPTO and instrument.shortable


def _entry(symbol: Symbol, forecast: Forecast, quote: Quote, instrument: Instrument, params: Params) -> Signal:
    try:
        chosen = chosen_band(forecast, instrument, params)
    except ValueError as error:
        return Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
    if chosen is None:
        return Signal(symbol=symbol, entry_side=None, reason="the larger excursion is down, and it can't be sold short")
    entry = resting(chosen.side, chosen.entry, quote, instrument)
    if entry <= 0:
        return Signal(symbol=symbol, entry_side=None, reason=f"{chosen.entry:.10g} is less than a tick")
    target, stop = exit_prices(chosen.side, chosen.target, chosen.stop, entry, instrument)
    return Signal(
        symbol=symbol,
        entry_side=chosen.side,
        entry=entry,
        target=target,
        stop=stop,
        edge=(target / entry - 1) * chosen.side.sign,
        reason=f"{chosen.side}: {chosen.entry:.10g} to {chosen.target:.10g}, last close {forecast.last_close:.10g}",
    )


def _exits(
    symbol: Symbol, forecast: Forecast, side: EntrySide, quote: Quote | None, instrument: Instrument, params: Params
) -> Signal:
    """Fresh exits for what is held; no entry."""
    try:
        held = band(forecast, side, params)
    except ValueError as error:
        return Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
    if params.mode is Mode.EXPECTED and quote is not None:
        look, costs = outlook(forecast, side, params.steps), _costs(instrument, quote, params)
        best = expected.exits_of_held(look, costs)
        held = Band(side=side, entry=float(quote.mid), target=side.sign * best[0], stop=side.sign * best[1])
    target, stop = exit_prices(side, held.target, held.stop, exact(held.entry), instrument)
    return Signal(symbol=symbol, entry_side=None, target=target, stop=stop, reason=f"{side} held: new exits")


# ---- expected value ----


def _best_expected(symbol: Symbol, forecast: Forecast, quote: Quote, instrument: Instrument, params: Params) -> Signal:
    """Of both sides, where both are possible, the one worth more."""
    sides = [EntrySide.LONG, EntrySide.SHORT] if _can_short(instrument) else [EntrySide.LONG]
    options = [_expected(symbol, forecast, side, quote, instrument, params) for side in sides]
    return max(options, key=lambda option: option[0])[1]  # the first of equals


def _expected(
    symbol: Symbol, forecast: Forecast, side: EntrySide, quote: Quote, instrument: Instrument, params: Params
) -> tuple[float, Signal]:
    """(what placing it is worth, the signal); without an entry where that is too little."""
    look, costs = outlook(forecast, side, params.steps), _costs(instrument, quote, params)
    ours = quote.bid if side is EntrySide.LONG else quote.ask
    grid = expected.grid(look, side.sign * float(ours), costs)
    best = grid.best()
    if best is None:
        return float("-inf"), Signal(symbol=symbol, entry_side=None, reason=f"{side}: no levels in order")
    levels = (grid.entries[best[0]], grid.targets[best[1]], grid.stops[best[2]])
    wanted, goal, floor = (side.sign * float(each) for each in levels)
    entry = resting(side, wanted, quote, instrument)
    if entry <= 0:
        return float("-inf"), Signal(symbol=symbol, entry_side=None, reason=f"{wanted:.10g} is less than a tick")
    target, stop = exit_prices(side, goal, floor, entry, instrument)
    # judged as it would stand on the tick, not as it was found
    sign = float(side.sign)
    worth = expected.worth(look, sign * float(entry), sign * float(target), sign * float(stop), costs)
    least = float(params.margin_bps) / 1e4 + params.sampling_errors * worth.error
    reason = (
        f"{side}: worth {worth.value * 1e4:.1f} bps, needs {least * 1e4:.1f}; fills on {worth.fill:.0%} of the paths"
    )
    if not worth.value > least:
        return worth.value, Signal(symbol=symbol, entry_side=None, reason=reason)
    edge = exact(round(worth.gross, 10))
    return worth.value, Signal(
        symbol=symbol, entry_side=side, entry=entry, target=target, stop=stop, edge=edge, reason=reason
    )


def _costs(instrument: Instrument, quote: Quote, params: Params) -> Costs:
    rests = params.target_fill is TargetFill.RESTING
    return costs_of(instrument, quote, entry_crosses=False, target_rests=rests)
