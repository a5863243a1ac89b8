"""The venue's rules for what is traded: ticks, lots, whether it may be traded or shorted. They change, and are read
again once a day, after a refusal that a change could explain, and every few minutes while something is halted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

from trader.core.portfolio import is_dust
from trader.core.types import Instrument, Position, Symbol
from trader.errors import Transient
from trader.trading.desk import Desk

EVERY_S, RETRY_S = 86_400.0, 600.0  # the shorter one after a failure, and while something may not be traded
WORTH_TELLING = Decimal(10)  # quote currency: less is what fees and rounding leave

Instruments = Mapping[Symbol, Instrument]


class VenueRules:
    """To be called with the desk's lock held. What is known is never changed: another mapping is returned."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._read_at = desk.clock.monotonic()  # they were read for the start
        self._not_before = self._read_at
        self._told_dust: set[Symbol] = set()

    def daily(self, instruments: Instruments, held: Mapping[Symbol, Position]) -> Instruments:
        """To be called in each run. What may not be sold for being too small is told of, too."""
        self._tell_dust(instruments, held)
        now = self._desk.clock.monotonic()
        wait = EVERY_S if all(each.tradable for each in instruments.values()) else RETRY_S
        if now < max(self._read_at + wait, self._not_before):
            return instruments
        try:
            new_rules = self._desk.broker.instruments(sorted(instruments), fresh=True)
        except Transient as error:
            self._not_before = now + RETRY_S
            self._desk.board.say("venue", f"assets: {error}")
            return instruments
        self._read_at = now
        # one that is not listed any more may be left by what was known of it, and not be entered
        return self._changed(
            instruments,
            {s: new_rules.get(s) or replace(instrument, tradable=False) for s, instrument in instruments.items()},
            held,
        )

    def _tell_dust(self, instruments: Instruments, held: Mapping[Symbol, Position]) -> None:
        worthwhile = {s: each for s, each in held.items() if s in instruments and _worth(each) >= WORTH_TELLING}
        dust = {symbol for symbol, each in worthwhile.items() if is_dust(each, instruments[symbol])}
        for symbol in sorted(dust - self._told_dust):
            text = f"{held[symbol].qty} is too small to be sold and has no exit: {_said(instruments[symbol])}"
            self._desk.alert("rules", "error", f"{symbol}: {text}")
        for symbol in sorted(self._told_dust - dust):
            self._desk.alert("rules", "info", f"{symbol}: over, nothing is held that is too small to be sold")
        self._told_dust = dust

    def again(self, symbol: Symbol, instruments: Instruments, held_symbols: Collection[Symbol]) -> Instruments:
        try:
            new_rules = self._desk.broker.instruments([symbol], fresh=True).get(symbol)
        except Transient:
            return instruments
        return (
            instruments
            if new_rules is None or symbol not in instruments
            else self._changed(instruments, {symbol: new_rules}, held_symbols)
        )

    def _changed(
        self, instruments: Instruments, new_rules: Instruments, held_symbols: Collection[Symbol]
    ) -> Instruments:
        """The same mapping where nothing has."""
        changed_rules = {
            symbol: instrument for symbol, instrument in new_rules.items() if instrument != instruments[symbol]
        }
        for symbol, instrument in changed_rules.items():
            severity = "error" if symbol in held_symbols and not instrument.tradable else "warning"
            self._desk.alert("rules", severity, f"{symbol}: the venue's rules have changed: {_said(instrument)}")
        return {**instruments, **changed_rules} if changed_rules else instruments


def _worth(position: Position) -> Decimal:
    return abs(position.qty) * (position.mark or position.avg_entry_price)


def _said(instrument: Instrument) -> str:
    tradable = "tradable" if instrument.tradable else "not tradable"
    return f"tick {instrument.tick}, lot {instrument.lot}, least {instrument.min_qty}, {tradable}"
