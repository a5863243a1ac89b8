"""The time in which the journal takes nothing: how it begins, what goes on, and how it ends.

What was known stays known: live orders, books and levels as they were. What fills meanwhile is seen by the orders
themselves, and is booked when the journal is back. No entry is made, and those that are out are cancelled.
"""

from __future__ import annotations

from collections.abc import Callable

from trader.core.ids import purpose_of
from trader.core.types import Portfolio, Purpose
from trader.errors import DatabaseAway, DatabaseUnwritable
from trader.trading.desk import Desk
from trader.trading.in_reserve import InReserve, take_in
from trader.trading.ports import Reserve

DOUBT = "journal"
ROOM_S = 60.0  # how often room is looked for
_MIB = 2**20


class WithoutJournal:
    """With the desk's lock held. Without a reserve a run that needs the journal ends, and nothing else is done."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.store: Reserve | None = None
        self._reserve: InReserve | None = None
        self._looked_at = float("-inf")

    def begin(self, error: DatabaseAway) -> bool:
        """True where exits can go on."""
        desk, store = self.desk, self.store
        if store is None:
            return False
        if self._reserve is None:
            self._reserve = InReserve(store)
        self._reserve.why = str(error)
        if isinstance(error, DatabaseUnwritable) and store.is_whole():
            try:
                store.give_room()
            except OSError as trouble:
                desk.board.say("reserve", f"{trouble.strerror}")
        desk.begin_doubt(DOUBT, f"{error}; exits go on, recorded in the reserve")
        try:
            desk.known.go_without(self._reserve)
        except DatabaseAway:
            return False  # it went away before it was read
        desk.reserve = self._reserve
        return True

    def look(self) -> None:
        """At the start of each run. Raises DatabaseAway while the journal takes nothing."""
        store, desk = self.store, self.desk
        if store is None:
            return
        if desk.doubts.get(DOUBT) or desk.reserve is not None:
            self._try_again(store)
        now = desk.clock.monotonic()
        if not desk.doubts.get(DOUBT) and now - self._looked_at < ROOM_S:
            return
        self._looked_at = now
        self._look_at_room(store)

    def _try_again(self, store: Reserve) -> None:
        desk = self.desk
        try:
            taken = take_in(desk.journal, store, desk.clock.now())
        except OSError as error:
            raise DatabaseAway(f"the reserve can't be read: {error.strerror}") from error
        desk.journal.set_meta("written", desk.clock.now().isoformat())
        if desk.reserve is not None:
            desk.come_back()
            if taken:
                desk.board.say("journal", f"{taken} exits were taken over from the reserve")

    def _look_at_room(self, store: Reserve) -> None:
        """A journal that takes records only by the room that was given back is left to those of exits."""
        desk, before = self.desk, self.desk.doubts.get(DOUBT, "")
        if store.make_room():
            if before:
                desk.doubts[DOUBT] = ""
                desk.alert(DOUBT, "info", f"over: {before}")
            return
        text = f"the disk is full: {store.lacking() // _MIB + 1} MiB more must be free for the reserve; exits go on"
        if not before:
            desk.begin_doubt(DOUBT, text)
        desk.doubts[DOUBT] = text

    def run(self, protect: Callable[[Portfolio], Portfolio]) -> None:
        """What is done of a run meanwhile. Raises Transient."""
        desk = self.desk
        portfolio = desk.sync()
        entries = [order.id for order in portfolio.orders if purpose_of(order) is Purpose.ENTRY]
        if entries:
            desk.cancel(entries)
            portfolio = desk.sync()
        protect(portfolio)
