"""Commands to the daemon: rows in the journal that `manage` executes. With no daemon running, done here and now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

from settings.load import Loaded
from settings.schema import Settings
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.journal import Journal
from trader.adapters.lock import AccountLock
from trader.core.portfolio import is_held
from trader.core.types import Portfolio, Position
from trader.daemon.account import Hands, endpoints_of, take_hands
from trader.daemon.parameters import rules_of
from trader.errors import AccountLocked, ConfigurationError, DatabaseUnusable, Transient
from trader.trading.commands import also_leave, is_named
from trader.trading.ports import Broker

ANSWER_S = 30.0
POLL_S = 0.1
TRIES = 30  # runs of the manage job, a second apart, to leave everything
# what a latched flag alone expresses; the next start acts on it
_LATCHES = {
    "pause": {"paused": "paused by command"},
    "kill": {"killed": "killed by command"},
    "resume": {"paused": "", "halted": "", "killed": "", "flatten": ""},
}


def command(
    loaded: Loaded, kind: str, args: Mapping[str, str], say: Callable[[str], None], *, trouble: str = ""
) -> int:
    """Enqueue it and wait for the answer; 1 where it failed or none came.

    trouble  what is wrong with the settings: a running daemon is told all the same, without one only flags are set
    """
    settings = loaded.settings
    if trouble:
        say(f"the settings are broken: {trouble}")
    with Journal.open(settings.database_url, create=False) as journal:
        account = journal.get_meta("account")
        if account is None:
            raise DatabaseUnusable("the journal belongs to no account yet: start the daemon once with `trader run`")
        if "symbol" in args:
            args = {"symbol": _known(args["symbol"], journal, settings)}
        number = journal.enqueue(kind, args, datetime.now(UTC))
        try:
            with AccountLock(settings.store.state_dir / "locks", account):
                pass  # nobody holds it: no daemon is running
        except AccountLocked:
            return _await(journal, number, say)
        if trouble:
            return _latch(journal, number, kind, args, say)
        return _do_here(journal, loaded, number, kind, args, say)


def _known(wanted: str, journal: Journal, settings: Settings) -> str:
    """One of the names that something is held or traded by. Raises ConfigurationError: nobody is to believe that
    they are out of what they have misspelt."""
    if wanted == "all":
        return wanted
    believed = journal.believed()
    held = {str(symbol) for symbol in (*believed.positions, *(order.symbol for order in believed.orders))}
    names = sorted(held | set(settings.trading.symbols))
    for name in names:
        if _bare(name) == _bare(wanted):
            return name
    raise ConfigurationError(
        f"{wanted!r} is neither held nor traded; there is {', '.join(names)}. Without a name everything is left"
    )


def _bare(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalnum())


def _await(journal: Journal, number: int, say: Callable[[str], None]) -> int:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        record = journal.command(number)
        if record is not None and record.done_at is not None:
            say(record.message)
            return 0 if record.ok else 1
        time.sleep(POLL_S)
    say(f"no answer within {ANSWER_S:.0f} s; the daemon will do it when it can (command {number})")
    return 1


def _do_here(
    journal: Journal, loaded: Loaded, number: int, kind: str, args: Mapping[str, str], say: Callable[[str], None]
) -> int:
    """No daemon: we hold the account, so we are the only writer."""
    settings = loaded.settings
    endpoints = endpoints_of(settings)
    if endpoints is None or kind not in ("flatten", "kill"):
        return _latch(journal, number, kind, args, say)
    with ExitStack() as stack:
        hands = take_hands(settings, rules_of(settings), endpoints, _clock(settings, endpoints, stack), stack)
        return _leave(hands, kind, args.get("symbol", "all"), say)


def _leave(hands: Hands, kind: str, symbol: str, say: Callable[[str], None]) -> int:
    """Until nothing is left that could be sold, of that symbol or of `all`, nor an order of it."""
    desk, held, dust = hands.desk, list[Position](), list[Position]()
    for _ in range(TRIES):
        hands.manager.nudge()
        hands.manager.manage()
        portfolio = desk.board.portfolio
        if portfolio is not None:
            held, dust = _left(desk.broker, portfolio, symbol)
            if not held and not any(is_named(symbol, order.symbol) for order in portfolio.orders):
                break
        desk.pause(1.0)
    if desk.board.portfolio is None or held:
        say(f"{kind}: not finished, see `trader positions`")
        return 1
    too_small = ", ".join(f"{each.qty} {each.symbol}" for each in dust)
    say(f"{kind}: done" + (f"; too small to be sold, and left: {too_small}" if dust else ""))
    return 0


def _left(broker: Broker, portfolio: Portfolio, symbol: str) -> tuple[list[Position], list[Position]]:
    """What is still held, and what is only dust. What nobody can tell is held."""
    left = [each for each in portfolio.positions.values() if is_named(symbol, each.symbol) and each.qty]
    try:
        instruments = broker.instruments([each.symbol for each in left]) if left else {}
    except Transient:
        instruments = {}
    held = [each for each in left if is_held(each, instruments.get(each.symbol))]
    return held, [each for each in left if each not in held]


def _clock(settings: Settings, endpoints: AlpacaEndpoints, stack: ExitStack) -> RealClock | SimClock:
    if settings.trading.trading_mode != "sim":
        return RealClock()
    clock = SimClock(endpoints.trading_url, key=endpoints.key, secret=endpoints.secret)
    stack.callback(clock.close)
    return clock


def _latch(journal: Journal, number: int, kind: str, args: Mapping[str, str], say: Callable[[str], None]) -> int:
    now = datetime.now(UTC)
    for flag, reason in _LATCHES.get(kind, {}).items():
        journal.set_flag(flag, args.get("reason") or reason, now)
    if args.get("reset_peak"):
        journal.set_meta("peak", "")
    if kind == "flatten":
        journal.set_flag("flatten", also_leave(journal.flag("flatten"), args["symbol"]), now)
        if args["symbol"] == "all":
            journal.set_flag("paused", "flattened by command", now)
    message = "no daemon is running: latched, and carried out as soon as one starts"
    journal.finish_command(number, now, True, message)
    say(message)
    return 0
