"""The venue's report: what is protected by it at once, and what is booked of it.

Positions and open orders are all that protecting needs, and are read first. The account, the look-up of single orders
and the activities are read each by itself: one that fails leaves the books as they are, and entries wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Protocol

from trader.core.orders import IntentState, is_over, is_stop
from trader.core.portfolio import changed, moved
from trader.core.reconcile import Believed, Correction, Reconciliation, Reported, reconcile
from trader.core.types import ZERO, Execution, Order, Portfolio, Symbol
from trader.core.unbooked import Filled, awaited_cash, filled_of, to_protect, unbooked
from trader.core.values import maker
from trader.errors import Transient
from trader.trading import failpoints
from trader.trading.consent import note_found
from trader.trading.day import allow_for, begin_day
from trader.trading.intent_states import IntentStates
from trader.trading.journal_cache import Known
from trader.trading.last_resort import adopt_unrecorded
from trader.trading.memory import OVERLAP, Memory, booked_lately, remember_stop
from trader.trading.open_differences import LAG, OpenDifferences
from trader.trading.parts import Parts
from trader.trading.ports import Broker, Clock, Journal, KnownIntent, Opaque
from trader.trading.split_handling import restated
from trader.trading.status import Board

_new_portfolio = maker(Portfolio)
_new_believed, _new_reported = maker(Believed), maker(Reported)
ASK_AGAIN_S = (0.2, 0.5, 1.0, 2.0)  # waits before a report that differs is asked for again
DOUBTED = "the books are in doubt"
LIST_LAG_S = 180.0  # so long after a fill the list of positions may not show it yet


class Listener(Protocol):
    """The desk, as far as the books concern it."""

    restated: dict[Symbol, datetime]
    on_fill: Callable[[Execution], None]

    def halt(self, reason: str) -> None: ...

    def set_flag(self, name: str, reason: str) -> None: ...

    def alert(self, kind: str, severity: str, detail: str) -> None: ...

    def pause(self, seconds: float) -> None: ...


class Bookkeeper:
    """Every method is to be called with the desk's lock held. `desk`: told of halts, alerts and fills."""

    def __init__(
        self, broker: Broker, journal: Journal, clock: Clock, board: Board, known: Known, memory: Memory, desk: Listener
    ) -> None:
        self.broker, self.journal, self.clock, self.board, self.known = broker, journal, clock, board, known
        self.memory = memory
        self.desk = desk
        self.states = IntentStates(memory, known, journal, clock)
        self.parts = Parts(clock)
        self.differences = OpenDifferences(journal)
        self.doubt = ""  # why the books are not to be entered on
        self.opaque: tuple[Opaque, ...] = ()
        self.awaited_cash: Decimal | None = Decimal(0)  # of fills that are not booked yet; None where it can't be told
        self._has_cash = True
        self._money_since: datetime | None = None  # when the money that is about to be booked was first missed
        self._fills: dict[Symbol, tuple[float, Decimal]] = {}  # the last ones booked: when, by the clock, and the price

    def sync(self) -> Portfolio:
        """As it is to be protected. Raises Transient where positions or open orders can't be read."""
        portfolio = self._read()
        view = self._reconciled(portfolio) if self._is_news(portfolio) else self._noted(portfolio)
        failpoints.reach("after_settle")
        self.doubt = self._doubt()
        return view

    def _doubt(self) -> str:
        unread, differs = self.parts.trouble(), self.differences.text if self.differences.key else ""
        return f"{DOUBTED}: {'; '.join(filter(None, (unread, differs)))}" if unread or differs else ""

    # ---- reading ----

    def _read(self) -> Portfolio:
        """As the venue tells it now. The account may be an older one: its figures say of when they are."""
        memory = self.memory
        memory.began = memory.opened or self.clock.now()
        orders = tuple(self.broker.open_orders())
        positions = {position.symbol: position for position in self.broker.positions()}
        self._show(tuple(self.broker.opaque()))
        try:
            account = self.parts.read("account", self.broker.account)
            self._has_cash = True
        except Transient:
            if memory.portfolio is None:
                raise  # nothing is known of it yet
            account = memory.portfolio.account
            self._has_cash = False
        at = account.at if self._has_cash else self.clock.now()
        return _new_portfolio(account=account, positions=positions, orders=orders, at=at)

    def _show(self, opaque: tuple[Opaque, ...]) -> None:
        for each in opaque:
            if each not in self.opaque:
                self.desk.alert("unreadable", "warning", f"{each.kind} {each.symbol or ''}: {each.detail}")
        self.opaque = self.board.opaque = opaque

    def _is_news(self, portfolio: Portfolio) -> bool:
        """Whether reconciling could find anything. It is a pure function of what the journal holds and of orders, held
        units and cash: where it found nothing to do and none of these is another, it finds nothing again."""
        memory, before = self.memory, self.memory.portfolio
        settled = memory.settled == self.known.changes and not memory.ended
        return not settled or before is None or before.orders != portfolio.orders or moved(before, portfolio)

    def _noted(self, portfolio: Portfolio) -> Portfolio:
        """Nothing has happened: at most the marks have moved, and the equity with them."""
        begin_day(self.memory, self.journal, portfolio.account.equity, self.clock.now().date())
        failpoints.reach("before_book")
        if self._has_cash and changed(self.memory.portfolio, portfolio):
            self.known.save_sync(portfolio, portfolio.orders, ())
        failpoints.reach("after_book")
        self.memory.portfolio = portfolio
        self.awaited_cash = ZERO
        return portfolio

    def _look_up(self, names: Sequence[str], live: Mapping[str, KnownIntent]) -> dict[str, Order | None]:
        """What could be learnt of them."""
        found: dict[str, Order | None] = {}
        for name in names:
            try:
                found[name] = self.parts.read("look-up", partial(self._one, name, live[name].order_id))
            except Transient:
                break  # the others of now would be answered alike
        return found

    def _one(self, name: str, order_id: str | None) -> Order | None:
        """By our own name for it, or by the venue's where that fails."""
        try:
            return self.broker.order_by_client_id(name)
        except Transient:
            order = self.broker.order(order_id) if order_id is not None else None
            if order is None:
                raise
            return order

    def _executions(self, owing: datetime | None) -> tuple[Execution, ...]:
        """Those from before the books are in the opening balance. `owing`: since when an order of ours owes some: the
        venue may have left out one fill and told of later ones."""
        first = self.memory.began or self.clock.now()
        usual = since = max((self.memory.last_execution_at or first) - OVERLAP, first)
        if owing is not None:
            since = max(min(usual, owing - OVERLAP), first)
        try:
            told = self.parts.read("activities", lambda: self.broker.executions(since))
        except Transient:
            return ()
        booked = {e.id for e in self.journal.executions(after=since - OVERLAP)} if since < usual else frozenset()
        return tuple(e for e in told if e.at >= first and (e.at >= usual or e.id not in booked))

    # ---- reconciling ----

    def _reconciled(self, portfolio: Portfolio) -> Portfolio:
        """Book what is explained, of this report or a later one; what is not stays open."""
        memory = self.memory
        before, live = self.known.changes, {each.intent.client_order_id: each for each in self.known.live()}
        memory.settled = None  # until all of this is done
        books = self.known.books() if memory.opened else None
        believed = _new_believed(
            positions=books.positions if books else None,
            cash=books.cash if books else None,
            live=frozenset(live),
            execution_ids=memory.execution_ids,
            filled=memory.filled,
        )
        reported, result = self._ask(believed, live, portfolio)
        split = self._open(reported, result)
        result = split or result
        begin_day(memory, self.journal, reported.portfolio.account.equity, self.clock.now().date())
        self._book(reported, result)
        freed = self._just_freed()
        agree = not (result.unexplained or result.awaited or freed)
        view = self._agreed(reported) if agree else self._view(reported, freed)
        self.states.settle(list(live.values()), reported)
        unsettled = self.states.unsettled()
        memory.ended = {name: order for name, order in memory.ended.items() if name in unsettled}
        quiet = not (result.executions or result.corrections or result.unexplained or result.awaited)
        if quiet and not reported.looked_up and self._has_cash and not self.parts.trouble():
            memory.settled = before  # what was written meanwhile makes it news again
        memory.portfolio = reported.portfolio
        return view

    def _ask(
        self, believed: Believed, live: Mapping[str, KnownIntent], portfolio: Portfolio
    ) -> tuple[Reported, Reconciliation]:
        """Orders that are not open any more are looked up. A difference that is new is asked about again at once, for
        the venue's lists are not read in one instant; one that is known waits for the next look."""
        accepted = self.differences.accepted(self.memory.flags["halted"])
        answers: dict[str, Order | None] = {n: o for n, o in self.memory.ended.items() if n in believed.live}
        reported = self._report(portfolio, answers, live)
        result = reconcile(believed, reported, accepted=accepted)
        for wait in ASK_AGAIN_S:
            differs = bool(result.unexplained) and not self.differences.key
            if not (differs or result.lost):
                break
            if differs:
                self.desk.pause(wait)
            found = self._look_up(result.lost, live)
            answers |= found
            taken = {name for name, each in live.items() if each.state == IntentState.ACCEPTED}
            if differs or not (found.keys() <= taken and all(map(is_over, found.values()))):
                reported = self._report(self._read(), answers, live)
            elif found:  # they were over before the open orders were read: what was read since shows all that they did
                reported = self._report(reported.portfolio, answers, live, reported.executions)
            else:
                break  # nothing can be learnt of them now
            result = reconcile(believed, reported, accepted=accepted)
        if not result.lost:
            self.parts.forget("look-up")  # nothing is left to be asked
        return reported, result

    def _report(
        self,
        portfolio: Portfolio,
        answers: Mapping[str, Order | None],
        live: Mapping[str, KnownIntent],
        executions: tuple[Execution, ...] = (),
    ) -> Reported:
        """An order that the list leaves out and the look-up shows is open all the same: none is placed beside it."""
        listed = {order.id for order in portfolio.orders} if answers else ()
        hidden = [o for o in answers.values() if o is not None and o.is_open and o.id not in listed]
        if hidden:
            portfolio = replace(portfolio, orders=(*portfolio.orders, *hidden))
        filled, owing = self._filled(portfolio, answers, live)
        # executions last, to cover whatever the positions show; none are asked for where nothing can have happened
        looked_up = any(order is not None and order.filled_qty for order in answers.values())
        still = bool(self.differences.key) or self.parts.fails("activities")
        if not executions and (moved(self.memory.portfolio, portfolio) or looked_up or filled or still):
            executions = self._executions(owing)
        return _new_reported(
            portfolio=portfolio,
            executions=executions,
            looked_up=dict(answers),
            filled=filled,
            has_cash=self._has_cash,
        )

    def _filled(
        self, portfolio: Portfolio, answers: Mapping[str, Order | None], live: Mapping[str, KnownIntent]
    ) -> tuple[tuple[Filled, ...], datetime | None]:
        """What our live orders have done that is not booked yet, as far as it can be seen; and since when at most."""
        shown = {order.client_order_id: order for order in portfolio.orders}
        found, owing = list[Filled](), list[datetime]()
        for name, record in live.items():
            order = shown.get(name) or answers.get(name)
            if order is not None:
                if not (order.filled_qty or order.legs):
                    continue  # the usual case: it rests
                each = filled_of(order)
                if each.most > sum([self.memory.filled.get(one, ZERO) for one in each.ids], ZERO):
                    found.append(each)
                    owing.append(record.created_at)
            elif name not in answers or record.order_id is not None:  # not seen: it may have done nothing, or all
                intent, ids = record.intent, (record.order_id,) if record.order_id else ()
                sign = intent.order_side.sign
                found.append(Filled(symbol=intent.symbol, sign=sign, ids=ids, least=ZERO, most=intent.qty))
                owing.append(record.created_at)
        return tuple(found), min(owing, default=None)

    def _open(self, reported: Reported, result: Reconciliation) -> Reconciliation | None:
        """What nothing explains. A split is booked at once, with a halt: levels in the old units must not be acted on;
        then the reconciliation that has it booked is returned."""
        differences, now = self.differences, self.clock.now()
        self._money_since = None
        if not result.unexplained:
            if differences.told:
                self.desk.alert("books", "info", f"explained after all: {differences.text}")
            differences.over()
            return None
        split = self._split(reported, result)
        if split is not None:
            return split
        differences.heard(result, now)
        if not result.lacks_units and differences.lasts(2 * LAG, now):
            self.desk.halt(result.doubt)  # before it is booked: after that nothing would show it any more
            self._money_since = differences.since
            differences.over()
            return result.booking()
        if differences.lasts(LAG, now) and not differences.told:
            differences.told = True
            self.desk.alert("books", "error", f"no entries: {result.doubt}")
        question = differences.question(now)
        if question:
            standing = self.memory.flags["halted"]  # must not hide this one: whoever lifts it is to know what they take
            self.desk.set_flag("halted", f"{standing}; {question}" if standing else question)
            differences.ask()
            self.desk.alert("halt", "error", question)
        return None

    def _split(self, reported: Reported, result: Reconciliation) -> Reconciliation | None:
        found = restated(self.memory, self.known, self.broker, reported, result, self.clock.now())
        if not found:
            return None
        symbols = {levels.symbol for levels, _ in found}
        booked = result.booking(symbols)
        self.desk.halt("; ".join(each.detail for each in booked.corrections if each.symbol in symbols))
        for levels, told in found:
            self.known.save_levels([levels])
            self.desk.restated[levels.symbol] = levels.set_at
            self.desk.alert("split", "error", told)
        return booked

    # ---- booking ----

    def _book(self, reported: Reported, result: Reconciliation) -> None:
        now, memory = self.clock.now(), self.memory
        looked_up = [order for order in reported.looked_up.values() if order is not None]
        orders = (*reported.portfolio.orders, *looked_up)
        before = memory.portfolio.orders if memory.portfolio else ()  # over, they may come without legs
        failpoints.reach("before_book")
        for execution in result.executions:  # first: once it is booked, a fill is not new any more
            if any(is_stop(order, execution.order_id) for order in (*orders, *before)):
                remember_stop(memory, self.journal, execution)
        news = self._has_cash and changed(memory.portfolio, reported.portfolio)
        if result.executions or looked_up or news:
            for execution in self.known.save_sync(reported.portfolio, orders, result.executions):
                failpoints.reach("amid_book")
                self._booked(execution)
        failpoints.reach("after_book")
        if memory.opened is None or result.corrections:
            self._correct(reported, result, now)
            adopt_unrecorded(self.journal, self.known, reported.portfolio.orders, result.corrections, now)
        if result.executions:
            newest = max(execution.at for execution in result.executions)
            memory.last_execution_at = max(newest, memory.last_execution_at or newest)
            memory.execution_ids = booked_lately(self.journal, memory.last_execution_at)

    def _booked(self, execution: Execution) -> None:
        memory, name = self.memory, execution.order_id
        memory.filled[name] = memory.filled.get(name, ZERO) + execution.qty
        held = memory.portfolio.position(execution.symbol) if memory.portfolio else None
        memory.counts.filled(execution, held, self.journal)
        self._fills[execution.symbol] = self.clock.monotonic(), execution.price
        self.board.saw_fill(execution)
        self.desk.on_fill(execution)

    def _correct(self, reported: Reported, result: Reconciliation, now: datetime) -> None:
        """Book what no execution explains: the opening balance, adopted positions, fees, deposits."""
        books = self.known.books()
        reasons: dict[Symbol | None, Correction] = {c.symbol: c for c in result.corrections}
        opening = self.memory.opened is None
        for symbol in sorted({*books.positions, *result.positions}):
            difference = result.positions.get(symbol, ZERO) - books.positions.get(symbol, ZERO)
            if difference:
                why = reasons.get(symbol)
                kind = why.kind.value if why else "opening"
                self.known.correct(kind, now, symbol=symbol, qty=difference, detail=why.detail if why else "")
                failpoints.reach("amid_corrections")
        if result.cash is not None and result.cash != books.cash:
            kind = "opening" if opening else "transfer" if result.transferred else "cash"
            first = self._money_since or reported.portfolio.at
            at = first if result.transferred else now  # of the equity that shows it first
            self.known.correct(kind, at, cash=result.cash - books.cash, detail=f"cash is {result.cash}")
            allow_for(self.memory, self.journal, result.transferred)
        failpoints.reach("after_corrections")
        for correction in result.corrections:
            self.board.say("books", f"{correction.kind.value} {correction.symbol or ''} {correction.detail}")
        if opening:
            self.memory.opened = self.memory.began or now
            note_found(self.journal, reported.portfolio.positions)
            self.journal.set_meta("opened", self.memory.opened.isoformat())

    # ---- protecting ----

    def _just_freed(self) -> set[Symbol]:
        """Where the list of positions may still count units as held by an order of ours that has ended."""
        now = self.clock.monotonic() if self.memory.freed else 0.0
        self.memory.freed = {symbol: at for symbol, at in self.memory.freed.items() if now - at < LIST_LAG_S}
        return set(self.memory.freed)

    def _agreed(self, reported: Reported) -> Portfolio:
        self.awaited_cash = ZERO
        return reported.portfolio

    def _view(self, reported: Reported, freed: set[Symbol]) -> Portfolio:
        """What is to be protected, whatever could be booked."""
        now = self.clock.monotonic()
        spans = unbooked(reported.filled, self.memory.filled)
        self.awaited_cash = awaited_cash(reported.filled, self.memory.filled)
        lately = {symbol: price for symbol, (at, price) in self._fills.items() if now - at < LIST_LAG_S}
        lately |= {each.symbol: each.price for each in reported.filled if each.price and each.symbol in spans}
        freed = freed - {each.symbol for each in self.opaque if each.symbol is not None}  # it may be what holds it
        booked = self.known.books().positions
        return to_protect(reported.portfolio, booked, spans, self.board.portfolio, lately, freed)
