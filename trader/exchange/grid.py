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
from trader.exchange.market import Market
from trader.exchange.series import Series


def off_grid(market: Market, symbols: Iterable[Symbol], timeframe: Timeframe) -> dict[str, str]:
    """Of the symbols that could not be traded by bars of that length: why, and what could be done."""
    series = {symbol: market.series(symbol) for symbol in symbols}
    found = {symbol.text: _fault(each, timeframe) for symbol, each in series.items() if each is not None}
    return {name: why for name, why in found.items() if why}


def _fault(series: Series, timeframe: Timeframe) -> str:
    symbol, own = series.symbol, series.timeframe
    if is_session_bar(symbol, timeframe) or not len(series.columns):
        return ""
    places, counts = np.unique(series.columns.times % series.length_us, return_counts=True)
    late = timedelta(microseconds=int(places[counts.argmax()]))
    if not late:
        return ""
    instead = " or trade it by --timeframe 1Day" if symbol.asset_class is AssetClass.STOCK else ""
    return (
        f"{symbol}: its {own} bars begin {late} later than the venue's, which begin at full multiples of {own} in UTC: "
        f"nothing would ever be traded on them. Give finer bars (5Min, say) with --timeframe {timeframe},{instead}"
    ).rstrip(",")
