"""The composition root: settings become ports, ports become jobs, jobs run until told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from forecasters.base import Forecaster, ForecastError
from settings.load import Loaded, SettingsError, load, require_keys
from settings.schema import Settings
from trader import failpoints
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, RequestLimiter, build_clients
from trader.adapters.alpaca.data import AlpacaMarketData
from trader.adapters.alpaca.stream import TradeUpdates
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.journal import Journal
from trader.adapters.lock import AccountLock
from trader.adapters.sdnotify import Notifier, ProgressWatchdog
from trader.backend import open_backend
from trader.board import Board
from trader.core.types import Account, AssetClass, Instrument, Symbol, Timeframe
from trader.cycle import Trader
from trader.desk import Desk
from trader.errors import ConfigurationError, Halt, Transient, VenueUnreachable
from trader.manage import Manager, Sessions
from trader.rules import decider, rules_of
from trader.schedule import Timetable, run_scheduled, run_simulated
from trader.simulation import SimFolder, start_exchange

FIRST_SYNC_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is told beyond the settings. `flags` are those of the command line, for a reload."""

    cycles: int | None = None
    fresh: bool = False
    failpoints: Sequence[str] = ()
    flags: Mapping[str, object] | None = None


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Everything that runs, wired. Built and taken down by `run`."""

    settings: Settings
    board: Board
    clock: RealClock | SimClock
    desk: Desk
    trader: Trader
    manager: Manager
    notifier: Notifier
    watchdog: ProgressWatchdog
    timetable: Timetable
    stop: threading.Event
    wake_manage: Callable[[], None] = field(default=lambda: None)  # runs the manage job now


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
        settings = loaded.settings
        notifier = Notifier()
        endpoints, folder = _venue(settings, options, stack, say)
        clock: RealClock | SimClock = RealClock()
        if settings.trading.trading_mode == "sim":
            clock = SimClock(endpoints.trading_url, key=endpoints.key, secret=endpoints.secret)
            stack.callback(clock.close)
        daemon = _build(settings, options, endpoints, clock, notifier, stop, stack, say)
        previous = _catch_signals(daemon)
        stack.callback(_restore_signals, previous)
        _first_sync(daemon)
        say(f"account {daemon.desk.account_id}: books agree with the venue")
        notifier.ready(f"{daemon.board.mode}: ready, next cycle {daemon.timetable.next_trade(clock.now()):%H:%M:%S}")
        daemon.watchdog.start()
        stack.callback(daemon.watchdog.stop)
        daemon.board.phase = "running"
        try:
            with show(daemon.board):
                done = _loop(daemon, options.cycles)
        finally:
            notifier.stopping()
            daemon.board.phase = "stopped"
        logger.info("stopped after {} cycles", done)
        _leave(daemon)
        if folder is not None:
            folder.ended()
        return Halt.exit_code if daemon.board.flags.get("halted") else 0


# ---- building ----


def _venue(
    settings: Settings, options: RunOptions, stack: ExitStack, say: Callable[[str], None]
) -> tuple[AlpacaEndpoints, SimFolder | None]:
    """Where the venue is. In the simulation without a URL, our own exchange is started first."""
    if settings.trading.trading_mode != "sim":
        key, secret = require_keys(settings)
        return _endpoints(settings, key, secret, paper=settings.trading.trading_mode == "paper"), None
    key = settings.venue.alpaca_api_key_id.get_secret_value() or "SIM"
    secret = settings.venue.alpaca_api_secret_key.get_secret_value() or "SIM"
    if settings.trading_url:
        return _endpoints(settings, key, secret, paper=True), None
    return start_exchange(settings, key, secret, stack, fresh=options.fresh, say=say)


def _endpoints(settings: Settings, key: str, secret: str, *, paper: bool) -> AlpacaEndpoints:
    data_url = settings.data_url or settings.trading_url
    stream_url = settings.trade_stream_url or settings.trading_url.replace("http", "ws", 1) + "/stream"
    return AlpacaEndpoints(
        key=key,
        secret=secret,
        trading_url=settings.trading_url,
        data_url=data_url,
        trade_stream_url=stream_url,
        feed=settings.venue.alpaca_feed,
        paper=paper,
    )


def _build(
    settings: Settings,
    options: RunOptions,
    endpoints: AlpacaEndpoints,
    clock: RealClock | SimClock,
    notifier: Notifier,
    stop: threading.Event,
    stack: ExitStack,
    say: Callable[[str], None],
) -> Daemon:
    rules = rules_of(settings)
    mode = settings.trading.trading_mode
    board = Board(
        mode=mode,
        backend=settings.trading.backend,
        strategy=rules.strategy,
        timeframe=str(rules.timeframe),
        symbols=rules.symbols,
        speed=f"speed {settings.sim.speed}" if mode == "sim" else "",
        market_time=clock.now(),
    )
    limiter = RequestLimiter(settings.venue.requests_per_minute, clock)
    clients = build_clients(endpoints, pace=limiter)
    note = _noter(board)
    broker, market = AlpacaBroker(clients, clock, note), AlpacaMarketData(clients, note)
    account = broker.validate()
    _check_account(settings, account)
    board.account_id = account.id
    stack.enter_context(AccountLock(settings.store.state_dir / "locks", account.id))
    journal = stack.enter_context(open_journal(settings, account.id))
    desk = Desk(broker, journal, clock, board, account.id, _log_alert)
    forecaster = _forecaster(settings, stack, say)
    instruments = _instruments(broker, rules.symbols)
    sessions = Sessions(broker.sessions)
    manage_every = _manage_every(settings, rules.timeframe)
    watchdog = ProgressWatchdog(
        notifier,
        {
            "manage": 60 + 6 * manage_every.total_seconds(),
            "trade": 1.5 * rules.timeframe.duration.total_seconds() + 300,
        },
        on_stuck=lambda names: desk.board.say("alert", f"no progress: {names}"),
    )
    manager = Manager(
        desk=desk,
        market=market,
        instruments=instruments,
        policy=rules.exits,
        sessions=sessions,
        timeframe=rules.timeframe,
        on_progress=watchdog.mark,
    )
    trader = Trader(
        desk=desk,
        manager=manager,
        market=market,
        forecaster=forecaster,
        instruments=instruments,
        sessions=sessions,
        rules=rules,
        decide=decider(rules.strategy, rules.params),
        on_progress=lambda name: _progress(name, watchdog, notifier, board),
    )
    manager.on_reload = lambda: _reload(trader, options)
    timetable = Timetable.of(rules.timeframe, timedelta(seconds=settings.trading.trade_delay_s), manage_every)
    daemon = Daemon(
        settings=settings, board=board, clock=clock, desk=desk, trader=trader, manager=manager, notifier=notifier,
        watchdog=watchdog, timetable=timetable, stop=stop,
    )  # fmt: skip
    if mode != "sim" or settings.sim.speed != "max":  # at full speed the market stands still until it is asked to go on
        stream = TradeUpdates(endpoints, lambda: _on_trade_update(daemon), note)
        stream.start()
        stack.callback(stream.stop)
    return daemon


def open_journal(settings: Settings, account_id: str | None = None) -> Journal:
    """The journal of this mode, which must be this account's. With no account given it must exist already."""
    journal = Journal.open(settings.database_url, create=account_id is not None)
    known = journal.get_meta("account")
    if account_id is None or known == account_id:
        return journal
    if known is not None:
        journal.close()
        raise ConfigurationError(
            f"the journal is of account {known}, the keys are of {account_id}: give another DATABASE_URL or STATE_DIR"
        )
    journal.set_meta("account", account_id)
    return journal


def _check_account(settings: Settings, account: Account) -> None:
    wanted = settings.trading.live_account
    if settings.trading.trading_mode == "live" and account.id != wanted:
        raise ConfigurationError(f"LIVE_ACCOUNT={wanted}, but the keys belong to {account.id}: nothing was sent")


def _forecaster(settings: Settings, stack: ExitStack, say: Callable[[str], None]) -> Forecaster:
    forecaster = open_backend(settings, say)
    stack.callback(forecaster.close)
    say(f"warming up {settings.trading.backend}")
    try:
        forecaster.warm_up()
    except ForecastError as error:
        raise ConfigurationError(f"backend {settings.trading.backend}: {error}") from error
    return forecaster


def _instruments(broker: AlpacaBroker, symbols: Sequence[Symbol]) -> Mapping[Symbol, Instrument]:
    try:
        instruments = broker.instruments(symbols)
    except Transient as error:
        raise VenueUnreachable(f"no asset data: {error}") from error
    missing = [str(symbol) for symbol in symbols if symbol not in instruments]
    if missing:
        raise ConfigurationError(f"SYMBOLS: the venue does not know {', '.join(missing)}")
    return instruments


def _manage_every(settings: Settings, timeframe: Timeframe) -> timedelta:
    """In the simulation a quarter of a bar: its prices move no oftener."""
    if settings.trading.trading_mode == "sim":
        return timeframe.duration / 4
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
                raise VenueUnreachable(f"the books could not be read: {error}") from error
            daemon.desk.pause(1.0)


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
    )


def _skipper(daemon: Daemon) -> Callable[[datetime], datetime]:
    """For stocks alone: no cycles while the market is closed."""
    rules = daemon.trader.rules
    if any(symbol.asset_class is AssetClass.CRYPTO for symbol in rules.symbols):
        return lambda moment: moment

    def skip(moment: datetime) -> datetime:
        for session in daemon.trader.sessions.around(daemon.clock.now()):
            if moment < session.close:
                return moment if moment > session.open else daemon.timetable.next_trade(session.open)
        return moment

    return skip


def _leave(daemon: Daemon) -> None:
    daemon.manager.leave_safe()
    with daemon.desk.lock:
        daemon.desk.journal.put_status(daemon.board.status(), daemon.clock.now())


def _reload(trader: Trader, options: RunOptions) -> str:
    """Read the settings again. What is wrong with them is said, and the old ones go on."""
    try:
        fresh = rules_of(load(options.flags).settings)
        decide = decider(fresh.strategy, fresh.params)
    except (SettingsError, ConfigurationError) as error:
        trader.desk.alert("reload", "warning", f"settings not reloaded: {error}")
        return f"kept the old settings: {error}"
    fixed = ("symbols", "timeframe", "context", "horizon")
    changed = [name for name in fixed if getattr(fresh, name) != getattr(trader.rules, name)]
    trader.rules = replace(fresh, **{name: getattr(trader.rules, name) for name in fixed})
    trader.decide = decide
    trader.manager.policy = trader.rules.exits
    return "reloaded" + (f"; a restart is needed for {', '.join(changed)}" if changed else "")


def _progress(name: str, watchdog: ProgressWatchdog, notifier: Notifier, board: Board) -> None:
    watchdog.mark(name)
    notifier.status(f"{board.last_cycle or 'no cycle yet'}: {board.last_outcome}; {board.cycles} cycles")


def _on_trade_update(daemon: Daemon) -> None:
    daemon.manager.nudge()
    daemon.wake_manage()
    daemon.clock.wake()


def _noter(board: Board) -> Callable[[str, str], None]:
    def note(kind: str, detail: str) -> None:
        board.say("venue", f"{kind}: {detail}")
        logger.warning("venue: {}: {}", kind, detail)

    return note


def _log_alert(kind: str, severity: str, detail: str) -> None:
    logger.log({"error": "ERROR", "warning": "WARNING"}.get(severity, "INFO"), "{}: {}", kind, detail)


def _catch_signals(daemon: Daemon) -> dict[signal.Signals, Any]:
    """SIGTERM and SIGINT end the run after the step under way; SIGHUP reloads."""

    def end(number: int, frame: object) -> None:
        daemon.stop.set()
        daemon.clock.wake()

    def reload(number: int, frame: object) -> None:
        daemon.manager.reload_asked = True  # no more than that: a handler may interrupt anything

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}


def _restore_signals(previous: Mapping[signal.Signals, Any]) -> None:
    for number, handler in previous.items():
        signal.signal(number, handler)
