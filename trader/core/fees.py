"""The one source of fees: used by the edge gates, the books, the exchange and the backtest alike.

Source: Alpaca's crypto fee tiers by 30-day volume. Stocks carry no commission.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from trader.core.types import ZERO, AssetClass, FeeSchedule, OrderSide, Symbol

# 30-day volume from which the tier holds (USD), maker bps, taker bps
CRYPTO_TIERS: tuple[tuple[Decimal, Decimal, Decimal], ...] = tuple(
    (Decimal(volume), Decimal(maker), Decimal(taker))
    for volume, maker, taker in (
        (0, 15, 25), (100_000, 12, 22), (500_000, 10, 20), (1_000_000, 8, 18),
        (10_000_000, 5, 15), (25_000_000, 2, 13), (50_000_000, 2, 12), (100_000_000, 0, 10),
    )
)  # fmt: skip
FREE = FeeSchedule(maker_bps=ZERO, taker_bps=ZERO)
_STEP = Decimal("0.000000001")  # the venue keeps nine decimals of a coin and of a dollar


def schedule_for(asset_class: AssetClass, volume_30d: Decimal = ZERO) -> FeeSchedule:
    """The schedule of an account that traded `volume_30d` USD of crypto in the last 30 days."""
    if asset_class is AssetClass.STOCK:
        return FREE
    _, maker, taker = max(tier for tier in CRYPTO_TIERS if tier[0] <= volume_30d)
    return FeeSchedule(maker_bps=maker, taker_bps=taker)


def fee_of(symbol: Symbol, side: OrderSide, qty: Decimal, price: Decimal, bps: Decimal) -> tuple[Decimal, str]:
    """(fee, its currency) of one fill: of the coin for a crypto buy, of the quote currency otherwise."""
    if symbol.asset_class is AssetClass.CRYPTO and side is OrderSide.BUY:
        credited, currency = qty, symbol.base
    else:
        credited, currency = qty * price, symbol.currency
    return (credited * bps / 10_000).quantize(_STEP, rounding=ROUND_HALF_UP), currency
