"""The other job: between bars, on its beat and on every trade update.

Sync, commands, protect every position, age orders out. No forecast, and it never waits for one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trader.core.decision import ExitPolicy, Levels, RiskLimits
from trader.core.exit_price import Judged
from trader.core.ids import purpose_of
from trader.core.portfolio import is_held
from trader.core.protect import ProtectAction, close_now, protect
from trader.core.splits import are_forgotten
from trader.core.types import (
    Instrument,
    Order,
    OrderIntent,
    Portfolio,
    Position,
    Purpose,
    Quote,
    Symbol,
    Timeframe,
)
from trader.errors import DatabaseAway, Transient
from trader.trading import failpoints
from trader.trading.bar_record import BarRecord
from trader.trading.commands import Commands, is_named
from trader.trading.consent import by_hand, described
from trader.trading.cover import Cover
from trader.trading.desk import Desk
from trader.trading.exit_attempts import ExitAttempts
from trader.trading.exit_prices import ExitPrices
from trader.trading.guard_files import GuardFiles
from trader.trading.leaving import in_the_way, still_held
from trader.trading.part_exits import PartExits, as_done
from trader.trading.ports import MarketData
from trader.trading.sessions import Sessions as Sessions
from trader.trading.split_handling import in_new_units, refill, waits_for_a_price
from trader.trading.standing_rules import StandingRules
from trader.trading.status import Board
from trader.trading.unwatched import NO_COVER, NO_EXIT, NO_PRICE, Unwatched
from trader.trading.venue_rules import VenueRules
from trader.trading.without_journal import WithoutJournal

STATUS_S = 1.0  # the status row is written no oftener, in wall time
IDLE_SYNC_S = 60.0  # with nothing at risk, the venue is asked this often
PASSES = 3  # cancel, confirm, place: looked at anew after each step


@dataclass(slots=True, kw_only=True)
class Manager:
    """Exits, and what a person asked for."""

    desk: Desk
    market: MarketData
    instruments: Mapping[Symbol, Instrument]
    policy: ExitPolicy
    sessions: Sessions
    timeframe: Timeframe
    on_reload: Callable[[], str] = lambda: "nothing to reload"
    on_progress: Callable[[str], None] = lambda name: None
    hears_of_fills: bool = False  # the clock surely tells of every fill: a simulated one, at full speed
    doubts: dict[str, Callable[[], str]] = field(default_factory=dict)  # by name: why no entry is to be made, or ""
    reload_asked: bool = False  # by SIGHUP
    guards: GuardFiles = field(default_factory=GuardFiles)
    standing: StandingRules = field(default_factory=lambda: StandingRules(limits=RiskLimits()))
    _status_at: float = float("-inf")
    _why: dict[Symbol, str] = field(default_factory=dict)  # what was decided last about each position's exit
    _last_sync: float | None = None
    _nudged: bool = True
    _parts: PartExits = field(default_factory=PartExits)

    board: Board = field(init=False)
    bar_record: BarRecord = field(init=False)
    prices: ExitPrices = field(init=False)
    attempts: ExitAttempts = field(init=False)
    rules: VenueRules = field(init=False)
    unwatched: Unwatched = field(init=False)
    cover: Cover = field(init=False)
    without: WithoutJournal = field(init=False)

    def __post_init__(self) -> None:
        desk = self.desk
        self.board = desk.board
        self.bar_record = BarRecord(desk.journal, desk.clock, self.timeframe)
        self.prices = ExitPrices(market=self.market, clock=desk.clock, board=desk.board, alert=desk.alert)
        self.rules = VenueRules(desk)
        self.without = WithoutJournal(desk)
        self.unwatched = Unwatched(desk.clock.monotonic, desk.alert)
        self.cover = Cover(desk.board, self.unwatched)
        self.attempts = ExitAttempts(desk.clock.monotonic, desk.alert)

    def nudge(self) -> None:
        """Something happened at the venue: do not skip the next run. Called from any thread."""
        self._nudged = True

    def manage(self) -> None:
        """One run. Trouble with the venue ends it with a note; the next one starts afresh."""
        with self.desk.lock:  # for the whole run: between looking, cancelling and placing nobody else may send
            now = self.desk.clock.now()
            self.board.market_time = now
            try:
                self._run(now)
            except DatabaseAway as error:
                self._run_without_journal(error)
            except Transient as error:
                self._failed("venue", error)
        self.unwatched.look()  # without the lock: whoever holds it may be what hangs
        self.on_progress("manage")

    def _failed(self, kind: str, error: Transient) -> None:
        self._nudged = True  # nothing of it is done
        self.unwatched.unseen(self.awaited)
        self.board.errors += 1
        self.board.say(kind, str(error))

    def _run_without_journal(self, error: DatabaseAway) -> None:
        self._nudged = True
        self.board.errors += 1
        try:
            if self.without.begin(error):
                self.without.run(self.protect_all)
                self._look_who_leaves()
            else:
                self._failed("journal", error)
        except Transient as second:
            self._failed("venue", second)

    def _run(self, now: datetime) -> None:
        if self.reload_asked:
            self.reload_asked = False
            self.board.say("command", f"reload: {self.on_reload()}")
        self._ask_doubts()
        self._nudged |= self.guards.obey(self.desk)
        self.without.look()
        self.guards.look_at_lock()
        commands = self.desk.journal.pending_commands()
        if not (commands or self._due()):
            return
        for command in commands:
            Commands(desk=self.desk, on_reload=self.on_reload, on_resume=self.guards.clear).carry_out(command)
            self._status_at = float("-inf")  # whoever sent it is waiting to see what came of it
        nudged, self._nudged = self._nudged or bool(commands), False
        portfolio = self.board.portfolio
        if portfolio is None or nudged or not self.hears_of_fills or self._is_old():
            portfolio = self.desk.refresh()
            self._last_sync = self.desk.clock.monotonic()
        self.instruments = self.rules.daily(self.instruments, portfolio.positions)
        self.board.unadopted = self.desk.consent.look(portfolio)
        self.board.by_hand = tuple(map(described, by_hand(portfolio)))
        portfolio = self.protect_all(portfolio)
        self._forget_levels(portfolio)
        self.standing.look(self.desk, portfolio)
        self._finish_flatten()
        self._look_who_leaves()
        self.publish()

    def _look_who_leaves(self) -> None:
        self.board.leaving = still_held(self.board.portfolio, self._is_left, self._plain_instrument, self._why_held)

    def _ask_doubts(self) -> None:
        """Each is told when it begins and when it is over."""
        for name, ask in self.doubts.items():
            doubt, before = ask(), self.desk.doubts.get(name, "")
            if doubt:
                self.desk.begin_doubt(name, doubt)
            elif before:
                self.desk.alert(name, "info", f"over: {before}")
            self.desk.doubts[name] = doubt

    def publish(self) -> None:
        """The row that `trader status` reads."""
        if time.monotonic() - self._status_at >= STATUS_S:
            self._status_at = time.monotonic()
            self.desk.journal.put_status(self.board.status(), self.desk.clock.now())

    def idle(self) -> bool:
        """Nothing is held that could need an exit, and a fill would be heard of."""
        portfolio = self.board.portfolio
        quiet = not (self._nudged or self.reload_asked or any(self.board.flags.values()))
        return self.hears_of_fills and quiet and portfolio is not None and not portfolio.positions

    def _due(self) -> bool:
        """Whether anything could want doing."""
        portfolio = self.board.portfolio
        if self._nudged or portfolio is None or any(self.board.flags.values()) or self._is_old():
            return True
        return bool(portfolio.positions) or (bool(portfolio.orders) and not self.hears_of_fills)

    def _is_old(self) -> bool:
        """With nothing else to go by the venue is asked once in a while. A simulated market asks at each bar."""
        since = self._last_sync
        return since is None or (not self.hears_of_fills and self.desk.clock.monotonic() - since >= IDLE_SYNC_S)

    # ---- exits ----

    def protect_all(self, portfolio: Portfolio, fresh: Mapping[Symbol, Quote] | None = None) -> Portfolio:
        """Give every position its one exit, age orders out. Returns the portfolio as it is after that.

        fresh  quotes just fetched; those of other positions are fetched here
        """
        levels = self.desk.known.levels()
        self.board.levels = dict(levels)
        aged_ids = [order.id for order in portfolio.orders if self._too_old(order)]
        if aged_ids:
            self.desk.cancel(aged_ids)
            portfolio = self.desk.refresh()
        quotes: Mapping[Symbol, Quote] = self.prices.quotes(portfolio, fresh or {})
        if self.desk.restated or any(map(are_forgotten, levels.values())):
            quotes, levels = self._in_new_units(portfolio, quotes, levels)
        self.attempts.gone(frozenset(portfolio.positions))
        self.cover.gone(portfolio.positions)
        self.unwatched.reported(s for s, held in portfolio.positions.items() if self._is_ours(held, levels.get(s)))
        for symbol in sorted(portfolio.positions):
            if portfolio.position(symbol) is not None:  # its exit may have filled while another was looked after
                portfolio = self._protect(symbol, portfolio, quotes.get(symbol), levels.get(symbol))
        return portfolio

    def _in_new_units(
        self, portfolio: Portfolio, quotes: Mapping[Symbol, Quote], levels: Mapping[Symbol, Levels]
    ) -> tuple[dict[Symbol, Quote], Mapping[Symbol, Levels]]:
        """After a split: no price of before it, and a fallback stop where the levels could not be told."""
        valid_quotes = in_new_units(quotes, self.desk.restated)
        instruments = {s: found for s in levels if (found := self._instrument(s, levels[s])) is not None}
        fallbacks = refill(levels, portfolio, valid_quotes, self.policy, instruments, self.desk.clock.now())
        if fallbacks:
            self.desk.known.save_levels(fallbacks)
        return valid_quotes, self.desk.known.levels()

    def _forget_levels(self, portfolio: Portfolio) -> None:
        """Of symbols that are flat and wait for nothing. Not in a cycle: there the entry is still to be placed."""
        for symbol in sorted(set(self.board.levels) - set(portfolio.positions) - self.awaited()):
            if not portfolio.orders_of(symbol):
                self.desk.known.drop_levels(symbol)

    def awaited(self, *, but: OrderIntent | None = None) -> set[Symbol]:
        """Symbols with an entry of ours that may still fill, though the venue may not show it, or not any more."""
        live = (record.intent for record in self.desk.known.live())
        return {intent.symbol for intent in live if intent.purpose is Purpose.ENTRY and intent != but}

    def _is_ours(self, position: Position, levels: Levels | None) -> bool:
        """Whether it is for us to look after: no dust, and no stranger's."""
        symbol, instrument = position.symbol, self.instruments.get(position.symbol)
        strange = symbol in self.desk.consent.withheld() or (instrument is None and levels is None)
        return is_held(position, instrument) and (not strange or self._is_left(symbol))

    def _protect(self, symbol: Symbol, portfolio: Portfolio, quote: Quote | None, levels: Levels | None) -> Portfolio:
        position = portfolio.position(symbol)
        if position is None:  # it was sold while the others were looked after
            return portfolio
        judged = self.prices.judged(position, quote, self.policy, self.desk.restated)
        if judged.quote is not None or judged.mark is not None:
            self.unwatched.in_order(symbol, NO_PRICE)
        portfolio = self._put_exit(symbol, portfolio, judged, levels)
        after = portfolio.position(symbol)
        done = as_done(levels, after, self.instruments.get(symbol))
        if done is not None:
            self.desk.known.save_levels([done])
        if not self.sessions.is_open(symbol, self.desk.clock.now()):
            self.unwatched.in_order(symbol, NO_PRICE)  # nothing trades
            if after is not None and after.qty % 1:
                self.unwatched.in_order(symbol, NO_EXIT, NO_COVER)  # a fraction's lasts for the day
        self.cover.look(symbol, after, portfolio.orders_of(symbol), self.instruments.get(symbol))
        return portfolio

    def _put_exit(self, symbol: Symbol, portfolio: Portfolio, judged: Judged, levels: Levels | None) -> Portfolio:
        for _ in range(PASSES):
            position, instrument = portfolio.position(symbol), self._instrument(symbol, levels)
            if position is None or instrument is None:
                return portfolio
            action = self._action(position, portfolio, judged, levels, instrument)
            self._why[symbol] = action.reason
            if action.cancel:
                self.attempts.withdrawn(symbol)
                confirmed = self.desk.cancel(action.cancel)
                portfolio = self.desk.refresh()
                if not confirmed:
                    return portfolio
                continue
            if action.place is None:
                if action.keep is not None:
                    self.attempts.rests(symbol)
                return portfolio
            foreign_orders = in_the_way(symbol, portfolio)
            self.attempts.look(symbol, self.desk.broker.order, foreign_orders)
            if not self.attempts.may_try(symbol, self.policy.max_attempts_per_minute):
                return portfolio
            order = self.desk.place(self.desk.intent_for(action.place, self.bar_record.name))
            self._parts.sent(action.place, levels, self.desk.clock.now(), taken=order is not None)
            if order is not None:
                self.attempts.taken(action.place, order)
            portfolio = self.desk.refresh()
            failpoints.reach("after_exit")
            if order is None:
                if self._rules_changed(symbol, portfolio):
                    continue  # priced anew, by the rules of now
                self.attempts.refused(action.place, f"{action.place.purpose} was not taken{foreign_orders}")
                return portfolio
        return portfolio

    def _rules_changed(self, symbol: Symbol, portfolio: Portfolio) -> bool:
        """Whether the venue's rules for it are others than those that the refused order was made by."""
        known = self.instruments
        self.instruments = self.rules.again(symbol, known, portfolio.positions)
        return self.instruments is not known

    def _instrument(self, symbol: Symbol, levels: Levels | None) -> Instrument | None:
        """None for a position that is not ours to touch, unless a person wants to be out of it: from before the first
        start, or in a symbol that SYMBOLS does not name and did not when we entered it."""
        if symbol in self.desk.consent.withheld() and not self._is_left(symbol):
            return None
        traded = self.instruments.get(symbol)
        if traded is not None or (levels is None and not self._is_left(symbol)):
            return traded
        try:
            return self.desk.broker.instruments([symbol]).get(symbol)
        except Transient as error:
            self.board.say("venue", f"{symbol}: {error}")
            return None

    def _plain_instrument(self, symbol: Symbol) -> Instrument | None:
        return self._instrument(symbol, None)

    def _is_left(self, symbol: Symbol) -> bool:
        """Whether a person has said so."""
        return bool(self.board.flags.get("killed")) or is_named(self.board.flags.get("flatten", ""), symbol)

    def _action(
        self,
        position: Position,
        portfolio: Portfolio,
        judged: Judged,
        levels: Levels | None,
        instrument: Instrument,
    ) -> ProtectAction:
        symbol, now = position.symbol, self.desk.clock.now()
        resting_orders = portfolio.orders_of(symbol)
        close = self.sessions.close_of(symbol, now)
        if self._is_left(symbol):
            purpose = Purpose.KILL if self.board.flags.get("killed") else Purpose.FLATTEN
            return close_now(
                position,
                judged.quote,
                self.policy,
                instrument,
                resting_orders,
                purpose,
                session_close=close,
                mark=judged.mark,
            )
        waiting_action = waits_for_a_price(levels, resting_orders)
        if waiting_action is not None:
            return waiting_action
        levels = self._parts.levels(levels, now)
        reopens = self.sessions.reopens(symbol, now)
        return protect(
            position,
            judged.quote,
            levels,
            self.policy,
            instrument,
            now,
            resting_orders,
            session_close=close,
            reopens=reopens,
            mark=judged.mark,
            without=self.attempts.without(symbol),
        )

    def _too_old(self, order: Order) -> bool:
        """Our entries older than the limit. Exits stay as long as their position; others' orders are not ours."""
        if purpose_of(order) is not Purpose.ENTRY:
            return False
        if self._is_left(order.symbol):
            return True
        return self.desk.clock.now() - order.submitted_at >= self.policy.max_order_age

    def _finish_flatten(self) -> None:
        names, portfolio = self.board.flags.get("flatten", ""), self.board.portfolio
        if not names or portfolio is None:
            return
        symbols = [symbol for symbol in portfolio.positions if is_named(names, symbol)]
        any_held = any(is_held(portfolio.positions[symbol], self._instrument(symbol, None)) for symbol in symbols)
        if not any_held and not any(is_named(names, symbol) for symbol in self.awaited()):
            self.desk.set_flag("flatten", "")

    def _why_held(self, symbol: Symbol, portfolio: Portfolio) -> str:
        return self._why.get(symbol, "") + in_the_way(symbol, portfolio) + self.attempts.next_try(symbol)
