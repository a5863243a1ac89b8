"""Hands on an account: everything that can move it, without what decides. The daemon's, and the command line's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from loguru import logger

from settings.load import SettingsError, require_keys
from settings.redaction import clean
from settings.schema import Settings, looks_real
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, RequestLimiter, build_clients, no_pace
from trader.adapters.alpaca.data import AlpacaMarketData
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.journal import Journal
from trader.adapters.journal.writer_lock import sole_writer
from trader.adapters.latch import Latch
from trader.adapters.lock import AccountLock
from trader.adapters.machine_lock import MachineLock
from trader.adapters.notify import AlertSink
from trader.adapters.reserve import Reserve
from trader.core.days import calendar_ahead
from trader.core.types import Account, AssetClass, Instrument, Symbol
from trader.errors import (
    ConfigurationError,
    DatabaseUnusable,
    DatabaseUnwritable,
    TraderError,
    Transient,
    VenueUnreachable,
)
from trader.trading.cycle import Rules
from trader.trading.desk import Desk
from trader.trading.guard_files import GuardFiles
from trader.trading.in_reserve import take_in
from trader.trading.ports import Clock
from trader.trading.positions import Manager, Sessions
from trader.trading.standing_rules import StandingRules
from trader.trading.status import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    desk: Desk
    manager: Manager
    market: AlpacaMarketData


def take_hands(
    settings: Settings, rules: Rules, endpoints: AlpacaEndpoints, clock: RealClock | SimClock, stack: ExitStack
) -> Hands:
    """Check the account, lock it, open its journal. What is opened is closed with `stack`.

    Raises CredentialsRefused, VenueUnreachable, ConfigurationError, AccountLocked, DatabaseUnusable.
    """
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
    clients = build_clients(endpoints, pace=_pace(settings, clock), keys_confirm_s=settings.venue.keys_confirm_s)
    broker, market = AlpacaBroker(clients, clock, noter(board)), AlpacaMarketData(clients, noter(board))
    account = broker.validate()
    check_account(settings, broker, account)
    board.account_id = account.id
    keep_lock = lock_account(settings, endpoints, account.id, stack)
    reserve = reserve_of(settings, account.id)
    journal = stack.enter_context(_journal_with(reserve, settings, account.id, clock))
    sink = AlertSink(
        settings.alerts.webhook_url.get_secret_value() or None,
        source=f"trader {mode}",
        on_failure=lambda why: logger.warning(why),
    )
    stack.callback(sink.close)
    desk = Desk(broker, journal, clock, board, account.id, lambda *alert: _pass_on(sink, clock, *alert))
    desk.equity_band = rules.limits.equity_band
    desk.consent.policy = settings.trading.adopt
    manager = Manager(
        desk=desk,
        market=market,
        instruments=_instruments(broker, rules.symbols),
        policy=rules.exits,
        sessions=_sessions(broker, rules, clock),
        timeframe=rules.timeframe,
        standing=StandingRules(limits=rules.limits),
        guards=GuardFiles(latch=latch_of(settings), keep_lock=keep_lock),
    )
    manager.unwatched.after_s, manager.unwatched.repeat_s = settings.alerts.unwatched_s, settings.alerts.repeat_s
    manager.without.store = reserve
    manager.doubts["keys"] = clients.keys.doubt
    clients.keys.on_doubt = lambda text: desk.begin_doubt("keys", text)
    return Hands(desk=desk, manager=manager, market=market)


def lock_account(
    settings: Settings, endpoints: AlpacaEndpoints, account_id: str, stack: ExitStack
) -> Callable[[], None]:
    """Three locks, until `stack` ends: on this machine, whatever the folders are; in STATE_DIR, where the commands
    look; at the journal, whatever the machines are. Returns the check of the last one, see sole_writer.

    Raises AccountLocked, DatabaseAway, DatabaseUnusable.
    """
    stack.enter_context(MachineLock(endpoints.trading_url, account_id))
    stack.enter_context(AccountLock(settings.store.state_dir / "locks", account_id))
    return stack.enter_context(sole_writer(settings.database_url, account_id))


def reserve_of(settings: Settings, account_id: str) -> Reserve:
    return Reserve(settings.store.state_dir, settings.trading.trading_mode, account_id, settings.store.reserve_mb)


def latch_of(settings: Settings) -> Latch:
    return Latch(settings.store.state_dir, settings.trading.trading_mode)


def endpoints_of(settings: Settings) -> AlpacaEndpoints | None:
    """Where the venue is and who we are; None in a simulation that starts its own. ConfigurationError without keys."""
    mode = settings.trading.trading_mode
    if mode == "sim":
        if not settings.trading_url:
            return None
        key, secret = sim_keys(settings)
    else:
        try:
            key, secret = require_keys(settings)
        except SettingsError as error:
            raise ConfigurationError(str(error)) from None
    return AlpacaEndpoints(
        key=key,
        secret=secret,
        trading_url=settings.trading_url,
        data_url=settings.data_url or settings.trading_url,
        trade_stream_url=settings.trade_stream_url or settings.trading_url.replace("http", "ws", 1) + "/stream",
        feed=settings.venue.alpaca_feed,
        paper=mode != "live",
    )


def sim_keys(settings: Settings) -> tuple[str, str]:
    """The simulated exchange takes any keys. It is a port of this machine, so it never gets an account's own."""
    venue = settings.venue
    key, secret = venue.alpaca_api_key_id.get_secret_value(), venue.alpaca_api_secret_key.get_secret_value()
    return ("SIM", "SIM") if looks_real(key) else (key or "SIM", secret or "SIM")


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


def _journal_with(reserve: Reserve, settings: Settings, account_id: str, clock: Clock) -> Journal:
    """With what an earlier daemon left in the reserve. On a full disk the room that is kept back goes into it."""
    try:
        journal = open_journal(settings, account_id)
    except DatabaseUnwritable:
        if not settings.store.reserve_mb or not reserve.is_whole():
            raise
        reserve.give_room()
        journal = open_journal(settings, account_id)
    try:
        taken = take_in(journal, reserve, clock.now())
    except (OSError, TraderError) as error:
        journal.close()
        if isinstance(error, TraderError):
            raise
        raise DatabaseUnusable(f"the reserve {reserve.path} can't be read: {error.strerror}") from error
    if taken:
        logger.warning("{} exits of an earlier run were taken over from the reserve", taken)
    return journal


def _pace(settings: Settings, clock: RealClock | SimClock) -> Callable[[], None]:
    """None at full speed: a market that stands still is not to be moved on by waiting for one's turn to ask."""
    if isinstance(clock, SimClock) and clock.speed is None:
        return no_pace
    return RequestLimiter(settings.venue.requests_per_minute, clock)


def check_account(settings: Settings, broker: AlpacaBroker, account: Account) -> None:
    """LIVE_ACCOUNT is the number that the venue's dashboard shows; the account's id in the API will do as well.

    Raises ConfigurationError, VenueUnreachable.
    """
    wanted = settings.trading.live_account
    if settings.trading.trading_mode != "live" or account.id == wanted:
        return
    try:
        number = broker.account_number()
    except Transient as error:
        raise VenueUnreachable(f"no account number: {error}") from error
    if number != wanted:
        raise ConfigurationError(f"LIVE_ACCOUNT={wanted}, but the keys belong to {number}: nothing was sent")


def _instruments(broker: AlpacaBroker, symbols: Sequence[Symbol]) -> Mapping[Symbol, Instrument]:
    foreign = [str(symbol) for symbol in symbols if symbol.currency != "USD"]
    if foreign:  # sizes, limits and books are in the account's currency: the first fill would not add up
        raise ConfigurationError(f"SYMBOLS: only what is quoted in USD is traded, which {', '.join(foreign)} is not")
    try:
        instruments = broker.instruments(symbols)
    except Transient as error:
        raise VenueUnreachable(f"no asset data: {error}") from error
    missing = [str(symbol) for symbol in symbols if symbol not in instruments]
    if missing:
        raise ConfigurationError(f"SYMBOLS: the venue does not know {', '.join(missing)}: leave it out")
    return instruments


def _sessions(broker: AlpacaBroker, rules: Rules, clock: RealClock | SimClock) -> Sessions:
    """With stocks they are read at once: the times of the cycles hang on them."""
    sessions = Sessions(broker.sessions, ahead=calendar_ahead(rules.timeframe, rules.horizon))
    if any(symbol.asset_class is AssetClass.STOCK for symbol in rules.symbols):
        try:
            sessions.around(clock.now())
        except Transient as error:
            raise VenueUnreachable(f"no calendar: {error}") from error
    return sessions


def noter(board: Board) -> Callable[[str, str], None]:
    """Where the adapters report what they could not read."""

    def note(kind: str, detail: str) -> None:
        board.say("venue", f"{kind}: {detail}")
        logger.warning("venue: {}: {}", kind, detail)

    return note


def _pass_on(sink: AlertSink, clock: Clock, kind: str, severity: str, detail: str) -> None:
    """An alert goes to the log, and out of the machine where a webhook is set."""
    logger.log({"error": "ERROR", "warning": "WARNING"}.get(severity, "INFO"), "{}: {}", kind, detail)
    sink.post(kind, severity, clean(detail), clock.now())
