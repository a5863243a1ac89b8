"""One cycle: sync, bars, forecast, quotes, decide, risk, journal, submit, sync. Reads from top to bottom.

The lock over the books is let go during the forecast, so that `manage` never waits for a model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forecasters.base import Forecaster, ForecastError, notices_of
from forecasters.types import Context, Forecast
from trader.core.bars import bars_problem, scale_problem
from trader.core.days import expected_start, is_late, starts_ahead, trades_now
from trader.core.decision import DecisionInputs, Plan, Signal
from trader.core.gates import rooms
from trader.core.ids import cycle_id
from trader.core.market import Bars, context_of
from trader.core.plan import plan
from trader.core.portfolio import is_held, orphans, own_entries
from trader.core.types import AssetClass, Instrument, Portfolio, Quote, Symbol
from trader.core.values import maker
from trader.errors import DatabaseAway, Transient
from trader.trading import failpoints
from trader.trading.adding import add_to_position
from trader.trading.desk import Desk
from trader.trading.forecast_watch import ForecastWatch
from trader.trading.gate_watch import GateWatch
from trader.trading.last_look import LastLook
from trader.trading.late_bars import Awaiting
from trader.trading.ports import MarketData
from trader.trading.positions import Manager, Sessions
from trader.trading.rules import Rules as Rules
from trader.trading.status import Board
from trader.trading.strategy_guard import ALARM_AFTER, Signals
from trader.trading.watch import Watch
from trader.trading.without_journal import DOUBT

_new_decision_inputs = maker(DecisionInputs)
NO_BARS = "no symbol has bars"


@dataclass(slots=True, kw_only=True)
class Trader:
    """The trade job. `decide` is the strategy, from its view to signals, with its parameters bound."""

    desk: Desk
    manager: Manager
    market: MarketData
    forecaster: Forecaster
    sessions: Sessions
    rules: Rules
    decide: Callable[[DecisionInputs], Sequence[Signal]]
    on_progress: Callable[[str], None] = lambda name: None
    watch: Watch = field(default_factory=Watch)
    fruitless: int = 0  # cycles in a row in which nothing was forecast
    strategy: Signals = field(init=False)
    gates: GateWatch = field(init=False)
    forecast_watch: ForecastWatch = field(init=False)
    quote_clock: Callable[[], float] | None = None  # seconds that a quote ages by until its order goes; the clock's
    awaiting: Awaiting = field(default_factory=Awaiting)

    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = self.desk.board
        self.gates = GateWatch(self.desk.alert)
        self.forecast_watch = ForecastWatch(self.desk.alert, self.board)
        self.strategy = Signals(self.desk.alert, self.board.say)

    @property
    def instruments(self) -> Mapping[Symbol, Instrument]:
        """As of today: the manager reads them again."""
        return self.manager.instruments

    def manage(self) -> None:
        self.manager.manage()

    def nudge(self) -> None:
        self.manager.nudge()

    def idle(self) -> bool:
        return self.manager.idle()

    def trade(self, bar_close: datetime) -> bool:
        """The cycle of the bars that closed at `bar_close`; of a stock's days, at the open of the session after them.

        False where there was nothing to do, or it ran already.
        """
        name = cycle_id(bar_close, "trade")
        self.board.market_time = now = self.desk.clock.now()
        try:
            symbols = [symbol for symbol in self.rules.symbols if self._tradable(symbol, bar_close)]
        except Transient as error:
            self.desk.alert("calendar", "error", f"no cycle: {error}")  # nobody knows whether the market is open
            symbols = []
        self.watch = Watch()
        try:
            if not symbols or self.desk.doubts.get(DOUBT) or self.desk.journal.cycle(name) is not None:
                self.on_progress("trade")
                return False
            self.desk.journal.begin_cycle(name, "trade", now)
        except Transient as error:
            self._look_without(error)
            self.desk.alert("journal", "error", f"no cycle: {error}")  # without a record there is no order
            return False
        failpoints.reach("after_begin")
        started = time.perf_counter()
        try:
            outcome, note = self._run(name, bar_close, symbols)
        except Transient as error:
            self._look_without(error)
            outcome, note = "venue trouble", str(error)
            self.fruitless += 1
            self.board.errors += 1
            self.board.say("venue", note)
        self.watch.seconds["cycle"] = time.perf_counter() - started
        self._close(name, outcome, note)
        self._alarm(note)
        return True

    def _look_without(self, error: Transient) -> None:
        """Exits must not wait for the next trouble with the journal, nor new entries come before it."""
        if isinstance(error, DatabaseAway):
            with self.desk.lock:
                self.manager.without.begin(error)
                self.manager.nudge()

    def _run(self, name: str, bar_close: datetime, symbols: Sequence[Symbol]) -> tuple[str, str]:
        watch = self.watch
        with self.desk.lock:  # first hold: the books as they are, and no old entry that could fill from here on
            watch.go_on()
            portfolio = self.desk.sync()
            watch.took("sync")
            self._clear(portfolio)
            watch.took("cancel")
        # let go: bars may be late and a model slow, and `manage` protects meanwhile; nothing below relies on what
        # was seen above
        bars, bar_problems = self._bars(bar_close, symbols)
        bars_at = watch.took("bars")
        forecasts, trouble = self._forecast(bars, bar_close)
        watch.took("forecast")
        with self.desk.lock:  # second hold, to the end: what is decided on must be what orders are sent into
            watch.go_on()
            portfolio = self.desk.refresh()
            watch.took("sync")
            quotes, quote_problems = self._quotes(symbols)
            quotes_at = watch.took("quotes")
            fit, scale_problems = self._fit(forecasts, bars, quotes)
            self.fruitless = 0 if fit else self.fruitless + 1
            watch.go_on()
            inputs, aged_from = self._inputs(name, portfolio, quotes, fit, bars), self._aged()
            self._look_at_gates(inputs)
            decision = plan(inputs, self.strategy.signals(self.decide, inputs))
            watch.took("decide")
            failpoints.reach("before_plan")
            self.desk.known.save_plan(name, inputs, decision)
            failpoints.reach("after_plan")
            planned_at = watch.took("journal")
            watch.seconds["bars_to_plan"] = planned_at - bars_at - watch.seconds["forecast"]
            self.board.saw_plan(decision)
            entries_placed = self._carry_out(decision, inputs, quotes_at, aged_from)
            watch.go_on()
            failpoints.reach("before_last_sync")
            self.desk.refresh()
            watch.took("sync")
        refused = self.forecast_watch.refused(self.forecaster, [symbol for symbol in bars if symbol not in forecasts])
        absent = {**refused, **bar_problems, **scale_problems}
        self.forecast_watch.look(fit, absent)
        reasons = [f"{symbol}: {why}" for symbol, why in {**quote_problems, **absent}.items()]
        if trouble:
            reasons.append(f"forecast: {trouble}")
        if mended := self.forecast_watch.mended(self.forecaster, forecasts):
            reasons.append(mended)
        return f"{entries_placed} entries, {len(decision.intents)} planned", "; ".join(reasons)

    # ---- the steps ----

    def _clear(self, portfolio: Portfolio) -> None:
        """Entries of earlier bars have had their time, and must not fill while the next ones are being thought of."""
        old = [order.id for order in (*own_entries(portfolio), *orphans(portfolio))]
        if old:
            self.desk.cancel(old)

    def _bars(self, bar_close: datetime, symbols: Sequence[Symbol]) -> tuple[dict[Symbol, Bars], dict[Symbol, str]]:
        """Closed bars, the newest of each symbol awaited up to the deadline; what is not fit is dropped, with why."""
        rules = self.rules
        newest_bars = self.awaiting.bars(
            symbols,
            lambda: self.market.bars(symbols, rules.timeframe, end=bar_close, count=rules.context),
            lambda bars: is_late(bars, self._expected(bars.symbol, bar_close)),
            self.desk.clock,
            rules.bar_deadline,
        )
        fit: dict[Symbol, Bars] = {}
        problems: dict[Symbol, str] = {}
        for symbol in symbols:
            problem = self._bars_problem(newest_bars.get(symbol), symbol, bar_close)
            if problem is None:
                fit[symbol] = newest_bars[symbol]
            else:
                problems[symbol] = problem
                self.board.say("bars", f"{symbol}: {problem}")
        return fit, problems

    def _bars_problem(self, bars: Bars | None, symbol: Symbol, bar_close: datetime) -> str | None:
        rules, expected = self.rules, self._expected(symbol, bar_close)
        sessions = None
        if symbol.asset_class is AssetClass.STOCK:
            sessions = [(session.open, session.close) for session in self.sessions.around(self.desk.clock.now())]
        return bars_problem(bars, rules.timeframe, expected, rules.context, sessions=sessions)

    def _expected(self, symbol: Symbol, bar_close: datetime) -> datetime:
        return expected_start(symbol, self.rules.timeframe, bar_close, self._spans(symbol, bar_close))

    def _spans(self, symbol: Symbol, moment: datetime) -> list[tuple[datetime, datetime]]:
        """The sessions that a stock's bars are judged by."""
        if symbol.asset_class is AssetClass.CRYPTO:
            return []
        return [(session.open, session.close) for session in self.sessions.around(moment)]

    def _forecast(self, bars: Mapping[Symbol, Bars], bar_close: datetime) -> tuple[dict[Symbol, Forecast], str]:
        """One batched call. A symbol without a forecast is absent; nothing stands in for it."""
        if not bars:
            return {}, NO_BARS
        try:
            answer = self.forecaster.forecast([self._context(s, each, bar_close) for s, each in bars.items()])
        except ForecastError as error:
            self.board.errors += 1
            self.desk.alert("forecast", "warning", str(error))
            return {}, str(error)
        finally:
            self.hear()
        forecasts = {symbol: answer[str(symbol)] for symbol in bars if str(symbol) in answer}
        self.board.saw_forecasts(forecasts)
        return forecasts, ""

    def hear(self) -> None:
        """What the forecaster says of itself, above all that it serves in another way than was asked for."""
        for notice in notices_of(self.forecaster):
            self.desk.alert("backend", notice.severity, notice.text)

    def _context(self, symbol: Symbol, bars: Bars, bar_close: datetime) -> Context:
        rules, spans = self.rules, self._spans(symbol, bar_close)
        future = starts_ahead(symbol, bars.times, rules.timeframe, rules.horizon, bar_close, spans)
        return context_of(bars, str(symbol), future)

    def _quotes(self, symbols: Sequence[Symbol]) -> tuple[dict[Symbol, Quote], dict[Symbol, str]]:
        """Fetched after the forecast, else they are stale. With ADD_LATEST off there are none: no entry."""
        if not self.rules.add_latest:
            return {}, dict.fromkeys(symbols, "ADD_LATEST is off: no quote, no entry")
        try:
            quotes = dict(self.market.quotes(symbols))
        except Transient as error:
            return {}, dict.fromkeys(symbols, f"no quote: {error}")
        self.board.quotes = {**self.board.quotes, **quotes}
        return quotes, {symbol: "no quote" for symbol in symbols if symbol not in quotes}

    def _fit(
        self,
        forecasts: Mapping[Symbol, Forecast],
        bars: Mapping[Symbol, Bars],
        quotes: Mapping[Symbol, Quote],
    ) -> tuple[dict[Symbol, Forecast], dict[Symbol, str]]:
        """Forecasts whose bars are of the same scale as the market's quote: not another coin's series."""
        misfits: dict[Symbol, str] = {}
        for symbol in forecasts:
            quote = quotes.get(symbol)
            problem = scale_problem(bars[symbol], quote.mid if quote is not None and quote.bid > 0 else None)
            if problem is not None:
                misfits[symbol] = problem
                self.board.say("bars", f"{symbol}: {problem}")
        return {symbol: each for symbol, each in forecasts.items() if symbol not in misfits}, misfits

    def _inputs(
        self,
        name: str,
        portfolio: Portfolio,
        quotes: Mapping[Symbol, Quote],
        forecasts: Mapping[Symbol, Forecast],
        bars: Mapping[Symbol, Bars],
    ) -> DecisionInputs:
        rules, now = self.rules, self.desk.clock.now()
        return _new_decision_inputs(
            cycle_id=name,
            now=now,
            timeframe=rules.timeframe,
            strategy=rules.strategy,
            params=rules.params,
            sizing=rules.sizing,
            limits=rules.limits,
            exits=rules.exits,
            portfolio=portfolio,
            quotes=quotes,
            forecasts=forecasts,
            instruments=self.instruments,
            levels=self.desk.known.levels(),
            open_symbols=frozenset(s for s in rules.symbols if s in self.instruments and self._may_enter(s, now)),
            risk=self.desk.risk_state(portfolio),
            add_latest=rules.add_latest,
            bars={s: each.newest(rules.view_bars) for s, each in bars.items()} if rules.view_bars else {},
            ages=True,
        )

    def _look_at_gates(self, inputs: DecisionInputs) -> None:
        if self.desk.doubts.get("equity"):
            return  # told already; a loss that may be none is not told of as one
        self.board.rooms = rooms(inputs.portfolio.account.equity, inputs.risk, inputs.limits)
        self.gates.look(self.board.rooms, inputs.now.date())

    def _aged(self) -> float:
        return self.desk.clock.monotonic() if self.quote_clock is None else self.quote_clock()

    def _carry_out(self, decision: Plan, inputs: DecisionInputs, quotes_at: float, aged_from: float) -> int:
        """Cancels confirmed, then exits, then entries, each looked at again before it goes: an earlier one may have
        taken minutes. Returns how many entries the venue took.

        quotes_at  when the quotes were there, in seconds of `time.perf_counter`
        aged_from  and `inputs.now`, the moment of the decision by both clocks
        """
        quotes, decided_at = inputs.quotes, inputs.now
        if decision.cancels:
            self.watch.go_on()
            confirmed = self.desk.cancel(decision.cancels)
            self.watch.took("cancel")
            portfolio = self.desk.refresh()
            if not confirmed:
                for intent in decision.intents:
                    self.desk.drop(intent, "an earlier order's cancel is unconfirmed")
                return 0
        else:
            assert self.board.portfolio is not None
            portfolio = self.board.portfolio
        self.watch.go_on()
        portfolio = self.manager.protect_all(portfolio, quotes)
        self.watch.took("protect")
        entries_placed, levels = 0, {each.symbol: each for each in decision.levels}
        last_look = LastLook(self.desk, self.manager, self.market, decided_at)
        for intent in decision.intents:
            symbol, now = intent.symbol, decided_at + timedelta(seconds=self._aged() - aged_from)
            objection = last_look.unwanted(
                intent, portfolio, quotes.get(symbol), levels.get(symbol), now, self.rules.limits, inputs.portfolio
            )
            if objection:
                self.desk.drop(intent, objection)
                continue
            self.watch.seconds.setdefault("quote_to_post", time.perf_counter() - quotes_at)
            if is_held(portfolio.position(symbol), self.instruments.get(symbol)):
                placed, portfolio = add_to_position(self.desk, self.manager, intent, portfolio, quotes)
            else:
                placed = self.desk.place(intent) is not None
            entries_placed += placed
        return entries_placed

    def _tradable(self, symbol: Symbol, bar_close: datetime) -> bool:
        now = self.desk.clock.now()
        spans = self._spans(symbol, now)
        return symbol in self.instruments and trades_now(symbol, self.rules.timeframe, bar_close, now, spans)

    def _may_enter(self, symbol: Symbol, now: datetime) -> bool:
        """Open, far enough from the close that a position could still be left again, nothing opaque there, and nothing
        that is left alone."""
        if symbol in self.desk.consent.withheld() or any(each.symbol == symbol for each in self.desk.books.opaque):
            return False
        if symbol.asset_class is AssetClass.CRYPTO:
            return True
        close = self.sessions.close_of(symbol, now)
        return close is not None and (
            self.rules.exits.stocks_overnight or now < close - self.rules.exits.flat_before_close
        )

    def _close(self, name: str, outcome: str, note: str) -> None:
        now = self.desk.clock.now()
        self.board.cycles += 1
        self.board.last_cycle, self.board.last_outcome = name, outcome
        if self.board.portfolio is not None:
            self.board.equity.append(float(self.board.portfolio.account.equity))
        failpoints.reach("before_close")
        try:
            self.desk.journal.close_cycle(name, now, outcome, note, self.watch.seconds)
            self.manager.publish()
        except Transient as error:
            self.desk.alert("journal", "error", f"{name} stays open: {error}")
        self.on_progress("trade")

    def _alarm(self, note: str) -> None:
        """A daemon that runs and does nothing for days is worse than one that stops: somebody must hear of it."""
        if self.fruitless in ALARM_AFTER:
            why = note or "no reason was given"
            # venues do stand still for some hours: that is their own trouble, and passes
            short_gap = NO_BARS in why and self.fruitless == ALARM_AFTER[0]
            severity = "warning" if short_gap else "error"
            self.desk.alert("fruitless", severity, f"{self.fruitless} cycles in a row without a forecast: {why}")
