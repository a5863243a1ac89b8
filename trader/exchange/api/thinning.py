"""Faults that follow market time, not requests: halts, changed assets, markets with less volume than the data say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trader.core.types import Symbol
from trader.exchange.api.faults import Faults
from trader.exchange.engine.events import Tape
from trader.exchange.listings import Listing


class FaultsByClock:
    """What the venue asks at each step of its market."""

    def __init__(self, faults: Faults) -> None:
        self._rules = tuple(faults.by_clock())

    def thin(self, tape: Tape) -> Tape:
        for rule in self._rules:
            if rule.action == "partial_fill" and rule.symbol == tape.symbol and rule.awake(tape.at):
                share = Decimal(str(rule.amount))
                tape = replace(tape, volume=tape.volume * share, uncapped=False)
        return tape

    def halted(self, now: datetime) -> frozenset[Symbol]:
        return frozenset(
            rule.symbol
            for rule in self._rules
            if rule.action == "halt" and rule.flag and rule.symbol is not None and rule.awake(now)
        )

    def listings(self, now: datetime) -> dict[Symbol, Listing]:
        """Of the symbols whose rules are others now; of two rules the later one counts."""
        found = {}
        for rule in self._rules:
            if rule.listing is not None and rule.symbol is not None and rule.awake(now):
                found[rule.symbol] = rule.listing
        return found
