"""What both jobs stand on: the lock over the books, the sync with the venue, placing and cancelling orders.

An order is journaled before it is sent. What the venue did not say is asked for by client id; the same id may be sent
again because the venue takes each id only once. So a crash, a timeout or a lost answer neither doubles nor loses one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.decision import RiskState
from trader.core.equity import AGREEING, at_worth
from trader.core.ids import client_order_id
from trader.core.orders import IntentState, is_over, next_state, seen
from trader.core.protect import ExitWish
from trader.core.types import Execution, Order, OrderIntent, Portfolio, Symbol
from trader.core.values import altered
from trader.errors import DatabaseUnusable, Transient
from trader.trading import failpoints
from trader.trading.bookkeeping import ASK_AGAIN_S, Bookkeeper
from trader.trading.consent import Consent
from trader.trading.day import begin_day, forget_peak, reach_peak
from trader.trading.in_reserve import InReserve
from trader.trading.journal_cache import Known
from trader.trading.memory import fills_of, recall, remember_fills, risk_state
from trader.trading.patience import Patience
from trader.trading.ports import Accepted, Broker, Clock, Journal, Refused
from trader.trading.status import Board

CONFIRM_S = 10.0  # how long a cancel may stay unconfirmed
CANCELS_WAIT_S = 3600.0  # how long one that took longer than that speaks for the next one


class Desk:
    """Every method but `lock` itself is to be called with the lock held."""

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        clock: Clock,
        board: Board,
        account_id: str,
        on_alert: Callable[[str, str, str], None],
    ) -> None:
        self.lock = threading.RLock()
        self.broker, self.journal, self.clock, self.board = broker, journal, clock, board
        self.known = Known(journal)
        self.account_id = account_id
        self._on_alert = on_alert
        self.consent = Consent(journal, self.known, self.alert)
        self.on_fill: Callable[[Execution], None] = lambda execution: None
        self.equity_band = Decimal("0.02")  # by which the venue's equity and ours may differ
        self._worth_told = False
        self.leaving = False  # nobody will look again: what rests stays, where its cancel would have to wait
        self._taken = set[str]()  # orders whose cancel the venue has taken, and not obeyed as far as we know
        self._slow_at = float("-inf")  # when one of them was last seen to wait
        self.ending = False  # asked to stop: what the venue does not say now, the next start will ask for
        self.reserve: InReserve | None = None  # what exits are recorded in while the journal takes nothing
        self.restated: dict[Symbol, datetime] = {}  # since when a position is in other units, as after a split
        self.doubts: dict[str, str] = {}  # by what is doubted: why no entry is to be made, though nobody has said so
        self._memory = recall(journal, board.symbols, self.known.live())
        self.books = Bookkeeper(broker, journal, clock, board, self.known, self._memory, self)
        self.board.flags = self.flags()

    # ---- sync ----

    def refresh(self) -> Portfolio:
        """`sync`, unless the market's time has stood still since the last one and we sent nothing: only a simulated
        clock stands still, and then nothing can have happened."""
        memory, portfolio = self._memory, self.board.portfolio
        if portfolio is None or memory.touched or memory.synced_at != self.clock.now():
            return self.sync()
        return portfolio

    def sync(self) -> Portfolio:
        """What is to be protected, as the venue has it now; of it, what is explained is booked. Raises Transient where
        positions or open orders can't be read, or the journal can't be written.

        Anything else that can't be read, or does not add up, is a doubt: entries wait, exits go on.
        """
        portfolio = self.books.sync() if self.reserve is None else self.books.unrecorded()
        worth = self.books.worth(portfolio)
        self._told_worth(worth.problem)
        portfolio = at_worth(portfolio, worth)
        if not worth.problem and worth.own is not None:
            self._memory.earned = worth.own - self.known.moved()
        self._memory.synced_at = self.clock.now()
        self._memory.touched = False
        self.doubts["books"] = self.books.doubt
        self.board.saw_portfolio(portfolio)
        return portfolio

    def come_back(self) -> None:
        """The journal takes records again: it is read anew, for a commit that failed may have been made. Books and
        fills are both of now, or, where it goes away meanwhile, both as they were: DatabaseAway."""
        self._agree_on_flags()
        anew = self.known.anew()
        fills = fills_of(self.journal, (anew.live or {}).values())
        self.known.come_back(anew)
        remember_fills(self._memory, fills)
        self.books.history.forget()
        self.reserve = None
        self._memory.touched, self._memory.settled = True, None

    def _agree_on_flags(self) -> None:
        """What was latched meanwhile is written down; what was written, and seemed to fail, is in force."""
        for name, reason in self.flags().items():
            written = self.journal.flag(name)
            if reason and reason != written:
                self.journal.set_flag(name, reason, self.clock.now())
            elif written and not reason:
                self._memory.flags[name] = written
                self.board.flags = self.flags()
                if name == "halted":
                    self.alert("halt", "error", written)

    def _told_worth(self, problem: str) -> None:
        """In two reports in a row: a single odd figure wakes nobody, and no entry goes on it either."""
        before, self.doubts["equity"] = self.doubts.get("equity", ""), problem
        if problem and before and not self._worth_told:
            self._worth_told = True
            self.alert("equity", "error", f"no entries: {problem}; the smaller one counts")
        elif not problem and self._worth_told:
            self._worth_told = False
            self.alert("equity", "info", "over: the venue's equity and ours agree again")

    def resumed(self) -> None:
        """A person has looked: what went wrong in a row is counted anew."""
        self._memory.counts.resumed(self.journal)

    def reset_peak(self) -> None:
        forget_peak(self._memory, self.journal)

    # ---- orders ----

    def place(self, intent: OrderIntent) -> Order | None:
        """Send one journaled intent. None where it was refused, or where the venue has still not said."""
        name = intent.client_order_id
        self._memory.touched = True
        self._memory.submitted.append(self.clock.monotonic())
        for wait in (*ASK_AGAIN_S, None):
            failpoints.reach("before_post")
            outcome = self.broker.submit(intent)
            failpoints.reach("after_post")
            if isinstance(outcome, Accepted):
                return self._accepted(intent, outcome.order)
            if isinstance(outcome, Refused) and not outcome.duplicate:
                self._refused(intent, outcome)
                return None
            order = self._find(name)
            if order is not None:
                return self._accepted(intent, order)
            if wait is None or self.ending:
                break
            self.pause(wait)
        self._memory.unanswered[name] = self.clock.now()
        self.known.set_intent(name, IntentState.UNKNOWN, self.clock.now(), reason="no answer from the venue")
        self.alert("order", "warning", f"{intent.purpose} {intent.symbol}: the venue has not said; asked again at sync")
        return None

    def _find(self, name: str) -> Order | None:
        try:
            return self.broker.order_by_client_id(name)
        except Transient:
            return None

    def _accepted(self, intent: OrderIntent, order: Order) -> Order:
        self._memory.unanswered.pop(intent.client_order_id, None)
        if not intent.purpose.reduces:
            self._memory.counts.sent(intent.qty * (intent.price or 0), self.journal)
        event = seen(order)
        state = next_state(IntentState.SENT, event)
        # a fill on arrival is booked by the next sync, which must still look this order up
        kept = IntentState.ACCEPTED if state is IntentState.DONE else state
        self.known.set_intent(intent.client_order_id, kept, self.clock.now(), order_id=order.id)
        if is_over(order):
            self._memory.ended[order.client_order_id] = order
        failpoints.reach("after_accepted")
        prices = (("stop", intent.stop_price), ("limit", intent.limit_price))
        price = ", ".join(f"{name} {price}" for name, price in prices if price is not None) or "at the market"
        self.board.say("order", f"{intent.purpose}: {intent.order_side} {intent.qty} {intent.symbol}, {price}")
        return order

    def _refused(self, intent: OrderIntent, refusal: Refused) -> None:
        if not intent.purpose.reduces:
            self._memory.counts.refused(self.journal)
        self.known.set_intent(intent.client_order_id, IntentState.REJECTED, self.clock.now(), reason=refusal.reason)
        self.alert("refused", "warning", f"{intent.purpose} {intent.symbol}: {refusal.reason} ({refusal.code})")

    def drop(self, intent: OrderIntent, reason: str) -> None:
        """A planned intent that must not be sent after all."""
        self.known.set_intent(intent.client_order_id, IntentState.REJECTED, self.clock.now(), reason=reason)

    def intent_for(self, wish: ExitWish, record: Callable[[], str]) -> OrderIntent:
        """Journal an exit under its deterministic id, in the cycle that `record` opens. Where the venue has not said
        what became of the same one, it is that one again: under two ids both could be carried out."""
        for each in self.known.live():
            if each.state != IntentState.ACCEPTED and wish.is_of(each.intent):
                return each.intent
        if self.reserve is not None:
            cycle_id, intent = self.reserve.under(wish, self.account_id, self.clock.now())
        else:
            cycle_id = record()
            attempt = self.journal.attempts(cycle_id, wish.symbol, wish.purpose)
            intent = wish.under(client_order_id(self.account_id, cycle_id, wish.symbol, wish.purpose, attempt))
        self.known.add_intent(cycle_id, intent, self.clock.now())
        failpoints.reach("after_exit_intent")
        return intent

    def cancel(self, order_ids: Iterable[str]) -> bool:
        """Ask for all, then wait until each is terminal. False, with an alert, where that took too long."""
        pending = set(order_ids)
        self._memory.touched = True
        if self.leaving and self.cancels_wait():
            return not [each for each in sorted(pending) if not self._has_ended(each)]
        failpoints.reach("before_cancel")
        for order_id in sorted(pending):
            try:
                self.broker.cancel(order_id)
                self._taken.add(order_id)
            except Transient as error:
                self.board.say("venue", f"cancel: {error}")
        failpoints.reach("after_cancel")
        left = self._still_open(pending)
        if left:
            if not left.isdisjoint(self._taken):
                self._slow_at = self.clock.monotonic()
            self._left_working(left)
        return not left

    def wait_for_end(self, order_id: str) -> bool:
        """Of one that ends by itself. False where that took too long: it is seen to at the next look."""
        return not self._still_open({order_id})

    def _still_open(self, order_ids: Collection[str]) -> set[str]:
        """Those that have not ended within CONFIRM_S."""
        pending, patience = set(order_ids), Patience(self.clock, CONFIRM_S)
        while True:
            pending -= {order_id for order_id in pending if self._has_ended(order_id)}
            if not pending or patience.is_over():
                return pending
            self.pause(0.25)

    def cancels_wait(self) -> bool:
        """Whether the venue has lately taken a cancel and not obeyed it at once: it will not obey the next one either,
        and what that would make room for can't be placed."""
        return self.clock.monotonic() - self._slow_at < CANCELS_WAIT_S

    def _left_working(self, order_ids: Collection[str]) -> None:
        """They may fill yet, and are seen to at the next look."""
        orders = self.board.portfolio.orders if self.board.portfolio is not None else ()
        known = {order.id: f"{order.side} {order.remaining} {order.symbol} ({order.id})" for order in orders}
        left = ", ".join(known.get(each, each) for each in sorted(order_ids))
        text = f"{len(order_ids)} cancels unconfirmed after {CONFIRM_S:.0f} s; still working: {left}"
        self.alert("cancel", "warning", text)

    def _has_ended(self, order_id: str) -> bool:
        try:
            order = self.broker.order(order_id)
        except Transient:
            return False
        if order is not None and is_over(order):
            self._memory.ended[order.client_order_id] = order
            self._memory.freed[order.symbol] = self.clock.monotonic()
            self._taken.discard(order_id)
        return order is None or is_over(order)

    # ---- the rest ----

    def begin_doubt(self, name: str, text: str) -> None:
        """Told at once: what is doubted may end the daemon before anybody asks for doubts again."""
        if not self.doubts.get(name):
            self.doubts[name] = text
            self.alert(name, "error", f"no entries: {text}")

    def doubt(self) -> str:
        """Why no entry is to be made for now; "" for no reason."""
        return "; ".join(each for each in self.doubts.values() if each)

    def risk_state(self, portfolio: Portfolio) -> RiskState:
        """What risk must remember."""
        memory, now, moved = self._memory, self.clock.now(), self.known.moved()
        if memory.peak.value is None:
            self._begin_peak(portfolio, moved)
        else:
            reach_peak(memory, self.journal, portfolio.account.equity - moved)
        sure = None if memory.peak.value is None else portfolio.account.equity - moved
        begin_day(memory, self.journal, now.date(), sure)
        memory.counts.begin(now.date())
        figures = "; ".join(each for name in ("books", "equity") if (each := self.doubts.get(name)))
        return altered(risk_state(memory, self.doubt(), self.clock.monotonic(), moved), doubted=figures)

    def _begin_peak(self, portfolio: Portfolio, moved: Decimal) -> None:
        """The first equity is confirmed as later peaks are: by readings that agree with each other and with our own
        count. Until then there is no peak, and nothing is entered."""
        for _ in range(AGREEING):
            worth = self.books.worth(portfolio)
            if worth.problem:
                self._memory.peak.above.clear()
                return
            reach_peak(self._memory, self.journal, worth.equity - moved)
            if self._memory.peak.value is not None:
                return
            try:
                portfolio = altered(portfolio, account=self.broker.account())
            except Transient:
                return

    def flags(self) -> dict[str, str]:
        """Latched switches and their reasons; "" is off. Only this process sets them while it holds the account."""
        return dict(self._memory.flags)

    def set_flag(self, name: str, reason: str) -> None:
        self.journal.set_flag(name, reason, self.clock.now())
        self._memory.flags[name] = reason
        self.board.flags = self.flags()

    def latch_flag(self, name: str, reason: str) -> None:
        """Obeyed at once, and told; in the journal as soon as that can be written."""
        self._memory.flags[name] = reason
        self.board.flags = self.flags()
        self.alert(name, "error" if name == "halted" else "warning", reason)  # who kills has meant it
        self.journal.set_flag(name, reason, self.clock.now())

    def halt(self, reason: str) -> None:
        """No new entries until a person resumes; exits go on."""
        if not self._memory.flags["halted"]:
            self.set_flag("halted", reason)
            self.alert("halt", "error", reason)

    def alert(self, kind: str, severity: str, detail: str) -> None:
        self.board.say("alert", detail)
        self._on_alert(kind, severity, detail)
        try:
            self.journal.alert(kind, severity, detail, self.clock.now())
        except (Transient, DatabaseUnusable) as error:
            self.board.say("journal", str(error))  # it was said all the same

    def pause(self, seconds: float) -> None:
        """Let market time pass, whatever wakes the clock meanwhile. A wall clock that is set makes it no longer."""
        end = self.clock.monotonic() + seconds
        while (seconds_left := end - self.clock.monotonic()) > 0:
            wait_start = self.clock.monotonic()
            self.clock.wait_until(self.clock.now() + timedelta(seconds=seconds_left))
            if self.clock.monotonic() <= wait_start:
                break  # the market has ended, or the clock was woken for good
