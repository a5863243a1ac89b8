"""How much: a fixed fraction of equity, never rounded up."""

from __future__ import annotations

from decimal import Decimal

from trader.core.decision import Sizing
from trader.core.types import ZERO, AssetClass, EntrySide, Instrument


def size(
    sizing: Sizing, equity: Decimal, spendable: Decimal, entry: Decimal, side: EntrySide, instrument: Instrument
) -> Decimal:
    """Units for an entry at `entry`; zero where what may be spent does not reach the venue's minimums.

    equity, spendable  account currency; `spendable` is the cash or buying power that is left
    """
    if entry <= 0 or equity <= 0:
        return ZERO
    return units(min(equity * sizing.fraction, spendable), entry, side, instrument)


def units(notional: Decimal, entry: Decimal, side: EntrySide, instrument: Instrument) -> Decimal:
    """The most units that `notional` buys in one valid order; zero where there is none."""
    return tradable(max(notional, ZERO) / entry, entry, side, instrument)


def tradable(qty: Decimal, entry: Decimal, side: EntrySide, instrument: Instrument) -> Decimal:
    """`qty` floored to what the venue takes, or zero.

    A stock from one share up is floored to whole shares: only those can be protected by an OCO at the venue; shorts
    and shares that can't be split must be whole anyway.
    """
    floored = instrument.qty_down(qty)
    if instrument.symbol.asset_class is AssetClass.STOCK:
        whole = floored.to_integral_value(rounding="ROUND_FLOOR")
        if whole >= 1 or side is EntrySide.SHORT or not instrument.fractionable:
            floored = instrument.qty_down(whole)
    if floored <= 0 or floored < instrument.min_qty or floored * entry < instrument.min_notional:
        return ZERO
    return floored
