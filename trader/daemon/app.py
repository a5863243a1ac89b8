"""The composition root: settings become ports, ports become jobs, jobs run until told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from loguru import logger

from forecasters.base import ForecastError
from forecasters.worker.client import Worker, WorkerState
from settings.load import Loaded, SettingsError, load
from settings.schema import Settings
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.alpaca.stream import TradeUpdates
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.sdnotify import Notifier, ProgressWatchdog
from trader.core.types import Timeframe
from trader.daemon.account import Hands, endpoints_of, noter, take_hands
from trader.daemon.ending import catch_signals, leave, leave_all_the_same, restore_signals
from trader.daemon.forecaster import open_backend
from trader.daemon.parameters import decider, rules_of, unchosen
from trader.daemon.schedule import run_scheduled, run_simulated
from trader.daemon.simulation import SimFolder, replayed, start_exchange, with_trading
from trader.daemon.timetable import closed_hours_skipper, simulated_beat, timetable_of
from trader.daemon.wired import Daemon
from trader.daemon.wired import RunOptions as RunOptions
from trader.errors import (
    ConfigurationError,
    DatabaseAway,
    Halt,
    Transient,
    VenueUnreachable,
)
from trader.strategies import names
from trader.trading import failpoints
from trader.trading.cycle import Rules, Trader
from trader.trading.status import Board
from trader.trading.strategy_guard import GuardedStrategy

FIRST_SYNC_TRIES = 5
COMMANDS_EVERY_S = 1.0
MUTE_AFTER = timedelta(seconds=5)  # a stream that is silent about a fill for so long is dead


def run(
    loaded: Loaded,
    options: RunOptions,
    *,
    show: Callable[[Board], AbstractContextManager[object]] = lambda board: nullcontext(),
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """The daemon, until it is stopped, its cycles are done, or the market ends. Returns the exit code."""
    for name in options.failpoints:
        failpoints.arm(name)
    stop = threading.Event()
    with ExitStack() as stack:
        notifier = Notifier()
        settings, endpoints, folder = _venue(loaded, options, stack, say)
        clock: RealClock | SimClock = RealClock()
        if settings.trading.trading_mode == "sim":
            clock = SimClock(endpoints.trading_url, key=endpoints.key, secret=endpoints.secret)
            stack.callback(clock.close)
        worker = open_backend(settings, say)
        stack.callback(worker.close)
        daemon = _build(settings, options, endpoints, clock, notifier, worker, stop, stack)
        previous = catch_signals(daemon, options)
        stack.callback(restore_signals, previous)
        try:
            cycles_done = _live(daemon, worker, options, show, say)
        except BaseException as error:
            leave_all_the_same(daemon, error)
            raise
        logger.info("stopped after {} cycles", cycles_done)
        leave(daemon)
        if folder is not None:
            folder.ended()
        return Halt.exit_code if daemon.board.flags.get("halted") else 0


def _live(
    daemon: Daemon,
    worker: Worker,
    options: RunOptions,
    show: Callable[[Board], AbstractContextManager[object]],
    say: Callable[[str], None],
) -> int:
    """From the first look at the venue to the last cycle. Returns how many cycles were done."""
    _first_sync(daemon)
    _doubt_a_mute_stream(daemon)
    doubt = daemon.desk.doubts.get("books", "")
    say(f"account {daemon.desk.account_id}: {(doubt and f'no entries yet: {doubt}') or 'books agree with the venue'}")
    _warm_up(daemon, worker, say)
    following = _skipper(daemon)(daemon.timetable.next_trade(daemon.clock.now()))
    daemon.notifier.ready(f"{daemon.board.mode}: ready, next cycle {following:%Y-%m-%d %H:%M:%S}")
    daemon.watchdog.start()
    daemon.board.phase = "running"
    try:
        with show(daemon.board), _listening(daemon):
            return _loop(daemon, options.cycles)
    finally:
        daemon.watchdog.stop()
        daemon.notifier.stopping()
        daemon.board.phase = "stopped"


# ---- building ----


def _venue(
    loaded: Loaded, options: RunOptions, stack: ExitStack, say: Callable[[str], None]
) -> tuple[Settings, AlpacaEndpoints, SimFolder | None]:
    """Where the venue is. In the simulation without a URL our own exchange is started first; it tells the timeframe."""
    settings = loaded.settings
    endpoints = endpoints_of(settings)
    if endpoints is not None:
        if problem := unchosen(loaded):
            raise ConfigurationError(problem)
        return settings, endpoints, None
    settings = replayed(loaded)
    chosen = loaded.origins["TIMEFRAME"] != "default"
    exchange = start_exchange(settings, stack, chosen=chosen, fresh=options.fresh, say=say)
    exchange.refuse_off_grid(settings.trading.symbols)
    if not chosen:
        settings = with_trading(settings, timeframe=exchange.timeframe)
    return settings, exchange.endpoints, exchange.folder


def _build(
    settings: Settings,
    options: RunOptions,
    endpoints: AlpacaEndpoints,
    clock: RealClock | SimClock,
    notifier: Notifier,
    worker: Worker,
    stop: threading.Event,
    stack: ExitStack,
) -> Daemon:
    rules = rules_of(settings)
    manage_every = _manage_every(settings, rules.timeframe)
    hands = take_hands(settings, rules, endpoints, clock, stack)
    board = hands.desk.board
    watchdog = _watchdog(notifier, manage_every, rules.timeframe, board)
    hands.manager.on_progress = watchdog.mark
    hands.manager.hears_of_fills = settings.trading.trading_mode == "sim" and settings.sim.speed == "max"
    trader = _trader(settings, rules, hands, worker)
    daemon = Daemon(
        settings=settings,
        board=board,
        clock=clock,
        desk=hands.desk,
        trader=trader,
        manager=hands.manager,
        notifier=notifier,
        watchdog=watchdog,
        timetable=timetable_of(
            rules.symbols,
            rules.timeframe,
            hands.manager.sessions,
            delay=timedelta(seconds=settings.trading.trade_delay_s),
            manage_every=manage_every,
            simulated=rules.exits if settings.trading.trading_mode == "sim" else None,
        ),
        stop=stop,
    )
    trader.on_progress = lambda name: _progress(name, daemon)
    hands.manager.on_reload = lambda: _reload(daemon, options)
    if settings.trading.trading_mode != "sim" or settings.sim.speed != "max":
        # not at full speed: there the market stands still until it is asked to go on, and says itself what filled
        stream = TradeUpdates(endpoints, lambda: _on_trade_update(daemon), noter(board))
        stream.start()
        stack.callback(stream.stop)
        daemon.stream = stream
    return daemon


def _watchdog(notifier: Notifier, manage_every: timedelta, timeframe: Timeframe, board: Board) -> ProgressWatchdog:
    limits_s = {
        "manage": 60 + 6 * manage_every.total_seconds(),
        "trade": 1.5 * timeframe.duration.total_seconds() + 300,
    }
    return ProgressWatchdog(notifier, limits_s, on_stuck=lambda names: board.say("alert", f"no progress: {names}"))


def _trader(settings: Settings, rules: Rules, hands: Hands, worker: Worker) -> Trader:
    trader = Trader(
        desk=hands.desk,
        manager=hands.manager,
        market=hands.market,
        forecaster=worker,
        sessions=hands.manager.sessions,
        rules=rules,
        decide=_guarded(settings, rules),
    )
    if settings.trading.trading_mode == "sim" and settings.sim.speed != "max":
        # a market that is played fast leaves nobody the time to send an order, or to look at what is held
        trader.quote_clock = hands.manager.unwatched.seconds = time.monotonic
    return trader


def _guarded(settings: Settings, rules: Rules) -> GuardedStrategy:
    return GuardedStrategy(decider(rules.strategy, rules.params), settings.trading.strategy_deadline_s)


def _manage_every(settings: Settings, timeframe: Timeframe) -> timedelta:
    """In the simulation a quarter of a bar: its prices move no oftener."""
    if settings.trading.trading_mode == "sim":
        return simulated_beat(timeframe)
    return timedelta(seconds=settings.trading.manage_interval_s)


# ---- running ----


def _first_sync(daemon: Daemon) -> None:
    """Start-up and crash recovery are the same step as in any cycle."""
    for attempt in range(FIRST_SYNC_TRIES):
        try:
            with daemon.desk.lock:
                daemon.desk.sync()
            daemon.manager.manage()
            return
        except Transient as error:
            daemon.board.say("venue", str(error))
            if attempt == FIRST_SYNC_TRIES - 1:
                if isinstance(error, DatabaseAway):
                    raise  # the venue is there: not its code
                raise VenueUnreachable(f"the books could not be read: {error}") from error
            daemon.desk.pause(1.0)


def _warm_up(daemon: Daemon, worker: Worker, say: Callable[[str], None]) -> None:
    """Load and compile the model, which may take minutes: positions are looked after meanwhile.

    A worker that fails is started again in the background and costs forecasts, not the daemon; only wrong options
    are final: ConfigurationError.
    """
    say(f"warming up {worker.name}")
    failures: list[ForecastError] = []

    def work() -> None:
        try:
            worker.warm_up()
        except ForecastError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    while thread.is_alive() and not daemon.stop.is_set():
        thread.join(daemon.settings.trading.manage_interval_s)
        daemon.manager.manage()
    if failures and worker.state is WorkerState.FAILED:
        raise ConfigurationError(f"backend {worker.name}: {failures[0]}")
    if failures:
        daemon.desk.alert("forecast", "error", f"{worker.name} did not warm up: {failures[0]}; nothing new is entered")
    daemon.trader.hear()


def _loop(daemon: Daemon, cycles: int | None) -> int:
    if isinstance(daemon.clock, SimClock):
        return run_simulated(
            daemon.trader, daemon.clock, daemon.timetable, daemon.stop, cycles=cycles, skip_to=_skipper(daemon)
        )

    def subscribe(wake: Callable[[], None]) -> None:
        daemon.wake_manage = wake

    return run_scheduled(
        daemon.trader,
        daemon.clock,
        daemon.timetable,
        daemon.stop,
        cycles=cycles,
        on_trouble=lambda job, what: daemon.desk.alert("schedule", "warning", f"{job}: {what}"),
        subscribe=subscribe,
        look=daemon.manager.unwatched.look,
    )


@contextmanager
def _listening(daemon: Daemon) -> Iterator[None]:
    """In a slow simulation the jobs are minutes apart: a command wakes them. In real time they are seconds apart."""
    if not isinstance(daemon.clock, SimClock) or daemon.clock.speed is None:
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        while not ended.wait(COMMANDS_EVERY_S):
            with suppress(Transient):  # a journal that is away for a while: whoever writes to it says so
                if daemon.manager.reload_asked or daemon.desk.journal.pending_commands():
                    daemon.clock.wake()

    thread = threading.Thread(target=listen, name="commands", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def _skipper(daemon: Daemon) -> Callable[[datetime], datetime]:
    """For stocks alone: no cycles while the market is closed."""
    trader = daemon.trader
    return closed_hours_skipper(trader.rules.symbols, trader.sessions, daemon.timetable, daemon.clock.now)


def _reload(daemon: Daemon, options: RunOptions) -> str:
    """Read the settings again. What is wrong with them is said, and the old ones go on."""
    trader = daemon.trader
    try:
        loaded = load(options.flags, strategies=names())
        mode = loaded.settings.trading.trading_mode
        if mode != daemon.board.mode:
            raise ConfigurationError(f"TRADING_MODE is {mode} now; a daemon stays in the mode it was started in")
        new_rules = rules_of(replayed(loaded))
        decide = _guarded(loaded.settings, new_rules)
    except (SettingsError, ConfigurationError, ValueError) as error:
        trader.desk.alert("reload", "warning", f"settings not reloaded: {error}")
        return f"kept the old settings: {error}"
    fixed = ("symbols", "timeframe", "context", "horizon")
    chosen = [name for name in fixed if loaded.origins[name.upper()] != "default"]
    unmet = [name for name in chosen if getattr(new_rules, name) != getattr(trader.rules, name)]
    trader.rules = replace(new_rules, **{name: getattr(trader.rules, name) for name in fixed})
    trader.decide = decide
    trader.manager.policy, trader.manager.standing.limits = trader.rules.exits, trader.rules.limits
    return "reloaded" + (f"; a restart is needed for {', '.join(unmet)}" if unmet else "")


def _progress(name: str, daemon: Daemon) -> None:
    board = daemon.board
    daemon.watchdog.mark(name)
    board.next_trade = _skipper(daemon)(daemon.timetable.next_trade(daemon.clock.now()))
    daemon.notifier.status(f"{board.last_cycle or 'no cycle yet'}: {board.last_outcome}; {board.cycles} cycles")


def _on_trade_update(daemon: Daemon) -> None:
    daemon.manager.nudge()
    daemon.wake_manage()
    daemon.clock.wake()


def _doubt_a_mute_stream(daemon: Daemon) -> None:
    """A connection that lives and says nothing of fills that REST shows: no entries until another one is made."""
    stream = daemon.stream
    if stream is None:
        return

    reconnecting = False

    def doubt() -> str:
        nonlocal reconnecting
        if stream.mute(MUTE_AFTER):
            stream.reconnect()
            reconnecting = True
        elif stream.connected:
            reconnecting = False
        return "the trade updates are silent about fills; connecting again" if reconnecting else ""

    daemon.desk.on_fill = lambda execution: stream.filled_elsewhere(execution.at)
    daemon.manager.doubts["stream"] = doubt
