"""What the venue says otherwise than the books, and no execution, order or fee explains.

A wrong answer looks just like a lost position, so that it is never booked by itself, however often it comes: entries
wait, exits go on, and after a while a person is asked; only their `resume` takes the venue's word for it. Money alone
is booked with the halt, for nothing is protected by it. Kept in the journal: the next daemon must not begin to count
anew.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from trader.core.reconcile import Reconciliation
from trader.core.types import Symbol
from trader.trading.ports import Journal

LAG = timedelta(seconds=60)  # the venue's lists are out of step with each other for so long, on any day
PATIENCE = timedelta(minutes=10)  # with units; an answer that is wrong for a while must not wake anybody
ANSWERS = 10  # and as many of them: the machine may have slept in between
_KEY = "vanished"  # of the journal: as older versions wrote it


class OpenDifferences:
    """What differs, since when, in how many answers, and whether a person was asked about just that."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.key, self.answers, self.asked = "", 0, False
        self.text = ""
        self.since: datetime | None = None
        self.told = False  # a person has heard of it, though nothing is asked of them yet
        text = journal.get_meta(_KEY)
        if text:
            self.key, since_text, self.answers, self.asked = json.loads(text)
            self.since = datetime.fromisoformat(since_text)

    @property
    def symbols(self) -> frozenset[Symbol]:
        """Those whose units differ."""
        names = {part.partition(" ")[0] for part in self.key.split("; ") if part}
        return frozenset(Symbol(name) for name in names if name != "cash")

    def accepted(self, halted: str) -> str:
        """What a person has taken the venue's word for: they were asked, and have lifted the halt since."""
        return self.key if self.asked and not halted else ""

    def heard(self, found: Reconciliation, now: datetime) -> None:
        """Once more the same, or something else."""
        if found.key != self.key or self.since is None:
            self.key, self.since, self.answers, self.asked, self.told = found.key, now, 0, False, False
        self.answers += 1
        self.text = found.doubt
        self._keep()

    def lasts(self, span: timedelta, now: datetime) -> bool:
        return self.since is not None and now - self.since >= span and self.answers > 1

    def question(self, now: datetime) -> str:
        """What a person is to be asked, when it has come to that; else ""."""
        if self.asked or self.answers < ANSWERS or not self.lasts(PATIENCE, now):
            return ""
        return (
            f"not explained in any of {self.answers} answers of the venue since {self.since:%Y-%m-%d %H:%M} UTC: "
            f"{self.text}. Nothing is entered meanwhile, and exits stay where they are. Look at the broker's page: if "
            "the venue is right, `trader resume` books that; if it is wrong, do not resume yet: entries go on by "
            "themselves when its answers agree again"
        )

    def ask(self) -> None:
        """A person has been told: the halt is in force."""
        self.asked = True
        self._keep()

    def over(self) -> None:
        if self.key:
            self.key, self.text, self.since, self.answers, self.asked, self.told = "", "", None, 0, False, False
            self._journal.set_meta(_KEY, "")

    def _keep(self) -> None:
        assert self.since is not None
        self._journal.set_meta(_KEY, json.dumps([self.key, self.since.isoformat(), self.answers, self.asked]))
