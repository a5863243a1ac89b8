"""The venue's rules for what is traded: ticks, lots, whether it may be traded or shorted. They change, and are read
again once a day and after a refusal that a change could explain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

from trader.core.portfolio import is_dust
from trader.core.types import Instrument, Position, Symbol
from trader.errors import Transient
from trader.trading.desk import Desk

EVERY_S, RETRY_S = 86_400.0, 600.0  # and after a failure
WORTH_TELLING = Decimal(10)  # quote currency: less is what fees and rounding leave

Instruments = Mapping[Symbol, Instrument]


class VenueRules:
    """To be called with the desk's lock held. What is known is never changed: another mapping is returned."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._due = desk.clock.monotonic() + EVERY_S  # they were read for the start
        self._told_dust: set[Symbol] = set()

    def daily(self, known: Instruments, held: Mapping[Symbol, Position]) -> Instruments:
        """To be called in each run. What may not be sold for being too small is told of, too."""
        self._tell_dust(known, held)
        now = self._desk.clock.monotonic()
        if now < self._due:
            return known
        try:
            fresh = self._desk.broker.instruments(sorted(known), fresh=True)
        except Transient as error:
            self._due = now + RETRY_S
            self._desk.board.say("venue", f"assets: {error}")
            return known
        self._due = now + EVERY_S
        # one that is not listed any more may be left by what was known of it, and not be entered
        return self._changed(
            known, {s: fresh.get(s) or replace(each, tradable=False) for s, each in known.items()}, held
        )

    def _tell_dust(self, known: Instruments, held: Mapping[Symbol, Position]) -> None:
        dust = {
            s for s, each in held.items() if s in known and is_dust(each, known[s]) and _worth(each) >= WORTH_TELLING
        }
        for symbol in sorted(dust - self._told_dust):
            text = f"{held[symbol].qty} is too small to be sold and has no exit: {_said(known[symbol])}"
            self._desk.alert("rules", "error", f"{symbol}: {text}")
        for symbol in sorted(self._told_dust - dust):
            self._desk.alert("rules", "info", f"{symbol}: over, nothing is held that is too small to be sold")
        self._told_dust = dust

    def again(self, symbol: Symbol, known: Instruments, held: Collection[Symbol]) -> Instruments:
        try:
            fresh = self._desk.broker.instruments([symbol], fresh=True).get(symbol)
        except Transient:
            return known
        return known if fresh is None or symbol not in known else self._changed(known, {symbol: fresh}, held)

    def _changed(self, known: Instruments, fresh: Instruments, held: Collection[Symbol]) -> Instruments:
        """The same mapping where nothing has."""
        changed = {symbol: each for symbol, each in fresh.items() if each != known[symbol]}
        for symbol, each in changed.items():
            severity = "error" if symbol in held and not each.tradable else "warning"
            self._desk.alert("rules", severity, f"{symbol}: the venue's rules have changed: {_said(each)}")
        return {**known, **changed} if changed else known


def _worth(position: Position) -> Decimal:
    return abs(position.qty) * (position.mark or position.avg_entry_price)


def _said(instrument: Instrument) -> str:
    tradable = "tradable" if instrument.tradable else "not tradable"
    return f"tick {instrument.tick}, lot {instrument.lot}, least {instrument.min_qty}, {tradable}"
