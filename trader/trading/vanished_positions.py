"""When everything that was held is gone from the venue's answers, and no execution says why.

A wrong answer looks just like that, so that it is never read as flat by itself, however often it comes: after a while
a person is asked, and only their `resume` takes the venue's word for it. Kept in the journal, for a daemon that can't
reconcile at its start ends, and the next one must not begin to count anew.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from trader.trading.ports import Journal

PATIENCE = timedelta(minutes=10)  # an answer that is wrong for a moment must not wake anybody
ANSWERS = 10  # and as many of them: the machine may have slept in between
_KEY = "vanished"


class Vanished:
    """What is gone, since when, in how many answers, and whether a person was asked about just that."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.what, self.answers, self.asked = "", 0, False
        self.since: datetime | None = None
        kept = journal.get_meta(_KEY)
        if kept:
            self.what, since, self.answers, self.asked = json.loads(kept)
            self.since = datetime.fromisoformat(since)

    def accepted(self, halted: str) -> str:
        """What a person has taken the venue's word for: they were asked, and have lifted the halt since."""
        return self.what if self.asked and not halted else ""

    def heard(self, what: str, now: datetime) -> str:
        """Once more the same, or something else. Why to halt, when it has come to that; else ""."""
        if what != self.what or self.since is None:
            self.what, self.since, self.answers, self.asked = what, now, 0, False
        self.answers += 1
        self._keep()
        if self.asked or self.answers < ANSWERS or now - self.since < PATIENCE:
            return ""
        return (
            f"no positions in any of {self.answers} answers of the venue since {self.since:%Y-%m-%d %H:%M} UTC "
            f"({what}). Nothing is traded meanwhile. Look at the broker's page: if they have left the account, "
            "`trader resume` books that; if they are still there, do not resume yet: exits go on by themselves when "
            "the venue reports them again"
        )

    def ask(self) -> None:
        """A person has been told: the halt is in force."""
        self.asked = True
        self._keep()

    def over(self) -> None:
        if self.what:
            self.what, self.since, self.answers, self.asked = "", None, 0, False
            self._journal.set_meta(_KEY, "")

    def _keep(self) -> None:
        assert self.since is not None
        self._journal.set_meta(_KEY, json.dumps([self.what, self.since.isoformat(), self.answers, self.asked]))
