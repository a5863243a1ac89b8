"""How the exits of each symbol fared: one that is refused, at once or a while after it was taken, is not tried again at
once, nor too often, and where a kind of exit keeps being refused another one rests.

Seconds are the clock's own. Every method is to be called with the desk's lock held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trader.core.exits import ExitWish
from trader.core.orders import is_over
from trader.core.types import Order, OrderStatus, Purpose, Symbol, TimeInForce
from trader.errors import Transient

RETRY_S = (5, 10, 20, 40, 60)  # after the first refusal, the second, ...: no tight loop
ANOTHER_KIND_AFTER = 2  # refusals of one kind in a row
WITHOUT_S = 600.0  # how long a kind that is refused is not tried again
STAYS_S = 10.0  # a rejection may come some seconds after an order was taken: until then it is no success
UNFILLED_TOLD = 3  # exits in a row that found nobody to trade with


@dataclass(slots=True)
class _Record:
    """refusals   in a row, of any kind; `failed_at` the newest failures
    sent       the one that was taken last, until it is seen to rest or to have done something
    without    kinds that are not to be tried until then
    """

    refusals: int = 0
    unfilled: int = 0
    not_before: float = 0.0
    told: bool = False
    sent: tuple[Order, ExitWish] | None = None
    sent_at: float = 0.0
    failed_at: deque[float] = field(default_factory=deque)
    of_kind: dict[Purpose, int] = field(default_factory=dict)
    without: dict[Purpose, float] = field(default_factory=dict)


class ExitAttempts:
    """`alert` is told ("unprotected", severity, text)."""

    def __init__(self, seconds: Callable[[], float], alert: Callable[[str, str, str], None]) -> None:
        self._seconds = seconds
        self._alert = alert
        self._records: dict[Symbol, _Record] = {}

    def may_try(self, symbol: Symbol, most_per_minute: int) -> bool:
        record = self._records.get(symbol)
        if record is None:
            return True
        now = self._seconds()
        while record.failed_at and record.failed_at[0] <= now - 60:
            record.failed_at.popleft()
        return now >= record.not_before and len(record.failed_at) < most_per_minute

    def next_try(self, symbol: Symbol) -> str:
        """When a refused exit is tried again; "" where none was refused."""
        record = self._records.get(symbol)
        if record is None or not record.refusals:
            return ""
        wait = max(record.not_before - self._seconds(), 0)
        return f"; refused {record.refusals} times, tried again in {wait:.0f} s"

    def without(self, symbol: Symbol) -> frozenset[Purpose]:
        """Kinds of exit that the venue keeps refusing here."""
        record = self._records.get(symbol)
        if record is None or not record.without:
            return frozenset()
        now = self._seconds()
        return frozenset(p for p, until in record.without.items() if now < until)

    def taken(self, wish: ExitWish, order: Order) -> None:
        """The venue has it. Whether it stays is seen at the next look."""
        record = self._records.setdefault(wish.symbol, _Record())
        record.sent, record.sent_at = (order, wish), self._seconds()

    def withdrawn(self, symbol: Symbol) -> None:
        """We cancel what rests: its end says nothing."""
        if symbol in self._records:
            self._records[symbol].sent = None

    def rests(self, symbol: Symbol) -> None:
        """An exit was seen at the venue."""
        record = self._records.get(symbol)
        if record is None or (record.sent is not None and self._seconds() - record.sent_at < STAYS_S):
            return
        if record.sent is not None:
            record.without.pop(record.sent[1].purpose, None)  # the venue takes that kind after all
        record.sent, record.refusals, record.unfilled, record.not_before = None, 0, 0, 0.0
        record.failed_at.clear()
        record.of_kind.clear()
        if record.told and not self.without(symbol):
            record.told = False
            self._alert("unprotected", "info", f"{symbol}: an exit rests again")

    def gone(self, held: frozenset[Symbol]) -> None:
        """What is not held any more has no troubles."""
        over = [symbol for symbol in self._records if symbol not in held]
        for symbol in sorted(over) if over else ():
            if self._records.pop(symbol).told:
                self._alert("unprotected", "info", f"{symbol}: over, it is not held any more")

    def look(self, symbol: Symbol, ask: Callable[[str], Order | None], beside: str) -> None:
        """What became of the one that was taken last, which does not rest: refused after all, or filled by nobody?"""
        record = self._records.get(symbol)
        if record is None or record.sent is None:
            return
        order, wish = record.sent
        try:
            outcome = order if is_over(order) else ask(order.id)
        except Transient:
            return
        if outcome is None or not is_over(outcome):
            return
        record.sent = None
        if outcome.filled_qty or outcome.status is OrderStatus.FILLED:
            return
        if wish.tif is TimeInForce.IOC and outcome.status is not OrderStatus.REJECTED:
            self._unfilled(record, wish)
        else:
            self.refused(wish, f"taken, and then {outcome.status}{beside}")

    def refused(self, wish: ExitWish, why: str) -> None:
        """Or not answered: tried again, ever more rarely."""
        record, now = self._records.setdefault(wish.symbol, _Record()), self._seconds()
        record.sent = None
        wait = RETRY_S[min(record.refusals, len(RETRY_S) - 1)]
        record.refusals += 1
        record.not_before = now + wait
        record.failed_at.append(now)
        count = record.of_kind[wish.purpose] = record.of_kind.get(wish.purpose, 0) + 1
        if count >= ANOTHER_KIND_AFTER and wish.purpose in (Purpose.PROTECT, Purpose.STOP):
            record.without[wish.purpose] = now + WITHOUT_S
        record.told = True
        self._alert("unprotected", "error", f"{wish.symbol}: no exit rests ({why}); tried again in {wait} s")

    def _unfilled(self, record: _Record, wish: ExitWish) -> None:
        record.unfilled += 1
        record.failed_at.append(self._seconds())
        if record.unfilled % UNFILLED_TOLD == 0:
            record.told = True
            text = (
                f"{wish.symbol}: no exit rests; {record.unfilled} in a row found nobody to trade with ({wish.reason})"
            )
            self._alert("unprotected", "error", text)
