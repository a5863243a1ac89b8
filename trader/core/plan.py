"""Signals to orders: sizing, then risk, then intents. Pure: equal inputs, equal plan, byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import inf, isfinite

from forecasters.types import Forecast
from trader.core.decision import (
    DecisionInputs,
    Denial,
    Hold,
    Levels,
    MarketView,
    Plan,
    Signal,
    Sizing,
    SizingRule,
    Verdict,
)
from trader.core.ids import client_order_id, purpose_of
from trader.core.kelly import kelly_share
from trader.core.market import extent, to_datetime
from trader.core.portfolio import Exposure, exposure_of, is_held, orphans, own_entries, unpriced_orders
from trader.core.proposals import Proposal, cost_ratio, proposed
from trader.core.quotes import quote_problem
from trader.core.risk import Ground, assess
from trader.core.sizing import size
from trader.core.targets import band_of, kept, missing, touch
from trader.core.types import (
    ZERO,
    AssetClass,
    EntrySide,
    Instrument,
    Order,
    OrderIntent,
    OrderSide,
    OrderType,
    Purpose,
    Symbol,
    TimeInForce,
)
from trader.core.values import altered, maker

_new_ground = maker(Ground)
_new_plan = maker(Plan)
_new_market_view = maker(MarketView)


STOP_STEP = Decimal("0.2")  # of a target's stop, of its distance: it moves by no less


def view_of(inputs: DecisionInputs) -> MarketView:
    """What the strategy may see of the inputs: usable quotes and finite forecasts only."""
    quotes = {
        symbol: quote
        for symbol, quote in inputs.quotes.items()
        if inputs.add_latest and quote_problem(quote, inputs.now, inputs.limits) is None
    }
    return _new_market_view(
        now=inputs.now,
        timeframe=inputs.timeframe,
        portfolio=inputs.portfolio,
        quotes=quotes,
        forecasts={symbol: f for symbol, f in inputs.forecasts.items() if _is_usable(f)},
        instruments=inputs.instruments,
        bars=inputs.bars,
        since={s: level.since for s, level in inputs.levels.items() if level.since is not None},
    )


def plan(inputs: DecisionInputs, signals: Sequence[Signal]) -> Plan:
    """`cancels` are venue ids of our open entries from earlier cycles, and of exits whose position is gone: to be
    confirmed terminal before `intents` go.

    An intent whose symbol filled while being cancelled must be dropped by the caller (one position a symbol).
    The order of `signals` does not matter: the best net edge is served first, so that what is left of the shared
    limits goes to it.
    """
    old_orders = (*own_entries(inputs.portfolio), *orphans(inputs.portfolio))
    ground = _ground(inputs, old_orders)
    proposals, verdicts = _proposals(inputs, signals, ground)
    intents: dict[Symbol, OrderIntent] = {}
    for proposal in _best_first(proposals):
        verdict = _worth_doing(inputs, proposal, assess(proposal, ground))
        verdicts[proposal.symbol] = verdict
        if verdict.allowed > 0:
            intents[proposal.symbol] = _intent(inputs, proposal, verdict.allowed)
            ground = altered(ground, exposure=_taken(ground.exposure, proposal, verdict.allowed))
    sorted_signals = _ordered(signals)
    levels = [_levels(inputs, signal, intents.get(signal.symbol)) for signal in sorted_signals]
    return _new_plan(
        signals=tuple(sorted_signals),
        verdicts=tuple(verdicts[symbol] for symbol in sorted(verdicts)),
        cancels=tuple(sorted(order.id for order in old_orders)),
        intents=tuple(intents[symbol] for symbol in sorted(intents)),
        levels=tuple(level for level in levels if level is not None),
    )


def _worth_doing(inputs: DecisionInputs, proposal: Proposal, verdict: Verdict) -> Verdict:
    """What a limit leaves of a step towards a target is not taken where it is within the band: a cap that gives way by
    a little with each bar would make an order each time."""
    band = band_of(inputs, proposal.signal, proposal.instrument) if proposal.signal.is_target else ZERO
    if not 0 < verdict.allowed <= band:
        return verdict
    least = proposal.instrument.qty_down(band)
    denial = Denial(
        symbol=proposal.symbol, rule="band", detail=f"room for {verdict.allowed}, within the band of {least}"
    )
    return altered(verdict, allowed=ZERO, denials=(*verdict.denials, denial))


def _is_usable(forecast: Forecast) -> bool:
    return all(map(isfinite, extent(forecast))) and 0 < forecast.last_close < inf and len(forecast.times) > 0


def _ordered(signals: Sequence[Signal]) -> list[Signal]:
    """By symbol; several of one, a fault, by what they say: the order in which they came decides nothing."""
    by_symbol = sorted(signals, key=lambda signal: signal.symbol)
    distinct = all(one.symbol != two.symbol for one, two in pairwise(by_symbol))
    return by_symbol if distinct else sorted(signals, key=lambda signal: (signal.symbol, repr(signal)))


# ---- proposals ----


def _proposals(
    inputs: DecisionInputs, signals: Sequence[Signal], ground: Ground
) -> tuple[list[Proposal], dict[Symbol, Verdict]]:
    """Sized entries, and the verdicts on those that could not even be sized."""
    proposals: list[Proposal] = []
    refused: dict[Symbol, Verdict] = {}
    count = Counter(signal.symbol for signal in signals)
    for signal in signals:
        side, entry, instrument = signal.entry_side, signal.entry, inputs.instruments.get(signal.symbol)
        if signal.is_target and count[signal.symbol] == 1:
            found = _toward_target(inputs, signal, instrument)
            if isinstance(found, Verdict):
                refused[signal.symbol] = found
            elif found is not None:
                proposals.append(found)
        elif count[signal.symbol] > 1:
            refused[signal.symbol] = _refusal(signal, "one_intent", f"{count[signal.symbol]} signals for one symbol")
        elif side is None:
            continue
        elif instrument is None:
            refused[signal.symbol] = _refusal(signal, "asset", "unknown to the venue")
        elif entry is None or not entry.is_finite() or entry <= 0:
            refused[signal.symbol] = _refusal(signal, "levels", f"entry {entry}")
        else:
            proposals.append(_proposal(inputs, signal, side, entry, instrument, ground))
    return proposals, refused


def _refusal(signal: Signal, rule: str, detail: str) -> Verdict:
    denial = Denial(symbol=signal.symbol, rule=rule, detail=detail)
    return Verdict(symbol=signal.symbol, wanted=ZERO, allowed=ZERO, denials=(denial,))


def _proposal(
    inputs: DecisionInputs, signal: Signal, side: EntrySide, entry: Decimal, instrument: Instrument, ground: Ground
) -> Proposal:
    equity = inputs.portfolio.account.equity
    spendable = ground.spendable[signal.symbol.asset_class]
    sizing = _sizing(inputs, signal, side, instrument)
    wanted = size(sizing, equity, spendable, entry, side, instrument) if equity.is_finite() else ZERO
    return proposed(inputs, signal, side, entry, wanted, instrument)


def _toward_target(inputs: DecisionInputs, signal: Signal, instrument: Instrument | None) -> Proposal | Verdict | None:
    """The entry of what is missing, why it can't even be sized, or None where nothing is missing."""
    if instrument is None:
        return None if signal.is_leaving else _refusal(signal, "asset", "unknown to the venue")
    wish = missing(inputs, signal, instrument)
    if wish is None:
        return None
    side, qty = wish
    entry = signal.entry if signal.entry is not None else touch(inputs, side, instrument)
    if entry is None:
        return _refusal(
            signal, "quote", quote_problem(inputs.quotes.get(signal.symbol), inputs.now, inputs.limits) or ""
        )
    return proposed(inputs, signal, side, entry, qty, instrument)


def _sizing(inputs: DecisionInputs, signal: Signal, side: EntrySide, instrument: Instrument) -> Sizing:
    """By Kelly the share is the signal's own, on a quote and a forecast that could be traded on."""
    if inputs.sizing.rule is not SizingRule.KELLY:
        return inputs.sizing
    quote, forecast = inputs.quotes.get(signal.symbol), inputs.forecasts.get(signal.symbol)
    fit = quote_problem(quote, inputs.now, inputs.limits) is None and forecast is not None and _is_usable(forecast)
    share = kelly_share(inputs.sizing, signal, side, forecast, quote, instrument) if fit else ZERO
    return replace(inputs.sizing, fraction=share)


def _best_first(proposals: Sequence[Proposal]) -> list[Proposal]:
    def rank(proposal: Proposal) -> tuple[Decimal, Symbol]:
        edge = proposal.edge_bps
        return (-edge if edge is not None else Decimal("Infinity"), proposal.symbol)

    return sorted(proposals, key=rank)


# ---- the ground that proposals stand on ----


def _ground(inputs: DecisionInputs, old_orders: Sequence[Order]) -> Ground:
    portfolio, old_ids = inputs.portfolio, frozenset(order.id for order in old_orders)
    return _new_ground(
        inputs=inputs,
        exposure=exposure_of(portfolio, inputs.instruments, inputs.quotes, old_ids),
        spendable=_spendable(inputs),
        blocked=frozenset(order.symbol for order in portfolio.orders if order.is_open and order.id not in old_ids),
        unpriced=frozenset(order.symbol for order in unpriced_orders(portfolio, inputs.quotes, old_ids)),
        strange=frozenset(order.symbol for order in portfolio.orders if order.is_open and purpose_of(order) is None),
    )


def _spendable(inputs: DecisionInputs) -> dict[AssetClass, Decimal]:
    """Buying power with what our stale entries hold of it given back; crypto is bought with cash only."""
    account = inputs.portfolio.account
    entries = own_entries(inputs.portfolio)
    held = (o.remaining * o.limit_price for o in entries if o.limit_price and o.side is OrderSide.BUY)
    if not (account.buying_power.is_finite() and account.cash.is_finite()):
        return dict.fromkeys(AssetClass, ZERO)
    power = account.buying_power + sum(held, ZERO)
    return {AssetClass.CRYPTO: min(account.cash, power), AssetClass.STOCK: power}


def _taken(exposure: Exposure, proposal: Proposal, qty: Decimal) -> Exposure:
    notional = qty * proposal.entry
    return exposure.taking(proposal.symbol, proposal.side, notional, notional * cost_ratio(proposal))


# ---- results ----


def _intent(inputs: DecisionInputs, proposal: Proposal, qty: Decimal) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id(
            inputs.portfolio.account.id, inputs.cycle_id, proposal.symbol, Purpose.ENTRY, 0
        ),
        symbol=proposal.symbol,
        purpose=Purpose.ENTRY,
        entry_side=proposal.side,
        order_side=proposal.side.opening,
        qty=qty,
        type=OrderType.LIMIT,
        tif=_tif(proposal),
        limit_price=proposal.entry,
        reason=proposal.signal.reason,
    )


def _tif(proposal: Proposal) -> TimeInForce:
    """What brings a position to its target takes what is there now, and does not wait."""
    if proposal.symbol.asset_class is not AssetClass.CRYPTO:
        return TimeInForce.DAY  # a fraction of a share is refused with another one
    return TimeInForce.IOC if proposal.signal.is_target else TimeInForce.GTC


def _levels(inputs: DecisionInputs, signal: Signal, intent: OrderIntent | None) -> Levels | None:
    """Fresh levels of a position that is held or being entered; None keeps the old ones."""
    position = inputs.portfolio.position(signal.symbol)
    if position is not None and is_held(position, inputs.instruments.get(signal.symbol)):
        repriced = _toward if signal.is_target else _repriced
        return repriced(inputs, signal, position.entry_side)
    if intent is None:
        return None
    return Levels(
        symbol=signal.symbol,
        entry_side=intent.entry_side,
        target=signal.target,
        stop=signal.stop,
        set_at=inputs.now,
        expires_at=_expiry(inputs, signal),
        since=_since(inputs, None),
    )


def _toward(inputs: DecisionInputs, signal: Signal, side: EntrySide) -> Levels | None:
    """Of a position with a target. Its stop is where the strategy says: it is there for what nobody foresaw, and goes
    with the market."""
    old = inputs.levels.get(signal.symbol)
    if old is not None and old.entry_side is not side:
        old = None
    instrument = inputs.instruments.get(signal.symbol)
    keep = kept(inputs, signal, instrument) if instrument is not None else ZERO if signal.is_leaving else None
    sane = _is_sane(inputs, signal, side, signal.target, signal.stop)
    stop = _moved_stop(inputs, signal, old) if sane else (old.stop if old else None)
    target = signal.target if sane else (old.target if old else None)
    if keep is None and not sane:
        return None
    if stop is not None and target is not None and stop * side.sign >= target * side.sign:
        target = None
    return Levels(
        symbol=signal.symbol,
        entry_side=side,
        target=target,
        stop=stop,
        set_at=inputs.now,
        expires_at=old.expires_at if old is not None and signal.is_leaving else _expiry(inputs, signal),
        keep=keep,
        since=_since(inputs, old),
        why=signal.reason if keep is not None else "",
    )


def _moved_stop(inputs: DecisionInputs, signal: Signal, old: Levels | None) -> Decimal | None:
    """The old one while the new one lies near it: each move takes the stop away from the venue for a moment."""
    if old is None or old.stop is None or signal.stop is None:
        return signal.stop if signal.stop is not None else (old.stop if old else None)
    last_close = Decimal(repr(float(inputs.forecasts[signal.symbol].last_close)))
    near = abs(signal.stop - old.stop) <= STOP_STEP * abs(last_close - signal.stop)
    return old.stop if near else signal.stop


def _since(inputs: DecisionInputs, old: Levels | None) -> datetime | None:
    if not inputs.ages:
        return None
    return inputs.now if old is None else old.since


def _repriced(inputs: DecisionInputs, signal: Signal, side: EntrySide) -> Levels | None:
    """The target follows the forecast; the stop is only ever tightened; the age is the position's, not the level's."""
    old = inputs.levels.get(signal.symbol)
    if old is not None and old.entry_side is not side:
        old = None
    target = signal.target if signal.target is not None else (old.target if old else None)
    stops = [stop for stop in (signal.stop, old.stop if old else None) if stop is not None]
    stop = max(stops, key=lambda price: price * side.sign) if stops else None
    if signal.target is None and signal.stop is None:
        return None
    if not _is_sane(inputs, signal, side, target, stop):
        return None
    return Levels(
        symbol=signal.symbol,
        entry_side=side,
        target=target,
        stop=stop,
        set_at=inputs.now,
        expires_at=old.expires_at if old else _expiry(inputs, signal),
        since=_since(inputs, old),
    )


def _is_sane(
    inputs: DecisionInputs, signal: Signal, side: EntrySide, target: Decimal | None, stop: Decimal | None
) -> bool:
    prices = [price for price in (target, stop) if price is not None]
    if any(not price.is_finite() or price <= 0 for price in prices):
        return False
    if target is not None and stop is not None and stop * side.sign >= target * side.sign:
        return False
    forecast = inputs.forecasts.get(signal.symbol)
    if forecast is None or not _is_usable(forecast):
        return False
    last_close = Decimal(repr(float(forecast.last_close)))
    new_prices = [price for price in (signal.target, signal.stop) if price is not None]
    return all(abs(price / last_close - 1) <= inputs.limits.max_level_distance for price in new_prices)


def _expiry(inputs: DecisionInputs, signal: Signal) -> datetime:
    """HOLD=bar: the close of the first forecast bar. HOLD=carry: the greatest age, or the strategy's own where that is
    less. A target is wanted anew with each bar, whatever HOLD says."""
    forecast, exits = inputs.forecasts.get(signal.symbol), inputs.exits
    longest = exits.target_age if signal.is_target else exits.max_age
    if not signal.is_target and inputs.exits.hold is Hold.BAR and forecast is not None and len(forecast.times):
        return to_datetime(forecast.times[0]) + inputs.timeframe.duration
    return inputs.now + (longest if signal.max_age is None else min(signal.max_age, longest))
