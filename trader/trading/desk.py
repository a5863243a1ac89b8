"""What both jobs stand on: the lock over the books, the sync with the venue, placing and cancelling orders.

An order is journaled before it is sent. What the venue did not say is asked for by client id; the same id may be sent
again because the venue takes each id only once. So a crash, a timeout or a lost answer neither doubles nor loses one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.decision import RiskState
from trader.core.ids import client_order_id
from trader.core.orders import IntentEvent, IntentState, is_over, is_stop, next_state, seen
from trader.core.portfolio import changed, moved
from trader.core.protect import ExitWish
from trader.core.reconcile import Believed, Correction, Reconciliation, Reported, reconcile
from trader.core.types import Execution, Order, OrderIntent, Portfolio, Symbol
from trader.core.values import maker
from trader.errors import Transient
from trader.trading import failpoints
from trader.trading.day import allow_for, begin_day, reach_peak
from trader.trading.journal_cache import Known
from trader.trading.memory import OVERLAP, booked_lately, recall, remember_stop, risk_state
from trader.trading.ports import Accepted, Broker, Clock, Journal, KnownIntent, Refused
from trader.trading.split_handling import restated
from trader.trading.status import Board
from trader.trading.vanished_positions import Vanished

_new_portfolio = maker(Portfolio)
_new_reported = maker(Reported)
ASK_AGAIN_S = (0.2, 0.5, 1.0, 2.0)  # waits before a doubtful report is asked for again
CONFIRM_S = 10.0  # how long a cancel may stay unconfirmed
ABANDON_AFTER = timedelta(seconds=60)  # an intent that the venue does not know by then never reached it


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
        self.vanished = Vanished(journal)
        self.account_id = account_id
        self._on_alert = on_alert
        self.on_fill: Callable[[Execution], None] = lambda execution: None
        self.ending = False  # asked to stop: what the venue does not say now, the next start will ask for
        self.restated: dict[Symbol, datetime] = {}  # since when a position is in other units, as after a split
        self.doubts: dict[str, str] = {}  # by what is doubted: why no entry is to be made, though nobody has said so
        self._memory = recall(journal, board.symbols)
        self.board.flags = self.flags()

    # ---- sync ----

    def refresh(self) -> Portfolio:
        """`sync`, unless the market's time has stood still since the last one and we sent nothing: only a simulated
        clock stands still, and then nothing can have happened."""
        memory = self._memory
        if memory.portfolio is None or memory.touched or memory.synced_at != self.clock.now():
            return self.sync()
        return memory.portfolio

    def sync(self) -> Portfolio:
        """The venue's truth, reconciled with the journal and booked. Raises Transient where it can't be trusted."""
        portfolio = self._read()
        portfolio = self._reconciled(portfolio) if self._is_news(portfolio) else self._noted(portfolio)
        failpoints.reach("after_settle")
        self._memory.portfolio, self._memory.synced_at = portfolio, self.clock.now()
        self._memory.touched = False
        self.board.saw_portfolio(portfolio)
        return portfolio

    def _is_news(self, portfolio: Portfolio) -> bool:
        """Whether reconciling could find anything. It is a pure function of what the journal holds and of orders, held
        units and cash: where it found nothing to do and none of these is another, it finds nothing again."""
        memory, before = self._memory, self._memory.portfolio
        settled = memory.settled == self.known.changes and not memory.ended
        return not settled or before is None or before.orders != portfolio.orders or moved(before, portfolio)

    def _noted(self, portfolio: Portfolio) -> Portfolio:
        """Nothing has happened: at most the marks have moved, and the equity with them."""
        begin_day(self._memory, self.journal, portfolio, self.clock.now().date())
        failpoints.reach("before_book")
        if changed(self._memory.portfolio, portfolio):
            self.known.save_sync(portfolio, portfolio.orders, ())
        failpoints.reach("after_book")
        return portfolio

    def _reconciled(self, portfolio: Portfolio) -> Portfolio:
        """The report that was trusted in the end: this one, or a later one."""
        before, live = self.known.changes, self.known.live()
        self._memory.settled = None  # until all of this is done
        books = self.known.books() if self._memory.opened else None
        believed = Believed(
            positions=books.positions if books else None,
            cash=books.cash if books else None,
            live=frozenset(record.intent.client_order_id for record in live),
            execution_ids=self._memory.execution_ids,
        )
        accepted = {r.intent.client_order_id for r in live if r.state == IntentState.ACCEPTED}
        reported, result = self._ask(believed, accepted, portfolio)
        if result.vanished and result.suspect:
            self._miss(result.vanished)
        if result.suspect:
            raise Transient(f"the venue's report is doubtful: {result.suspect}")
        for reason in result.halts:
            self.halt(reason)  # before the difference is booked: after that nothing would show it any more
        if result.halts:
            self._restate(reported, result)
        begin_day(self._memory, self.journal, reported.portfolio, self.clock.now().date())
        self._book(reported, result)
        self._settle(live, reported)
        self.vanished.over()
        self._memory.ended.clear()
        if not (result.executions or result.corrections or result.halts or reported.looked_up):
            self._memory.settled = before  # what was written meanwhile makes it news again
        return reported.portfolio

    def _ask(
        self, believed: Believed, accepted: Collection[str], portfolio: Portfolio
    ) -> tuple[Reported, Reconciliation]:
        """`accepted`: those of the live intents that the venue had taken before this report."""
        answers: dict[str, Order | None] = {n: o for n, o in self._memory.ended.items() if n in believed.live}
        reported = self._report(portfolio, answers)
        result = reconcile(believed, reported)
        for wait in ASK_AGAIN_S:
            if not (result.suspect or result.lost):
                break
            if result.suspect:
                self.pause(wait)
            found = {name: self.broker.order_by_client_id(name) for name in result.lost}
            answers |= found
            if result.suspect or not (found.keys() <= set(accepted) and all(map(is_over, found.values()))):
                reported = self._report(self._read(), answers)
            else:  # they were over before the open orders were read: what was read since then shows all that they did
                fills = reported.executions or self._executions(answers)
                reported = replace(reported, looked_up=dict(answers), executions=fills)
            # a fill may reach the activities later than the positions: only the last report is held against the venue
            confirmed = bool(result.suspect) and wait == ASK_AGAIN_S[-1]
            accepted_loss = self.vanished.accepted(self._memory.flags["halted"])
            result = reconcile(believed, reported, confirmed=confirmed, accepted=accepted_loss)
        return reported, result

    def _miss(self, what: str) -> None:
        """A halt that stands already must not hide this one: whoever lifts it has to know what they take for true."""
        reason, before = self.vanished.heard(what, self.clock.now()), self._memory.flags["halted"]
        if reason:
            self.set_flag("halted", f"{before}; {reason}" if before else reason)
            self.vanished.ask()
            self.alert("halt", "error", reason)

    def _read(self) -> Portfolio:
        """As the venue tells it now."""
        self._memory.began = self._memory.opened or self.clock.now()
        orders = tuple(self.broker.open_orders())
        positions = {position.symbol: position for position in self.broker.positions()}
        account = self.broker.account()
        return _new_portfolio(account=account, positions=positions, orders=orders, at=account.at)

    def _report(self, portfolio: Portfolio, answers: Mapping[str, Order | None]) -> Reported:
        # executions last, to cover whatever the positions show; those from before the books are in the opening balance
        executions = self._executions(answers, moved=moved(self._memory.portfolio, portfolio))
        return _new_reported(portfolio=portfolio, executions=executions, looked_up=dict(answers))

    def _executions(self, answers: Mapping[str, Order | None], *, moved: bool = False) -> tuple[Execution, ...]:
        """None are asked for where neither the portfolio nor any order looked up shows one."""
        if not (moved or any(order is not None and order.filled_qty for order in answers.values())):
            return ()
        first = self._memory.began or self.clock.now()
        since = max((self._memory.last_execution_at or first) - OVERLAP, first)
        return tuple(e for e in self.broker.executions(since) if e.at >= first)

    def _book(self, reported: Reported, result: Reconciliation) -> None:
        now = self.clock.now()
        looked_up = [order for order in reported.looked_up.values() if order is not None]
        orders = (*reported.portfolio.orders, *looked_up)
        before = self._memory.portfolio.orders if self._memory.portfolio else ()  # over, they may come without legs
        failpoints.reach("before_book")
        for execution in result.executions:  # first: once it is booked, a fill is not new any more
            if any(is_stop(order, execution.order_id) for order in (*orders, *before)):
                remember_stop(self._memory, self.journal, execution)
        if result.executions or looked_up or changed(self._memory.portfolio, reported.portfolio):
            for execution in self.known.save_sync(reported.portfolio, orders, result.executions):
                failpoints.reach("amid_book")
                self.board.saw_fill(execution)
                self.on_fill(execution)
        failpoints.reach("after_book")
        if self._memory.opened is None or result.corrections:
            self._correct(reported, result, now)
        if result.executions:
            self._memory.last_execution_at = max(execution.at for execution in result.executions)
            self._memory.execution_ids = booked_lately(self.journal, self._memory.last_execution_at)

    def _restate(self, reported: Reported, result: Reconciliation) -> None:
        """A split: the levels in the new units, before the difference is booked, too."""
        for levels, told in restated(self._memory, self.known, self.broker, reported, result, self.clock.now()):
            self.known.save_levels([levels])
            self.restated[levels.symbol] = levels.set_at
            self.alert("split", "error", told)

    def _correct(self, reported: Reported, result: Reconciliation, now: datetime) -> None:
        """Book what no execution explains: the opening balance, adopted positions, fees, deposits."""
        books = self.known.books()
        reasons: dict[Symbol | None, Correction] = {c.symbol: c for c in result.corrections}
        opening = self._memory.opened is None
        for symbol in sorted({*books.positions, *result.positions}):
            difference = result.positions.get(symbol, Decimal(0)) - books.positions.get(symbol, Decimal(0))
            if difference:
                why = reasons.get(symbol)
                kind = why.kind.value if why else "opening"
                self.known.correct(kind, now, symbol=symbol, qty=difference, detail=why.detail if why else "")
                failpoints.reach("amid_corrections")
        if result.cash is not None and result.cash != books.cash:
            kind = "opening" if opening else "transfer" if result.transferred else "cash"
            at = reported.portfolio.at if result.transferred else now  # of the equity that shows it first
            self.known.correct(kind, at, cash=result.cash - books.cash, detail=f"cash is {result.cash}")
            allow_for(self._memory, self.journal, result.transferred)
        failpoints.reach("after_corrections")
        for correction in result.corrections:
            self.board.say("books", f"{correction.kind.value} {correction.symbol or ''} {correction.detail}")
        if opening:
            self._memory.opened = self._memory.began or now
            self.journal.set_meta("opened", self._memory.opened.isoformat())

    def _settle(self, live: Sequence[KnownIntent], reported: Reported) -> None:
        """Bring the live intents' states up to what the venue shows of them."""
        now = self.clock.now()
        open_orders = {order.client_order_id: order for order in reported.portfolio.orders}
        for record in live:
            name = record.intent.client_order_id
            order = open_orders.get(name) or reported.looked_up.get(name)
            state = IntentState(record.state)
            if order is not None:
                self._advance(name, state, seen(order), order_id=order.id)
            elif name in reported.looked_up and now - self._last_sent(record) >= ABANDON_AFTER:
                state = next_state(state, IntentEvent.ABSENT)
                self._advance(name, state, IntentEvent.GIVEN_UP, reason="the venue never saw it")

    def _last_sent(self, record: KnownIntent) -> datetime:
        return max(record.created_at, self._memory.unanswered.get(record.intent.client_order_id, record.created_at))

    def _advance(
        self, name: str, state: IntentState, event: IntentEvent, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        after = next_state(state, event)
        if after is not state:
            self.known.set_intent(name, after, self.clock.now(), order_id=order_id, reason=reason)

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
        self.known.set_intent(intent.client_order_id, IntentState.REJECTED, self.clock.now(), reason=refusal.reason)
        self.alert("refused", "warning", f"{intent.purpose} {intent.symbol}: {refusal.reason} ({refusal.code})")

    def drop(self, intent: OrderIntent, reason: str) -> None:
        """A planned intent that must not be sent after all."""
        self.known.set_intent(intent.client_order_id, IntentState.REJECTED, self.clock.now(), reason=reason)

    def intent_for(self, wish: ExitWish, cycle_id: str) -> OrderIntent:
        """Journal an exit under its deterministic id. Where the venue has not said what became of the same one, it is
        that one again: under two ids both could be carried out."""
        for record in self.known.live():
            if record.state != IntentState.ACCEPTED and wish.is_of(record.intent):
                return record.intent
        attempt = self.journal.attempts(cycle_id, wish.symbol, wish.purpose)
        intent = wish.under(client_order_id(self.account_id, cycle_id, wish.symbol, wish.purpose, attempt))
        self.known.add_intent(cycle_id, intent, self.clock.now())
        failpoints.reach("after_exit_intent")
        return intent

    def cancel(self, order_ids: Iterable[str]) -> bool:
        """Ask for all, then wait until each is terminal. False, with an alert, where that took too long."""
        pending = set(order_ids)
        self._memory.touched = True
        failpoints.reach("before_cancel")
        for order_id in sorted(pending):
            try:
                self.broker.cancel(order_id)
            except Transient as error:
                self.board.say("venue", f"cancel: {error}")
        failpoints.reach("after_cancel")
        deadline = self.clock.monotonic() + CONFIRM_S
        while pending:
            pending -= {order_id for order_id in pending if self._has_ended(order_id)}
            if pending and self.clock.monotonic() >= deadline:
                self.alert("cancel", "warning", f"{len(pending)} cancels unconfirmed after {CONFIRM_S:.0f} s")
                return False
            if pending:
                self.pause(0.25)
        return True

    def _has_ended(self, order_id: str) -> bool:
        try:
            order = self.broker.order(order_id)
        except Transient:
            return False
        if order is not None and is_over(order):
            self._memory.ended[order.client_order_id] = order
        return order is None or is_over(order)

    # ---- the rest ----

    def doubt(self) -> str:
        """Why no entry is to be made for now; "" for no reason."""
        return "; ".join(each for each in self.doubts.values() if each)

    def risk_state(self, portfolio: Portfolio) -> RiskState:
        """What risk must remember."""
        memory, now = self._memory, self.clock.now()
        begin_day(memory, self.journal, portfolio, now.date())
        reach_peak(memory, self.journal, portfolio.account.equity)
        return risk_state(memory, self.doubt(), self.clock.monotonic())

    def flags(self) -> dict[str, str]:
        """Latched switches and their reasons; "" is off. Only this process sets them while it holds the account."""
        return dict(self._memory.flags)

    def set_flag(self, name: str, reason: str) -> None:
        self.journal.set_flag(name, reason, self.clock.now())
        self._memory.flags[name] = reason
        self.board.flags = self.flags()

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
        except Transient as error:
            self.board.say("journal", str(error))  # it was said all the same

    def pause(self, seconds: float) -> None:
        """Let market time pass, whatever wakes the clock meanwhile. A wall clock that is set makes it no longer."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            before = self.clock.monotonic()
            self.clock.wait_until(self.clock.now() + timedelta(seconds=left))
            if self.clock.monotonic() <= before:
                break  # the market has ended, or the clock was woken for good
