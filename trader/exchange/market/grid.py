"""Do bars begin when the venue's begin? Those of hours that start at half past can be played, but not traded.

The venue's bars begin at full multiples of their length in UTC, but for a stock's days, which are sessions. A trader
of the one length looks at those times for a bar that closed just then: it would look for ever, here as at the venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import numpy as np

from trader.core.days import is_session_bar
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.exchange.market.files import Micros
from trader.exchange.market.market import Market
from trader.exchange.market.series import length_of


def off_grid(market: Market, symbols: Iterable[Symbol], timeframe: Timeframe) -> dict[str, str]:
    """Of the symbols that could not be traded by bars of that length: why, and what could be done."""
    reasons = {}
    for symbol in symbols:
        series = market.series(symbol)
        delay = timedelta(0) if series is None else lateness(symbol, series.timeframe, series.columns.times)
        if series is not None and delay and not is_session_bar(symbol, timeframe):
            reasons[symbol.text] = f"{told(symbol, series.timeframe, delay)}{_instead(symbol, timeframe)}"
    return reasons


def lateness(symbol: Symbol, timeframe: Timeframe, times: Micros) -> timedelta:
    """How long after the venue's bars most of these begin. Zero for a stock's days: those of any stamp are traded."""
    if is_session_bar(symbol, timeframe) or not len(times):
        return timedelta(0)
    places, counts = np.unique(times % length_of(timeframe), return_counts=True)
    return timedelta(microseconds=int(places[counts.argmax()]))


def told(symbol: Symbol, timeframe: Timeframe, late: timedelta) -> str:
    return (
        f"{symbol}: its {timeframe} bars begin {late} later than the venue's, which begin at full multiples of "
        f"{timeframe} in UTC: nothing would ever be traded on them"
    )


def _instead(symbol: Symbol, timeframe: Timeframe) -> str:
    days = ", or trade it by --timeframe 1Day" if symbol.asset_class is AssetClass.STOCK else ""
    return f". Give finer bars (5Min, say) with --timeframe {timeframe}{days}"
