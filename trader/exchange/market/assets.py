"""What the simulated venue lists: a small built-in table, and rules for what is not in it.

Increments follow the venue's pattern: nine decimals of a coin, a smallest order worth about one dollar, ten dollars
for a buy of crypto, cents for stocks (hundredths of a cent below one dollar).
"""

from __future__ import annotations

from decimal import Decimal

from trader.core.fees import schedule_for
from trader.core.types import AssetClass, Instrument, Symbol

_NANO = Decimal("0.000000001")
_CENT = Decimal("0.01")

# tick in USD, smallest order in units
_CRYPTO: dict[str, tuple[str, str]] = {
    "BTC/USD": ("0.01", "0.00002"),
    "ETH/USD": ("0.01", "0.0004"),
    "SOL/USD": ("0.001", "0.01"),
    "BCH/USD": ("0.01", "0.003"),
    "LTC/USD": ("0.001", "0.01"),
    "AVAX/USD": ("0.001", "0.03"),
    "LINK/USD": ("0.001", "0.05"),
    "UNI/USD": ("0.0001", "0.1"),
    "XRP/USD": ("0.0001", "1"),
    "DOGE/USD": ("0.00001", "5"),
    "SHIB/USD": ("0.0000000001", "40000"),
    "PEPE/USD": ("0.0000000001", "100000"),
}
_STOCKS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT", "GOOGL", "AMZN", "META", "NVDA", "TSLA")

NAMES = {
    "BTC/USD": "Bitcoin / US Dollar",
    "ETH/USD": "Ethereum / US Dollar",
    "SPY": "SPDR S&P 500 ETF Trust",
    "AAPL": "Apple Inc. Common Stock",
}

LISTED: tuple[Symbol, ...] = tuple(Symbol(text) for text in (*_CRYPTO, *_STOCKS))


def instrument_of(symbol: Symbol) -> Instrument:
    """The rules of one symbol; one that is not in the table gets those of its class."""
    if symbol.asset_class is AssetClass.CRYPTO:
        return _pair(symbol)
    return Instrument(
        symbol=symbol,
        tick=_CENT,
        sub_dollar_tick=Decimal("0.0001"),
        lot=_NANO,
        min_qty=_NANO,
        min_notional=Decimal(1),
        fees=schedule_for(AssetClass.STOCK),
        shortable=True,
    )


def _pair(symbol: Symbol) -> Instrument:
    # USDT and USDC quote the same coins in the same steps; a coin that is not listed has the finest ones
    tick, smallest = _CRYPTO.get(f"{symbol.base}/USD", (str(_NANO), str(_NANO)))
    stable = symbol.currency in ("USD", "USDT", "USDC")
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick) if stable else _NANO,
        lot=_NANO,
        min_qty=Decimal(smallest),
        min_notional=Decimal(10) if stable else _NANO,
        fees=schedule_for(AssetClass.CRYPTO),
    )
