"""The venue's rules for what is traded: ticks, lots, whether it may be traded or shorted. They change, and are read
again once a day and after a refusal that a change could explain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from trader.core.types import Instrument, Symbol
from trader.errors import Transient
from trader.trading.desk import Desk

EVERY_S, RETRY_S = 86_400.0, 600.0  # and after a failure

Instruments = Mapping[Symbol, Instrument]


class VenueRules:
    """To be called with the desk's lock held. What is known is never changed: another mapping is returned."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._due = desk.clock.monotonic() + EVERY_S  # they were read for the start

    def daily(self, known: Instruments, held: Collection[Symbol]) -> Instruments:
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


def _said(instrument: Instrument) -> str:
    tradable = "tradable" if instrument.tradable else "not tradable"
    return f"tick {instrument.tick}, lot {instrument.lot}, least {instrument.min_qty}, {tradable}"
