"""Commands to the daemon: rows in the journal that `manage` executes. With no daemon running, done here and now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from settings.load import Loaded
from settings.schema import Settings
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.journal import Journal
from trader.adapters.lock import AccountLock
from trader.core.portfolio import is_held
from trader.core.types import Portfolio, Position
from trader.daemon.account import Hands, endpoints_of, latch_of, take_hands
from trader.daemon.parameters import rules_of
from trader.errors import (
    AccountLocked,
    ConfigurationError,
    DatabaseAway,
    DatabaseUnusable,
    Transient,
    VenueUnreachable,
)
from trader.trading.commands import also_leave, is_named
from trader.trading.counts import Counts
from trader.trading.ports import Broker

ANSWER_S = 30.0
POLL_S = 0.1
LEAVE_S = 120.0  # how long a command waits for the daemon to sell
TRIES = 30  # runs of the manage job, a second apart, to leave everything
# what a latched flag alone expresses; the next start acts on it
_LATCHES = {
    "pause": {"paused": "paused by command"},
    "kill": {"killed": "killed by command"},
    "resume": {"paused": "", "halted": "", "killed": "", "flatten": ""},
}


def command(
    loaded: Loaded,
    kind: str,
    args: Mapping[str, str],
    say: Callable[[str], None],
    *,
    trouble: str = "",
    wait: bool = True,
) -> int:
    """Enqueue it, wait for the answer, and for `flatten` and `kill` until nothing is left to sell.

    trouble  what is wrong with the settings: a running daemon is told all the same, without one only flags are set
    wait     False: the daemon's word is enough

    Returns 0 where it is done, 1 where it failed or is not done yet, else the code of what stands in the way.
    """
    settings = loaded.settings
    if trouble:
        say(f"the settings are broken: {trouble}")
    latch = _latch_kill(settings, args, say) if kind == "kill" else ""
    try:
        with Journal.open(settings.database_url, create=False) as journal:
            return _through(journal, loaded, kind, args, say, trouble=trouble, wait=wait)
    except (DatabaseUnusable, DatabaseAway) as error:
        if not latch:
            raise
        say(f"the journal can't be written: {error}")
        say(f"{latch}: a running daemon obeys it within seconds, and every start reads it. Nothing is sold yet")
        return error.exit_code


def _latch_kill(settings: Settings, args: Mapping[str, str], say: Callable[[str], None]) -> str:
    """Where it is latched; "" where the file can't be written. It comes before all that may fail."""
    latch = latch_of(settings)
    try:
        latch.set("killed", args.get("reason") or _LATCHES["kill"]["killed"], datetime.now(UTC))
    except OSError as error:
        say(f"the latch {latch.path} can't be written: {error.strerror}")
        return ""
    return f"killed is latched in {latch.path}"


def _through(
    journal: Journal,
    loaded: Loaded,
    kind: str,
    args: Mapping[str, str],
    say: Callable[[str], None],
    *,
    trouble: str,
    wait: bool,
) -> int:
    settings = loaded.settings
    account = journal.get_meta("account")
    if account is None:
        raise DatabaseUnusable("the journal belongs to no account yet: start the daemon once with `trader run`")
    if "symbol" in args:
        args = {**args, "symbol": _known(args["symbol"], journal, settings)}
    number = journal.enqueue(kind, args, datetime.now(UTC))
    try:
        with AccountLock(settings.store.state_dir / "locks", account):
            pass  # nobody holds it: no daemon is running
    except AccountLocked:
        code = _await(journal, number, say)
        if code or kind not in ("flatten", "kill"):
            return code
        return _until_left(journal, number, kind, say) if wait else _as_seen(journal, number, kind, args, say)
    if trouble:
        return _latch(journal, settings, number, kind, args, say)
    return _do_here(journal, loaded, number, kind, args, say)


def _known(name_given: str, journal: Journal, settings: Settings) -> str:
    """One of the names that something is held or traded by. Raises ConfigurationError for any other: a misspelt name
    must not look like a position that was closed."""
    if name_given == "all":
        return name_given
    believed = journal.believed()
    book_names = {str(symbol) for symbol in (*believed.positions, *(order.symbol for order in believed.orders))}
    names = sorted(book_names | set(settings.trading.symbols))
    for name in names:
        if _bare(name) == _bare(name_given):
            return name
    raise ConfigurationError(
        f"{name_given!r} is neither held nor traded; there is {', '.join(names)}. Without a name everything is left"
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


def _until_left(journal: Journal, number: int, kind: str, say: Callable[[str], None]) -> int:
    """Follow the daemon's own account of it until nothing is left. Ctrl-C leaves it working."""
    told, deadline = "", time.monotonic() + LEAVE_S
    try:
        while time.monotonic() < deadline:
            status = journal.status()
            if int(str(status.get("last_command") or 0)) >= number:
                leaving = _leaving(status)
                if not leaving:
                    say(f"{kind}: done, nothing that could be sold is held (seen {_when(status)})")
                    return 0
                text = "; ".join(f"{symbol}: {why or 'under way'}" for symbol, why in leaving.items())
                if text != told:
                    say(f"{kind}: still held (seen {_when(status)}): {text}")
                    told = text
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        say(f"{kind}: not waited for any longer; the daemon goes on with it, see `trader status`")
        return 130
    say(f"{kind}: not done after {LEAVE_S:.0f} s; the daemon goes on trying, see `trader status`")
    return 1


def _as_seen(journal: Journal, number: int, kind: str, args: Mapping[str, str], say: Callable[[str], None]) -> int:
    """By the daemon's own account, or where that is of before the command, as with the venue away, by the books."""
    status = journal.status()
    if int(str(status.get("last_command") or 0)) >= number:
        holdings = list(_leaving(status))
    else:
        name = args.get("symbol", "all")
        holdings = [str(s) for s, qty in journal.believed().positions.items() if qty and is_named(name, s)]
    if holdings:
        say(f"{kind}: still held (seen {_when(status)}): {', '.join(holdings)}; see `trader status`")
    return 1 if holdings else 0


def _leaving(status: Mapping[str, Any]) -> Mapping[str, str]:
    return status.get("leaving") or {}


def _when(status: Mapping[str, object]) -> str:
    return str(status.get("market_time") or "at an unknown time")


def _do_here(
    journal: Journal, loaded: Loaded, number: int, kind: str, args: Mapping[str, str], say: Callable[[str], None]
) -> int:
    """No daemon: we hold the account, so we are the only writer."""
    settings = loaded.settings
    endpoints = endpoints_of(settings)
    if endpoints is None or kind not in ("flatten", "kill"):
        return _latch(journal, settings, number, kind, args, say)
    try:
        with ExitStack() as stack:
            hands = take_hands(settings, rules_of(settings), endpoints, _clock(settings, endpoints, stack), stack)
            return _leave(hands, kind, args.get("symbol", "all"), say)
    except VenueUnreachable as error:
        _latch(journal, settings, number, kind, args, lambda _: None)
        say(
            f"{kind}: the venue can't be reached ({error}): nothing was sold. It is latched, and the next start does it"
        )
        return error.exit_code


def _leave(hands: Hands, kind: str, symbol: str, say: Callable[[str], None]) -> int:
    """Works until nothing that could be sold is left of that symbol, or of `all`, and no order."""
    desk, unsold, dust = hands.desk, list[Position](), list[Position]()
    for _ in range(TRIES):
        hands.manager.nudge()
        hands.manager.manage()
        portfolio = desk.board.portfolio
        if portfolio is not None:
            unsold, dust = _left(desk.broker, portfolio, symbol)
            if not unsold and not any(is_named(symbol, order.symbol) for order in portfolio.orders):
                break
        desk.pause(1.0)
    if desk.board.portfolio is None or unsold:
        say(f"{kind}: not finished, see `trader positions`")
        return 1
    too_small = ", ".join(f"{position.qty} {position.symbol}" for position in dust)
    say(f"{kind}: done" + (f"; too small to be sold, and left: {too_small}" if dust else ""))
    return 0


def _left(broker: Broker, portfolio: Portfolio, symbol: str) -> tuple[list[Position], list[Position]]:
    """What is still held, and what is only dust. If nobody can tell, it counts as held."""
    positions = [
        position for position in portfolio.positions.values() if is_named(symbol, position.symbol) and position.qty
    ]
    try:
        instruments = broker.instruments([position.symbol for position in positions]) if positions else {}
    except Transient:
        instruments = {}
    sellable = [position for position in positions if is_held(position, instruments.get(position.symbol))]
    return sellable, [position for position in positions if position not in sellable]


def _clock(settings: Settings, endpoints: AlpacaEndpoints, stack: ExitStack) -> RealClock | SimClock:
    if settings.trading.trading_mode != "sim":
        return RealClock()
    clock = SimClock(endpoints.trading_url, key=endpoints.key, secret=endpoints.secret)
    stack.callback(clock.close)
    return clock


def _latch(
    journal: Journal,
    settings: Settings,
    number: int,
    kind: str,
    args: Mapping[str, str],
    say: Callable[[str], None],
) -> int:
    now = datetime.now(UTC)
    if kind == "adopt":
        say("no daemon is running: carried out as soon as one starts")  # it stays among the commands that wait
        return 0
    latch = latch_of(settings)
    lifted = [flag for flag in _LATCHES["resume"] if journal.flag(flag) or latch.read().get(flag)]
    if kind == "resume":
        latch.clear()
        Counts.recalled(journal).resumed(journal)
    for flag, reason in _LATCHES.get(kind, {}).items():
        journal.set_flag(flag, args.get("reason") or reason, now)
    if args.get("reset_peak"):
        journal.set_meta("peak", "")
    if kind == "flatten":
        journal.set_flag("flatten", also_leave(journal.flag("flatten"), args["symbol"]), now)
        if args["symbol"] == "all":
            journal.set_flag("paused", "flattened by command", now)
    message = f"no daemon is running: {_without_daemon(kind, bool(lifted), settings)}"
    journal.finish_command(number, now, True, message)
    say(message)
    held = [f"{qty} {symbol}" for symbol, qty in journal.believed().positions.items() if qty]
    if kind not in ("flatten", "kill") or not held:
        return 0
    say(f"{kind}: not done; held by the last look at the venue: {', '.join(held)}")
    return 1


def _without_daemon(kind: str, lifted: bool, settings: Settings) -> str:
    """What a command comes to with none."""
    if kind == "reload":
        return "nothing to reload, each start reads the settings"
    if kind == "resume":
        return "lifted, the next start may enter" if lifted else "nothing was paused, halted or killed"
    if settings.trading.trading_mode == "sim" and not settings.trading_url:
        return "latched. Its market ends with each run: the next `trader run` with the same options goes on and does it"
    return "latched, and carried out as soon as one starts"
