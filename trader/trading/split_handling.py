"""What the desk and the manager do when a position comes in other units: no stop of the old ones is acted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trader.core.decision import ExitPolicy, Levels
from trader.core.exits import fallback_levels
from trader.core.protect import ProtectAction, own_exits
from trader.core.reconcile import Correction, Reconciliation, Reported
from trader.core.splits import are_forgotten, forgotten, like_a_split, scaled, split_ratio
from trader.core.types import Instrument, Order, Portfolio, Position, Quote, Symbol
from trader.trading.journal_cache import Known
from trader.trading.listener import Listener
from trader.trading.memory import Memory
from trader.trading.ports import Broker, Clock

Found = tuple[Levels, str]  # the levels in the new units, and what to say


class Splits:
    """With the desk's lock held. `desk`: told of halts and alerts."""

    def __init__(self, memory: Memory, known: Known, broker: Broker, clock: Clock, desk: Listener) -> None:
        self._memory, self._known, self._broker, self._clock, self._desk = memory, known, broker, clock, desk
        self._unrecorded = set[Symbol]()  # in new units, which the books have not

    def booking(self, reported: Reported, result: Reconciliation) -> Reconciliation | None:
        """Booked at once, with a halt. None where nothing was split."""
        symbols = self._restate(reported, result)
        if not symbols:
            return None
        booking = result.booking(symbols)
        self._desk.halt("; ".join(c.detail for c in booking.corrections if c.symbol in symbols))
        return booking

    def unrecorded(self, reported: Reported, traded: Reconciliation) -> Reconciliation:
        """The same while the journal takes nothing: what is protected is in the new units, from old levels that are
        scaled once. `booking` does the rest when it is back, from the levels that it has."""
        known_splits = [each for each in traded.unexplained if each.symbol in self._unrecorded]
        rest = tuple(each for each in traded.unexplained if each not in known_splits)
        self._unrecorded |= self._restate(reported, replace(traded, unexplained=rest))
        return traded.booking(self._unrecorded) if self._unrecorded else traded

    def recorded(self) -> None:
        """The journal takes records again."""
        self._unrecorded.clear()

    def _restate(self, reported: Reported, result: Reconciliation) -> set[Symbol]:
        now = self._clock.now()
        restatements = _restatements(self._memory, self._known, self._broker, reported, result, now)
        for levels, text in restatements:
            self._known.save_levels([levels])
            self._desk.restated[levels.symbol] = levels.set_at
            self._desk.alert("split", "error", text)
        return {levels.symbol for levels, _ in restatements}


def _restatements(
    memory: Memory, known: Known, broker: Broker, reported: Reported, result: Reconciliation, now: datetime
) -> list[Found]:
    """Of every position of ours whose units no execution explains, and a split could. Raises Transient."""
    restatements = []
    for correction in result.unexplained:
        symbol = correction.symbol
        if symbol is None:
            continue
        position, levels = reported.portfolio.positions.get(symbol), known.levels().get(symbol)
        if position is None or not like_a_split(symbol, position.qty - correction.qty, position.qty):
            continue
        if _costs_otherwise(memory, position):
            continue
        if levels is not None or symbol in memory.symbols:
            restatements.append(_restated(memory, levels, broker, position, result, correction, now))
    return restatements


def _costs_otherwise(memory: Memory, position: Position) -> bool:
    """More units at the price of before are no split: it leaves what a position has cost as it was."""
    before = memory.portfolio.position(position.symbol) if memory.portfolio else None
    return before is not None and before.avg_entry_price == position.avg_entry_price


def _restated(
    memory: Memory,
    levels: Levels | None,
    broker: Broker,
    position: Position,
    result: Reconciliation,
    correction: Correction,
    now: datetime,
) -> Found:
    symbol, qty = position.symbol, f"{position.qty - correction.qty} are {position.qty}"
    ratio = _ratio(memory, levels, position, result)
    instrument = broker.instruments([symbol]).get(symbol) if ratio is not None else None
    if ratio is None or instrument is None or levels is None or are_forgotten(levels):
        told = "perhaps a split: the levels are not known any more, a fallback stop is set at the next quote"
        return forgotten(levels, symbol, position.entry_side, now), f"{symbol}: {qty}, {told}"
    after = scaled(levels, ratio, instrument, now)
    return after, f"{symbol}: {qty}, a split: stop {levels.stop} is now {after.stop}, target {after.target}"


def _ratio(memory: Memory, levels: Levels | None, position: Position, result: Reconciliation) -> Decimal | None:
    """None, too, where fills or fresh levels came between: they may be in either units."""
    before = memory.portfolio.position(position.symbol) if memory.portfolio else None
    has_fills = any(execution.symbol == position.symbol for execution in result.executions)
    if before is None or has_fills or memory.synced_at is None or levels is None or levels.set_at > memory.synced_at:
        return None
    return split_ratio(before, position)


def in_new_units(quotes: Mapping[Symbol, Quote], since: Mapping[Symbol, datetime]) -> dict[Symbol, Quote]:
    """Without those from before the units changed: yesterday's price would be far beyond a stop of today's."""
    return {symbol: quote for symbol, quote in quotes.items() if symbol not in since or quote.at >= since[symbol]}


def refill(
    levels: Mapping[Symbol, Levels],
    portfolio: Portfolio,
    quotes: Mapping[Symbol, Quote],
    policy: ExitPolicy,
    instruments: Mapping[Symbol, Instrument],
    now: datetime,
) -> list[Levels]:
    """A fallback stop for forgotten levels, as soon as there is a price to set it by. It stays where it is: one that
    is watched and followed the market would never be reached."""
    fallbacks = []
    for symbol, old_levels in levels.items():
        position, quote, instrument = portfolio.position(symbol), quotes.get(symbol), instruments.get(symbol)
        if are_forgotten(old_levels) and position and position.qty and quote and instrument:
            new_levels = fallback_levels(position, quote, policy, instrument, now)
            fallbacks.append(replace(new_levels, expires_at=old_levels.expires_at))
    return fallbacks


def waits_for_a_price(levels: Levels | None, resting: tuple[Order, ...]) -> ProtectAction | None:
    """Nothing of ours may rest meanwhile: it is in the old units, and the venue would carry it out."""
    if not are_forgotten(levels):
        return None
    return ProtectAction(
        cancel=tuple(order.id for order in own_exits(resting)), reason="in new units: a price is waited for"
    )
