"""The venue's report: what is protected by it at once, and what is booked of it.

Positions and open orders are all that protecting needs, and are read first. The account, the look-up of single orders
and the activities are read each by itself: one that fails leaves the books as they are, and entries wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trader.core.equity import Worth, counted, misses, worth_of
from trader.core.fills import cash_of
from trader.core.orders import IntentState, is_over, is_stop
from trader.core.portfolio import changed, moved
from trader.core.reconcile import Believed, Reconciliation, Reported, reconcile
from trader.core.types import ZERO, Execution, Order, Portfolio, Symbol
from trader.core.unbooked import awaited_cash, to_protect, unbooked
from trader.core.values import maker
from trader.errors import Transient
from trader.trading import failpoints
from trader.trading.consent import note_found, there_before
from trader.trading.corrections import correct
from trader.trading.day import begin_day
from trader.trading.history import History
from trader.trading.intent_states import IntentStates
from trader.trading.journal_cache import Known
from trader.trading.last_resort import adopt_unrecorded
from trader.trading.listener import Listener
from trader.trading.memory import LIST_LAG, Memory, booked_lately, remember_stop
from trader.trading.open_differences import LAG, OpenDifferences
from trader.trading.orders_seen import filled_lately, look_up, with_hidden
from trader.trading.owed import Owed
from trader.trading.parts import Parts
from trader.trading.ports import Broker, Clock, Journal, KnownIntent, Opaque
from trader.trading.split_handling import Splits
from trader.trading.status import Board

_new_portfolio = maker(Portfolio)
_new_reported = maker(Reported)
ASK_AGAIN_S = (0.2, 0.5, 1.0, 2.0)  # waits before a report that differs is asked for again
_LIST_LAG_S = LIST_LAG.total_seconds()
DOUBTED = "the books are in doubt"


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
        self.history = History(broker, journal, clock, known, memory, self.parts)
        self.owed = Owed(clock, desk.alert)
        self.splits = Splits(memory, known, broker, clock, desk)
        self.doubt = ""  # why the books are not to be entered on
        self.opaque: tuple[Opaque, ...] = ()
        self.awaited_cash: Decimal | None = Decimal(0)  # of fills that are not booked yet; None where it can't be told
        self._has_cash = True
        self._money_since: datetime | None = None  # when the money that is about to be booked was first missed
        self._fills: dict[Symbol, tuple[float, Decimal]] = {}  # the last ones booked: when, by the clock, and the price

    def sync(self) -> Portfolio:
        """As it is to be protected. Raises Transient where positions or open orders can't be read."""
        portfolio = self._read()
        self.splits.recorded()
        view = self._reconciled(portfolio) if self._is_news(portfolio) else self._noted(portfolio)
        failpoints.reach("after_settle")
        self.doubt = self._doubt()
        return view

    def unrecorded(self) -> Portfolio:
        """As it is to be protected while nothing can be booked: by the books as they were, and by what has been traded
        since. Raises Transient where positions or open orders can't be read."""
        portfolio, live = self._read(), {each.intent.client_order_id: each for each in self.known.live()}
        answers: dict[str, Order | None] = {n: o for n, o in self.memory.ended.items() if n in live}
        open_ones = {order.client_order_id for order in portfolio.orders}
        answers |= look_up(self.broker, self.parts, sorted(live.keys() - open_ones - answers.keys()), live)
        portfolio = with_hidden(portfolio, answers)
        filled, _ = filled_lately(portfolio, answers, live, self.memory.filled)
        executions = self.history.told() if filled or moved(self.memory.portfolio, portfolio) else ()
        reported = _new_reported(
            portfolio=portfolio, executions=executions, looked_up=answers, filled=filled, has_cash=self._has_cash
        )
        traded = self.splits.unrecorded(reported, reconcile(self._believed(live), reported))
        self._await(reported, traded)
        view = self._view(reported, traded)
        self.states.settle([each for each in live.values() if each.intent.purpose.reduces], reported)
        return view

    def _await(self, reported: Reported, traded: Reconciliation) -> None:
        """The money of all that was traded and is not booked."""
        currency = reported.portfolio.account.currency
        awaited = awaited_cash(reported.filled, self.memory.filled, traded.executions)
        told = sum([cash_of(each, currency) for each in traded.executions], ZERO)
        self.awaited_cash = None if awaited is None else awaited + told

    def _doubt(self) -> str:
        read_trouble, difference = self.parts.trouble(), self.differences.text if self.differences.key else ""
        reasons = "; ".join(reason for reason in (read_trouble, difference) if reason)
        return f"{DOUBTED}: {reasons}" if reasons else ""

    # ---- reading ----

    def _read(self) -> Portfolio:
        """As the venue tells it now. The account may be an older one: its figures say of when they are."""
        memory = self.memory
        memory.began = memory.opened or self.history.border()
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
        memory, last = self.memory, self.memory.portfolio
        settled = memory.settled == self.known.changes and not memory.ended and not self.history.due()
        return not settled or last is None or last.orders != portfolio.orders or moved(last, portfolio)

    def _noted(self, portfolio: Portfolio) -> Portfolio:
        """Nothing has happened: at most the marks have moved, and the equity with them."""
        begin_day(self.memory, self.journal, self.clock.now().date())
        self.awaited_cash = ZERO
        failpoints.reach("before_book")
        if self._has_cash and changed(self.memory.portfolio, portfolio):
            self.known.save_sync(portfolio, portfolio.orders, (), counted(self.worth(portfolio), self.known.moved()))
        failpoints.reach("after_book")
        self.memory.portfolio = portfolio
        return portfolio

    def worth(self, portfolio: Portfolio, cash: Decimal | None = None) -> Worth:
        """By the venue and by our own count, the books' cash being `cash`, or what it is now."""
        if self.memory.opened is None or self.awaited_cash is None:
            return worth_of(portfolio, None, self.desk.equity_band)
        own = self.known.books().cash if cash is None else cash
        return worth_of(portfolio, own + self.awaited_cash, self.desk.equity_band)

    # ---- reconciling ----

    def _reconciled(self, portfolio: Portfolio) -> Portfolio:
        """Book what is explained, of this report or a later one; what is not stays open."""
        memory = self.memory
        changes, live = self.known.changes, {record.intent.client_order_id: record for record in self.known.live()}
        memory.settled = None  # until all of this is done
        reported, result = self._ask(live, portfolio)
        split = self._open(reported, result)
        result = split or result
        self.owed.look(reported.filled, memory.filled, result.executions)
        begin_day(memory, self.journal, self.clock.now().date())
        self._book(reported, result)
        in_question = result.unexplained or result.awaited or self._just_freed()
        self.awaited_cash = awaited_cash(reported.filled, memory.filled) if in_question else ZERO
        view = self._view(reported) if in_question else reported.portfolio
        self.states.settle(list(live.values()), reported)
        memory.ended = {name: order for name, order in memory.ended.items() if name in self.states.unsettled()}
        quiet = not (result.executions or result.corrections or result.unexplained or result.awaited)
        if quiet and not reported.looked_up and self._has_cash and not self.parts.trouble():
            memory.settled = changes  # what was written meanwhile makes it news again
        memory.portfolio = reported.portfolio
        return view

    def _believed(self, live: Mapping[str, KnownIntent]) -> Believed:
        """As of now: a fee that was posted since changes it."""
        memory = self.memory
        books = self.known.books() if memory.opened else None
        return Believed(
            positions=books.positions if books else None,
            cash=books.cash if books else None,
            live=frozenset(live),
            execution_ids=memory.execution_ids,
            filled=memory.filled,
            estimates=self.history.estimates(),
            doubted=self.differences.symbols,
        )

    def _ask(self, live: Mapping[str, KnownIntent], portfolio: Portfolio) -> tuple[Reported, Reconciliation]:
        """Orders that are not open any more are looked up. A difference that is new is asked about again at once, for
        the venue's lists are not read in one instant; one that is known waits for the next look."""
        accepted_difference = self.differences.accepted(self.memory.flags["halted"])
        answers: dict[str, Order | None] = {n: o for n, o in self.memory.ended.items() if n in live}
        accepted_names = {name for name, record in live.items() if record.state == IntentState.ACCEPTED}
        reported = self._report(portfolio, answers, live)
        if self.memory.opened is None:
            reported = self._at_rest(reported, answers, live)
        result = reconcile(self._believed(live), reported, accepted=accepted_difference)
        if result.asks_why:  # an activity of the last days may say
            reported = self._report(reported.portfolio, answers, live, whole=True)
            result = reconcile(self._believed(live), reported, accepted=accepted_difference)
        for wait in ASK_AGAIN_S:
            is_new = bool(result.unexplained) and not self.differences.key
            if not (is_new or result.lost):
                break
            if is_new:
                self.desk.pause(wait)
            replies = look_up(self.broker, self.parts, result.lost, live)
            answers |= replies
            if is_new or not (replies.keys() <= accepted_names and all(map(is_over, replies.values()))):
                reported = self._report(self._read(), answers, live)
            elif replies:  # they were over before the open orders were read: what was read since shows all they did
                reported = self._report(reported.portfolio, answers, live, reported.executions)
            else:
                break  # nothing can be learnt of them now
            result = reconcile(self._believed(live), reported, accepted=accepted_difference)
        if not result.lost:
            self.parts.forget("look-up")  # nothing is left to be asked
        return reported, result

    def _at_rest(
        self, reported: Reported, answers: Mapping[str, Order | None], live: Mapping[str, KnownIntent]
    ) -> Reported:
        """The books open on a report whose figures agree, and during which nothing was filled: whether that was before
        or after the positions were read, nobody could tell."""
        for wait in ASK_AGAIN_S:
            contradiction = misses(reported.portfolio, reported.portfolio.account.cash)
            if not (reported.executions or contradiction):
                break
            if contradiction:
                self.desk.pause(wait)
            reported = self._report(self._read(), answers, live)
        return reported

    def _report(
        self,
        portfolio: Portfolio,
        answers: Mapping[str, Order | None],
        live: Mapping[str, KnownIntent],
        executions: tuple[Execution, ...] = (),
        *,
        whole: bool = False,
    ) -> Reported:
        """An order that the list leaves out and the look-up shows is open all the same: none is placed beside it."""
        portfolio = with_hidden(portfolio, answers)
        unbooked_fills, owing_since = filled_lately(portfolio, answers, live, self.memory.filled)
        # executions last, to cover whatever the positions show; none are asked for where nothing can have happened
        looked_up = any(order is not None and order.filled_qty for order in answers.values())
        whole = whole or self.history.due()
        still_open = bool(self.differences.key) or self.parts.fails("activities") or whole
        if not executions and (moved(self.memory.portfolio, portfolio) or looked_up or unbooked_fills or still_open):
            executions = self.history.executions(owing_since, whole=whole)
        return _new_reported(
            portfolio=portfolio,
            executions=executions,
            looked_up=dict(answers),
            filled=unbooked_fills,
            has_cash=self._has_cash,
            postings=self.history.fresh,
        )

    def _open(self, reported: Reported, result: Reconciliation) -> Reconciliation | None:
        """What nothing explains. A split is booked at once, with a halt: levels in the old units must not be acted on;
        then the reconciliation that has it booked is returned."""
        differences, now = self.differences, self.clock.now()
        self._money_since = None
        if not result.unexplained:
            self._money_since = differences.since
            if differences.told:
                self.desk.alert("books", "info", f"explained after all: {differences.text}")
            differences.over()
            return None
        split = self.splits.booking(reported, result)
        if split is not None:
            return split
        differences.heard(result, now)
        only_money = not (result.lacks_units or result.contradicts_itself)
        if only_money and differences.lasts(2 * LAG, now):
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

    # ---- booking ----

    def _book(self, reported: Reported, result: Reconciliation) -> None:
        now, memory = self.clock.now(), self.memory
        looked_up = [order for order in reported.looked_up.values() if order is not None]
        orders = (*reported.portfolio.orders, *looked_up)
        orders_before = memory.portfolio.orders if memory.portfolio else ()  # over, they may come without legs
        failpoints.reach("before_book")
        for execution in result.executions:  # first: once it is booked, a fill is not new any more
            if any(is_stop(order, execution.order_id) for order in (*orders, *orders_before)):
                remember_stop(memory, self.journal, execution)
        news = self._has_cash and changed(memory.portfolio, reported.portfolio)
        self.awaited_cash = awaited_cash(reported.filled, memory.filled, result.executions)
        if result.executions or looked_up or news:
            count = counted(self.worth(reported.portfolio, self._traded(result)), self.known.moved())
            fresh = self.known.save_sync(reported.portfolio, orders, result.executions, count)
            for execution in fresh:  # all of them, before anything that can fail: the books have them all
                name = execution.order_id
                memory.filled[name] = memory.filled.get(name, ZERO) + execution.qty
            memory.execution_ids |= {execution.id for execution in result.executions}
            for execution in fresh:
                failpoints.reach("amid_book")
                self._booked(execution)
            self.history.booked(result.executions)
        failpoints.reach("after_book")
        if memory.opened is None or result.corrections:
            self._correct(reported, result, now)
            adopt_unrecorded(self.journal, self.known, reported.portfolio.orders, result.corrections, now)
        if result.executions:
            newest = max(execution.at for execution in result.executions)
            memory.last_execution_at = max(newest, memory.last_execution_at or newest)
            memory.execution_ids = booked_lately(self.journal, memory.last_execution_at)

    def _traded(self, result: Reconciliation) -> Decimal | None:
        """The books' cash once the executions are booked, and before the corrections are."""
        if self.memory.opened is None or result.cash is None:
            return None
        return result.cash - sum([each.cash for each in result.corrections], ZERO)

    def _booked(self, execution: Execution) -> None:
        memory = self.memory
        held = memory.portfolio.position(execution.symbol) if memory.portfolio else None
        memory.counts.filled(execution, held, self.journal)
        self._fills[execution.symbol] = self.clock.monotonic(), execution.price
        self.board.saw_fill(execution)
        self.desk.on_fill(execution)

    def _correct(self, reported: Reported, result: Reconciliation, now: datetime) -> None:
        """Book what no execution explains: the opening balance, adopted positions, fees, deposits."""
        opening = self.memory.opened is None
        if correct(self.known, result, opening, first=self._money_since or reported.portfolio.at, now=now):
            self.history.corrected()
        failpoints.reach("after_corrections")
        for correction in result.corrections:
            self.board.say("books", f"{correction.kind.value} {correction.symbol or ''} {correction.detail}")
            if correction.symbol is not None and correction.posting is not None and not correction.posting.is_fee:
                text = f"{correction.symbol}: units came or went without a trade: {correction.detail}"
                self.desk.alert("adopt", "warning", text)
        if opening:
            self.memory.opened = self.memory.began or now
            note_found(self.journal, there_before(reported.portfolio))
            self.history.opened()
            self.journal.set_meta("opened", self.memory.opened.isoformat())

    # ---- protecting ----

    def _just_freed(self) -> set[Symbol]:
        """Where the list of positions may still count units as held by an order of ours that has ended."""
        now = self.clock.monotonic() if self.memory.freed else 0.0
        self.memory.freed = {symbol: at for symbol, at in self.memory.freed.items() if now - at < _LIST_LAG_S}
        return set(self.memory.freed)

    def _view(self, reported: Reported, unrecorded: Reconciliation | None = None) -> Portfolio:
        """What is to be protected, whatever could be booked. `unrecorded`: what has been traded and can't be."""
        now, fresh = self.clock.monotonic(), unrecorded.executions if unrecorded is not None else ()
        spans = unbooked(reported.filled, self.memory.filled, fresh)
        last_prices = {symbol: price for symbol, (at, price) in self._fills.items() if now - at < _LIST_LAG_S}
        last_prices |= {fill.symbol: fill.price for fill in reported.filled if fill.price and fill.symbol in spans}
        freed_symbols = self._just_freed()
        freed_symbols -= {item.symbol for item in self.opaque if item.symbol is not None}  # it may be what holds it
        booked = self.known.books().positions if unrecorded is None else unrecorded.positions
        return to_protect(reported.portfolio, booked, spans, self.board.portfolio, last_prices, freed_symbols)
