"""The market-data API's JSON: bars, quotes, trades, snapshots, order books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trader.core.types import AssetClass, Quote
from trader.exchange.api.wire import Json, stamp
from trader.exchange.market.market import BarRow

SYNTHETIC = "SYNTHETIC"  # a condition that no real quote carries: this one was modelled, not seen


def bar(row: BarRow) -> Json:
    return {
        "t": stamp(row.start),
        "o": row.open,
        "h": row.high,
        "l": row.low,
        "c": row.close,
        "v": row.volume,
        "n": row.trades,
        "vw": row.vwap,
    }


def quote(item: Quote) -> Json:
    body: Json = {
        "t": stamp(item.at),
        "bp": float(item.bid),
        "bs": float(item.bid_size),
        "ap": float(item.ask),
        "as": float(item.ask_size),
    }
    if item.symbol.asset_class is AssetClass.STOCK:
        body |= {"bx": "V", "ax": "V", "z": "C", "c": ["R"]}
    if item.synthetic:
        body["c"] = [SYNTHETIC]
    return body


def trade(row: BarRow, at_text: str, ident: int, *, crypto: bool) -> Json:
    """The bar's last trade: price its close, size its mean trade."""
    body: Json = {"t": at_text, "p": row.close, "s": row.volume / max(row.trades, 1), "i": ident}
    return body | ({"tks": "B"} if crypto else {"x": "V", "c": ["@"], "z": "C"})


def orderbook(item: Quote) -> Json:
    """One level a side: that is all the quote tells."""
    return {
        "t": stamp(item.at),
        "b": [{"p": float(item.bid), "s": float(item.bid_size)}],
        "a": [{"p": float(item.ask), "s": float(item.ask_size)}],
    }


def snapshot(parts: Mapping[str, Any]) -> Json:
    names = ("latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar")
    return {name: parts.get(name) for name in names}
