"""Target positions: what a strategy wants to hold of a symbol, against what is held.

What is missing becomes an entry, which the risk layer judges like any other. What is too much becomes `Levels.keep`:
the exits that are looked after between bars sell it, and go on from the journal after a crash.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from trader.core.decision import DecisionInputs, Signal
from trader.core.portfolio import is_held
from trader.core.quotes import quote_problem
from trader.core.types import ZERO, AssetClass, EntrySide, Instrument, Position


def missing(inputs: DecisionInputs, signal: Signal, instrument: Instrument) -> tuple[EntrySide, Decimal] | None:
    """The side and the units to enter, unsigned and not on the lot; None for nothing. What is held on the other side
    is left first."""
    qty, wanted = _held(inputs, instrument), _wanted(inputs, signal, instrument)
    if not wanted or wanted * qty < 0 or abs(wanted) - abs(qty) <= band_of(inputs, signal, instrument):
        return None
    return EntrySide.LONG if wanted > 0 else EntrySide.SHORT, abs(wanted) - abs(qty)


def kept(inputs: DecisionInputs, signal: Signal, instrument: Instrument) -> Decimal | None:
    """Units of what is held that stay, unsigned; None where nothing is to be sold.

    A share of equity is no reason to sell while nobody can vouch for the equity, or for the books.
    """
    qty = _held(inputs, instrument)
    if not qty:
        return None
    if signal.is_leaving:
        return ZERO
    wanted = _wanted(inputs, signal, instrument)
    if wanted is None or (signal.weight is not None and inputs.risk.doubted):
        return None
    if wanted * qty < 0:
        return ZERO
    if abs(qty) - abs(wanted) <= band_of(inputs, signal, instrument):
        return None
    whole = instrument.symbol.asset_class is AssetClass.STOCK and abs(wanted) >= 1
    # of shares only whole ones can be protected by an order that outlives the day
    return abs(wanted).to_integral_value(rounding=ROUND_CEILING) if whole else abs(wanted)


def touch(inputs: DecisionInputs, side: EntrySide, instrument: Instrument) -> Decimal | None:
    """The price at which it can be had at once, on the tick; None without a quote that may be traded on."""
    quote = inputs.quotes.get(instrument.symbol)
    if quote is None or quote_problem(quote, inputs.now, inputs.limits) is not None:
        return None
    price = instrument.price_up(quote.ask) if side is EntrySide.LONG else instrument.price_down(quote.bid)
    return price if price > 0 else None


def _held(inputs: DecisionInputs, instrument: Instrument) -> Decimal:
    """Signed; dust is nothing."""
    position = inputs.portfolio.position(instrument.symbol)
    return position.qty if position is not None and is_held(position, instrument) else ZERO


def _wanted(inputs: DecisionInputs, signal: Signal, instrument: Instrument) -> Decimal | None:
    """Signed units; None where nothing says what a share of equity is in units."""
    if signal.units is not None or not signal.weight:
        return signal.units or ZERO
    price, equity = _price(inputs, instrument), inputs.portfolio.account.equity
    if price is None or not equity.is_finite() or equity <= 0:
        return None
    return signal.weight * equity / price


def band_of(inputs: DecisionInputs, signal: Signal, instrument: Instrument) -> Decimal:
    """In units: within it nothing is done. Zero where nothing says what a share of equity is in units."""
    if signal.units is not None:
        return signal.band
    price = _price(inputs, instrument)
    return ZERO if price is None else signal.band * inputs.portfolio.account.equity / price


def _price(inputs: DecisionInputs, instrument: Instrument) -> Decimal | None:
    """The middle of a quote that may be traded on, else the venue's own mark of what is held."""
    quote = inputs.quotes.get(instrument.symbol)
    if quote is not None and quote_problem(quote, inputs.now, inputs.limits) is None:
        return quote.mid
    position: Position | None = inputs.portfolio.position(instrument.symbol)
    mark = None if position is None else position.mark
    return mark if mark is not None and mark.is_finite() and mark > 0 else None
