"""Faults that follow market time, not requests: halts, changed assets, markets with less volume than the data say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.types import ZERO, Symbol
from trader.exchange.api.faults import WITH_UNITS, Entry, Faults
from trader.exchange.engine.events import Posted, Tape
from trader.exchange.market.listings import Listing


def dated(entry: Entry, now: datetime) -> Posted:
    """As of now."""
    listed = now + timedelta(seconds=entry.late_s)
    return Posted(
        id=entry.id,
        kind=entry.kind,
        listed_at=listed,
        day=listed.date(),
        cash=entry.cash,
        symbol=entry.symbol,
        qty=entry.qty,
        units=entry.qty if entry.kind in WITH_UNITS else ZERO,
        price=entry.price,
        description=entry.description,
    )


class FaultsByClock:
    """What the venue asks at each step of its market."""

    def __init__(self, faults: Faults) -> None:
        self._rules = tuple(faults.by_clock())
        self._posted: dict[str, Posted] = {}  # as they were when their time came

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

    def posted(self, now: datetime) -> list[Posted]:
        """Activities whose time has come. The venue takes each once, by its id."""
        due = [rule.entry for rule in self._rules if rule.entry is not None and rule.awake(now)]
        return [self._posted.setdefault(entry.id, dated(entry, now)) for entry in due]

    def listings(self, now: datetime) -> dict[Symbol, Listing]:
        """Of the symbols whose rules are others now; of two rules the later one counts."""
        found = {}
        for rule in self._rules:
            if rule.listing is not None and rule.symbol is not None and rule.awake(now):
                found[rule.symbol] = rule.listing
        return found
