"""The looks, one after another: what is confirmed is alerted, and may be latched."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from trader.audit.opinion import Anchor, Caps, Confirmed, Finding, JournalSays, opinion
from trader.audit.venue import Report
from trader.errors import Transient

BEFORE = timedelta(days=1)  # activities this far before the anchor may still be posted
RENEW = timedelta(days=1)  # an anchor that long without a finding moves on, so that the lists stay short
AWAY_LOOKS = 3  # looks in vain in a row before somebody is told

Latching = Literal["none", "halt", "kill"]
_FLAG = {"halt": "halted", "kill": "killed"}


class Venue(Protocol):
    def now(self) -> datetime:
        """By the venue's clock. Raises Transient."""

    def report(self, since: datetime) -> Report:
        """Raises Transient."""


@dataclass(slots=True)
class AnchorFile:
    """Where the recomputation begins, kept over restarts: a fault is not to be forgotten by starting again."""

    path: Path

    def load(self) -> tuple[datetime, Anchor] | None:
        """None where there is none, or none that can be read."""
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            units = {str(symbol): Decimal(qty) for symbol, qty in raw["units"].items()}
            anchor = Anchor(cash=Decimal(raw["cash"]), units=units, seen=frozenset(map(str, raw["seen"])))
            return datetime.fromisoformat(raw["at"]), anchor
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            return None

    def save(self, at: datetime, anchor: Anchor) -> None:
        """Raises OSError."""
        body = {
            "at": at.isoformat(),
            "cash": str(anchor.cash),
            "units": {symbol: str(qty) for symbol, qty in anchor.units.items()},
            "seen": sorted(anchor.seen),
        }
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(body), encoding="utf-8")
        draft.replace(self.path)


@dataclass(slots=True, kw_only=True)
class Watch:
    """`look` once in a while. It holds no lock and writes nothing but its anchor and the latch."""

    venue: Venue
    journal: Callable[[], JournalSays | None]  # None where it can't be read: said, and the venue is still audited
    anchors: AnchorFile
    caps: Caps
    latching: Latching
    latch: Callable[[str, str, datetime], None]  # flag, reason, when
    alert: Callable[[str, str, str], None]  # kind, severity, text
    confirmed: Confirmed = field(default_factory=Confirmed)
    _vain: int = 0

    def look(self, wall: datetime) -> list[Finding] | None:
        """What is newly confirmed; None where the venue could not be read. `wall` is our own time, for the latch."""
        anchor = self.anchors.load()
        try:
            now = self.venue.now()
            report = self.venue.report((anchor[0] if anchor else now) - BEFORE)
        except Transient as error:
            self._vain += 1
            if self._vain == AWAY_LOOKS:
                self.alert("audit", "warning", f"the venue could not be audited {AWAY_LOOKS} times: {error}")
            return None
        self._vain = 0
        if anchor is None:
            self._begin(now, report)
            return []
        findings = opinion(report, anchor[1], self._journal(), self.caps)
        new_findings, over = self.confirmed.take(findings)
        self._tell(new_findings, over, wall)
        if not findings and now - anchor[0] > RENEW:
            self._begin(now, report)
        return new_findings

    def _begin(self, now: datetime, report: Report) -> None:
        units = {holding.symbol: holding.qty for holding in report.holdings}
        movement_ids = frozenset(movement.id for movement in report.movements)
        self.anchors.save(now, Anchor(cash=report.cash, units=units, seen=movement_ids))

    def _journal(self) -> JournalSays | None:
        says = self.journal()
        if says is None:
            self.alert("audit", "warning", "the journal can't be read: only the venue is audited")
        return says

    def _tell(self, new_findings: list[Finding], over: list[str], now: datetime) -> None:
        for finding in new_findings:
            self.alert("audit", finding.severity, finding.text)
        for key in over:
            self.alert("audit", "info", f"over: {key}")
        grave_texts = [finding.text for finding in new_findings if finding.stops]
        if grave_texts and self.latching != "none":
            self.latch(_FLAG[self.latching], f"audit: {'; '.join(grave_texts)}", now)


def as_plain(findings: list[Finding]) -> list[Mapping[str, Any]]:
    """For JSON."""
    return [{"key": each.key, "severity": each.severity, "text": each.text} for each in findings]
