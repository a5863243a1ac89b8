"""Buys where a rise out of the range is likelier than a fall out of it.

The range reaches `width_bps` to both sides of the market. From the forecast's quantiles comes how likely the high is to
leave it above within the next bars, and the low below. Where the rise is likely enough, and likelier than the fall by a
lead, it buys: out at the upper edge with a profit, at a stop somewhat below the lower edge with a loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from forecasters.types import HIGH, LOW, Forecast
from trader.core.decision import MarketView, Signal
from trader.core.types import EntrySide, Instrument, Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Each is a setting: BREAKOUT__WIDTH_BPS=120.

    width_bps  from the market to each edge of the range, 10 to 2000
    steps      within so many bars, 1 to 512
    chance     least probability of the rise, 0 to 1
    lead       by how much it must be likelier than the fall, 0 to 1
    slack      the stop lies below the lower edge by this share of the width, 0 to 5
    """

    width_bps: float = 80.0
    steps: int = 4
    chance: float = 0.4
    lead: float = 0.05
    slack: float = 0.25

    def __post_init__(self) -> None:
        bounds = {"width_bps": (10, 2000), "steps": (1, 512), "chance": (0, 1), "lead": (0, 1), "slack": (0, 5)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)} is not in {least} to {most}")


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """A pure function: equal views, equal signals. One signal a symbol, in the order of the symbols."""
    signals = []
    for symbol in sorted(view.forecasts):
        quote, instrument = view.quotes.get(symbol), view.instruments.get(symbol)
        if view.portfolio.position(symbol) is not None:
            # no new levels: what is held leaves at those that it was entered with
            signals.append(Signal(symbol=symbol, entry_side=None, reason="held"))
        elif quote is not None and instrument is not None:
            signals.append(_signal(view.forecasts[symbol], quote, instrument, params))
    return tuple(signals)


def chances(forecast: Forecast, upper: float, lower: float, steps: int) -> tuple[float, float]:
    """(that the high of the next bars goes above `upper`, that the low goes below `lower`).

    A forecast gives no joint distribution of its bars here: the likeliest single bar counts, which is a lower bound.
    """
    levels, table = forecast.levels, forecast.quantiles[:, :steps]  # [Q], [Q, H, C]
    bars = range(table.shape[1])
    rise = max(1 - float(np.interp(upper, table[:, bar, HIGH], levels, left=0.0, right=1.0)) for bar in bars)
    fall = max(float(np.interp(lower, table[:, bar, LOW], levels, left=0.0, right=1.0)) for bar in bars)
    return rise, fall


def _signal(forecast: Forecast, quote: Quote, instrument: Instrument, params: Params) -> Signal:
    width = params.width_bps / 1e4
    middle = float(quote.mid)
    rise, fall = chances(forecast, middle * (1 + width), middle * (1 - width), params.steps)
    reason = f"up {params.width_bps:g} bps: {rise:.0%}, down: {fall:.0%}"
    symbol = instrument.symbol
    if rise < params.chance or rise - fall < params.lead:
        return Signal(symbol=symbol, entry_side=None, reason=reason)
    # prices are exact and on the tick: the entry at our own side of the book, both exits rounded against us
    entry = instrument.price_down(quote.bid)
    target = instrument.price_down(_exact(middle * (1 + width)))
    stop = instrument.price_down(_exact(middle * (1 - width * (1 + params.slack))))
    if not 0 < stop < entry < target:
        return Signal(symbol=symbol, entry_side=None, reason=f"{reason}; the range is narrower than the spread")
    return Signal(
        symbol=symbol,
        entry_side=EntrySide.LONG,
        entry=entry,
        target=target,
        stop=stop,
        edge=_exact(round(float(target / entry) - 1, 10)),  # before costs: the risk layer subtracts those itself
        reason=reason,
    )


def _exact(value: float) -> Decimal:
    """The shortest decimal that is this float."""
    return Decimal(repr(value))
