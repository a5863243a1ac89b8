"""The venue's list of activities: what it has told, what of it is in the books, and when it is asked again.

Fills are booked as they are told. A fee that is posted later takes the place of the estimate of its fill. What else is
posted is kept as the possible reason of a difference of money or units (`core.postings`), and of one that was booked
before its reason was told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trader.core.posted_fees import POSTED_WITHIN, estimate, joined, with_fee
from trader.core.postings import CENT, Activities, Posting, explaining
from trader.core.types import ZERO, Execution
from trader.errors import Transient
from trader.trading.journal_cache import Known
from trader.trading.memory import OVERLAP, Memory
from trader.trading.parts import Parts
from trader.trading.ports import Broker, Clock, Journal

REACH = POSTED_WITHIN + timedelta(days=1)  # so far back postings are looked for: they are dated, and come late
AGAIN_S = 3600.0  # how often, while a fee or a reason is missing
SOON_S = 15.0  # how often at most, while something differs
CLOCKS = timedelta(hours=2)  # by which our clock and the venue's may differ
_BEFORE = "opened_with"  # of the journal
_EVER = datetime.min.replace(tzinfo=UTC)


class History:
    """`fresh`: postings that were told and are not in the books, but fees that have found their fill."""

    def __init__(
        self, broker: Broker, journal: Journal, clock: Clock, known: Known, memory: Memory, parts: Parts
    ) -> None:
        self._broker, self._journal, self._clock = broker, journal, clock
        self._known, self._memory, self._parts = known, memory, parts
        self.fresh: tuple[Posting, ...] = ()
        self._before = frozenset[str](json.loads(journal.get_meta(_BEFORE) or "[]"))  # in the opening balance
        self._guessed: dict[str, Execution] = {}  # fills whose fee is our estimate, or was until lately
        self._due: float | None = 0.0  # by the clock's seconds; None: nothing is missing
        self._asked: float | None = None  # when all of it was asked for last
        self._recalled = False

    # ---- the opening ----

    def border(self) -> datetime:
        """From when on fills are not in an opening balance that is read after this. By the venue's clock, which dates
        them; the earlier one where ours differs, for what was listed by now is known by its id."""
        began = self._clock.now()
        try:
            began = min(self._broker.venue_time(), began)
            told = self._parts.read("activities", lambda: self._broker.activities(began - CLOCKS))
        except Transient:
            return began
        self._before = frozenset(each.id for each in told.executions if each.at >= began)
        return began

    def opened(self) -> None:
        """The books stand on what was read since `border`."""
        if self._before:
            self._journal.set_meta(_BEFORE, json.dumps(sorted(self._before)))

    # ---- asking ----

    def due(self) -> bool:
        """Whether to ask for what may explain older things."""
        self._recall()
        return self._due is not None and self._clock.monotonic() >= self._due

    def executions(self, owing: datetime | None, *, whole: bool = False) -> tuple[Execution, ...]:
        """Those that are not in the opening balance. `owing`: since when an order of ours owes some: the venue may have
        left out one fill and told of later ones. `whole`: with all postings of the last days."""
        self._recall()
        memory, first = self._memory, self._memory.began or self._clock.now()
        usual = since = max((memory.last_execution_at or first) - OVERLAP, first)
        if owing is not None:
            since = max(min(usual, owing - OVERLAP), first)
        whole = whole and self._may_ask_whole()
        asked = min(since, max(self._clock.now() - REACH, first - timedelta(days=1))) if whole else since
        try:
            told = self._parts.read("activities", lambda: self._broker.activities(asked))
        except Transient:
            return ()
        booked = {e.id for e in self._journal.executions(after=since - OVERLAP)} if since < usual else frozenset()
        mine = [e for e in told.executions if e.at >= max(since, first) and e.id not in self._before]
        found = tuple(e for e in mine if e.at >= usual or e.id not in booked)
        self._take(told, [e for e in found if e.id not in memory.execution_ids], first)
        if whole:
            self._claim()
            self._asked, self._due = self._clock.monotonic(), None
            self._wait_for_more()
        return found

    def told(self) -> tuple[Execution, ...]:
        """As the venue tells of them while nothing can be booked: those since the last one in the books."""
        memory = self._memory
        since = max((memory.last_execution_at or memory.opened or self._clock.now()) - OVERLAP, memory.opened or _EVER)
        try:
            told = self._parts.read("activities", lambda: self._broker.activities(since))
        except Transient:
            return ()
        return tuple(each for each in told.executions if each.at >= since and each.id not in self._before)

    def _may_ask_whole(self) -> bool:
        return self._asked is None or self._clock.monotonic() - self._asked >= SOON_S

    def _wait_for_more(self) -> None:
        """Ask again later where something is missing."""
        if self._due is None and self._is_missing():
            self._due = self._clock.monotonic() + AGAIN_S

    def _is_missing(self) -> bool:
        guessed = any(each.fee_estimated for each in self._guessed.values())
        return guessed or bool(self._journal.unclaimed(self._clock.now() - REACH))

    # ---- what is in the books ----

    def booked(self, executions: Sequence[Execution]) -> None:
        """They are, from now on, with the fees that they have."""
        guessed = {each.id: each for each in executions if each.fee_estimated}
        self._guessed |= guessed
        if guessed:
            # a fee that was told with its fill is settled at the next look, and else when it is posted
            soon = any(each.is_fee for each in self.fresh)
            self._due = self._clock.monotonic() if soon else self._due
            self._wait_for_more()

    def corrected(self) -> None:
        """Money was booked for which no reason is known."""
        self._wait_for_more()

    def estimates(self) -> dict[str, Decimal]:
        """What was lately booked as fees by our own schedule, by what it was taken in."""
        if not self._guessed:
            return {}
        since = self._clock.now() - REACH
        self._guessed = {name: each for name, each in self._guessed.items() if each.at >= since}
        sums: dict[str, Decimal] = {}
        for each in self._guessed.values():
            amount, currency = estimate(each)
            sums[currency] = sums.get(currency, ZERO) + amount
        return sums

    def forget(self) -> None:
        """The journal is to be asked again: what seemed to fail may have been written."""
        self._recalled = False

    def _recall(self) -> None:
        if self._recalled or self._memory.opened is None:
            return
        since = self._clock.now() - REACH
        owned = {each.fill for each in self._journal.postings((since - timedelta(days=1)).date())}
        fills = self._journal.executions(after=since)
        self._guessed = {each.id: each for each in fills if each.fee_estimated or each.id in owned}
        self._recalled = True
        self._due = self._clock.monotonic() if self._is_missing() else None

    # ---- taking in ----

    def _take(self, told: Activities, new: Sequence[Execution], first: datetime) -> None:
        open_fees = {name for name, each in self._guessed.items() if each.fee_estimated}
        self._settle([each for each in told.executions if each.id in open_fees and not each.fee_estimated], {}, ())
        if not told.postings:
            self.fresh = ()
            return
        since = min(each.day for each in told.postings)
        known = {each.posting.id: each for each in self._journal.postings(since)}
        fresh = [each for each in told.postings if each.id not in known and each.day >= first.date()]
        waiting = {each.id: each for each in new if each.fee_estimated}
        named = self._guessed.keys() | waiting.keys()
        fees = [each for each in fresh if each.is_fee and (not each.execution_id or each.execution_id in named)]
        taken = {each.id for each in fresh if each.is_fee and each.execution_id and each.execution_id not in named}
        if fees:
            owned = {each.fill: each.posting for each in known.values() if each.fill}
            found = joined([*self._guessed.values(), *waiting.values()], [*fees, *owned.values()])
            self._join(found, owned)
            taken |= {each.id for each in found.values()}
        self.fresh = tuple(each for each in fresh if each.id not in taken)

    def _join(self, found: dict[str, Posting], owned: dict[str, Posting]) -> None:
        """Fees of fills that are in the books. Those of fills that are not yet are found again."""
        ours = {fill: posting for fill, posting in found.items() if fill in self._guessed}
        changed = [
            name for name in sorted({*ours, *owned}) if ours.get(name) != owned.get(name) and name in self._guessed
        ]
        fills = [with_fee(self._guessed[name], ours.get(name)) for name in changed]
        still = {each.id for each in ours.values()}
        self._settle(fills, ours, [each.id for each in owned.values() if each.id not in still])

    def _settle(self, fills: Sequence[Execution], fees: dict[str, Posting], freed: Sequence[str]) -> None:
        if not fills:
            return
        self._known.settle_fees(fills, fees, freed, self._clock.now())
        self._guessed |= {each.id: each for each in fills}

    def _claim(self) -> None:
        """What was booked before its reason was told has it now."""
        if not self.fresh:
            return
        for each in self._journal.unclaimed(self._clock.now() - REACH):
            why = explaining(each.cash, self.fresh, lambda posting: posting.cash, CENT)
            if why:
                reasons = {kind: [one for one in why if kind_of(one) == kind] for kind in map(kind_of, why)}
                self._known.claim(each.id, reasons)
                self.fresh = tuple(posting for posting in self.fresh if posting not in why)


def kind_of(posting: Posting) -> str:
    """Of the correction that it is the reason of."""
    return "transfer" if posting.is_transfer else posting.kind.lower()
