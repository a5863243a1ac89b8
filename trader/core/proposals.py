"""Entries that have been sized: what they would bring after costs, and what they cost in buying power."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from forecasters.types import Forecast
from trader.core.decision import DecisionInputs, ExitPolicy, ExitRests, Signal
from trader.core.quotes import quote_problem
from trader.core.types import AssetClass, EntrySide, Instrument, Quote, Symbol
from trader.core.values import quick

BPS = Decimal(10_000)
SHORT_MARGIN = Decimal("1.03")  # the venue values a short at the higher of its limit and this times the ask


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An entry that has been sized and not yet judged. Made by `proposed`.

    wanted       units
    last         the forecast's last close, quote currency; None without a forecast
    quote_fault  why nothing may be entered on the quote, or None
    edge_bps     of the round trip, net; None where there is no target or no usable quote
    """

    signal: Signal
    side: EntrySide
    entry: Decimal
    wanted: Decimal
    instrument: Instrument
    quote: Quote | None
    forecast: Forecast | None
    last: Decimal | None
    quote_fault: str | None
    edge_bps: Decimal | None

    @property
    def symbol(self) -> Symbol:
        return self.signal.symbol


def proposed(
    inputs: DecisionInputs, signal: Signal, side: EntrySide, entry: Decimal, wanted: Decimal, instrument: Instrument
) -> Proposal:
    """With what several rules ask of it, worked out once."""
    quote, forecast = inputs.quotes.get(signal.symbol), inputs.forecasts.get(signal.symbol)
    fault = quote_problem(quote, inputs.now, inputs.limits)
    usable = quote if fault is None else None
    return Proposal(
        signal=signal,
        side=side,
        entry=entry,
        wanted=wanted,
        instrument=instrument,
        quote=quote,
        forecast=forecast,
        last=None if forecast is None else Decimal(repr(float(forecast.last_close))),
        quote_fault=fault,
        edge_bps=_net_edge_bps(inputs.exits, signal, side, entry, wanted, instrument, usable),
    )


def cost_ratio(proposal: Proposal) -> Decimal:
    """Buying power that the venue takes for each unit of notional."""
    if proposal.side is EntrySide.LONG or proposal.quote is None:
        return Decimal(1)
    return max(Decimal(1), SHORT_MARGIN * proposal.quote.ask / proposal.entry)


# ---- the edge ----


def round_trip_edge_bps(
    entry: Decimal,
    target: Decimal,
    entry_side: EntrySide,
    *,
    fee_in_bps: Decimal,
    fee_out_bps: Decimal,
    quote: Quote,
    crossed_legs: int,
) -> Decimal:
    """exit/entry - 1 (mirrored for a short), less both fills' fees and half a spread for each leg that crosses."""
    gross = (target / entry - 1) * entry_side.sign * BPS
    return gross - fee_in_bps - fee_out_bps - quote.spread_bps / 2 * crossed_legs


def _net_edge_bps(
    exits: ExitPolicy,
    signal: Signal,
    side: EntrySide,
    entry: Decimal,
    wanted: Decimal,
    instrument: Instrument,
    quote: Quote | None,
) -> Decimal | None:
    """The entry rests (maker) unless it crosses the quote; the exit counts as taker across half a spread unless the
    target itself rests for certain: where it is only watched, it may have to be taken.
    """
    target, fees = signal.target, instrument.fees
    if signal.is_target:
        target = None if signal.edge is None else entry * (1 + side.sign * signal.edge)
    if quote is None or target is None or not target.is_finite():
        return None
    entry_crosses = _crosses(side, entry, quote)
    oco = instrument.symbol.asset_class is AssetClass.STOCK and wanted == wanted.to_integral_value()
    exit_crosses = signal.is_target or (not oco and exits.exit_rests is not ExitRests.TARGET)
    return round_trip_edge_bps(
        entry,
        target,
        side,
        fee_in_bps=fees.taker_bps if entry_crosses else fees.maker_bps,
        fee_out_bps=fees.taker_bps if exit_crosses else fees.maker_bps,
        quote=quote,
        crossed_legs=int(entry_crosses) + int(exit_crosses),
    )


def _crosses(side: EntrySide, entry: Decimal, quote: Quote) -> bool:
    """Whether the entry takes what is on offer instead of waiting for it, and so pays the spread."""
    return entry >= quote.ask if side is EntrySide.LONG else entry <= quote.bid
