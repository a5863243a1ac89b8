"""What a person asked for: rows in the journal, carried out by whoever holds the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trader.core.types import Symbol
from trader.trading import failpoints
from trader.trading.desk import Desk
from trader.trading.ports import PendingCommand

ENDING_ENTRIES = frozenset({"pause", "flatten", "kill"})  # none is sent once one of these waits to be carried out


@dataclass(slots=True, kw_only=True)
class Commands:
    """What they switch is latched, whether or not the venue can be reached. With the desk's lock held."""

    desk: Desk
    on_reload: Callable[[], str]
    on_resume: Callable[[], None] = lambda: None  # lifts what is latched in a file, too

    def carry_out(self, command: PendingCommand) -> None:
        journal, now = self.desk.journal, self.desk.clock.now()
        done = {
            "pause": self._pause,
            "resume": self._resume,
            "flatten": self._flatten,
            "kill": self._kill,
            "reload": self._reload,
            "adopt": self._adopt,
        }.get(command.kind)
        if done is None:
            journal.finish_command(command.id, now, False, f"unknown command {command.kind!r}")
            return
        try:
            message = done(command.args)
        except ValueError as error:
            journal.finish_command(command.id, now, False, str(error))
            return
        self.desk.board.last_command = command.id
        failpoints.reach("amid_command")
        self.desk.board.say("command", f"{command.kind}: {message}")
        journal.finish_command(command.id, now, True, message)

    def _pause(self, args: Mapping[str, str]) -> str:
        self.desk.set_flag("paused", args.get("reason", "") or "paused by command")
        return "no new entries; exits go on"

    def _resume(self, args: Mapping[str, str]) -> str:
        self.on_resume()
        for name in ("paused", "halted", "killed", "flatten"):
            self.desk.set_flag(name, "")
        self.desk.resumed()
        if args.get("reset_peak"):
            self.desk.reset_peak()
            return "entries are allowed again; a drawdown is measured from now on"
        return "entries are allowed again"

    def _flatten(self, args: Mapping[str, str]) -> str:
        symbol = args.get("symbol", "") or "all"
        self.desk.set_flag("flatten", also_leave(self.desk.board.flags.get("flatten", ""), symbol))
        if symbol == "all":
            self.desk.set_flag("paused", "flattened by command")
        return f"leaving {symbol}"

    def _kill(self, args: Mapping[str, str]) -> str:
        self.desk.set_flag("killed", args.get("reason", "") or "killed by command")
        return "killed: no entries until resume; open entries are being cancelled, what is held is being sold"

    def _adopt(self, args: Mapping[str, str]) -> str:
        return self.desk.consent.adopt(self.desk.board.portfolio, args, self.desk.clock.now())

    def _reload(self, args: Mapping[str, str]) -> str:
        return self.on_reload()


def also_leave(flag: str, symbol: str) -> str:
    """The flag `flatten` with one more name in it: one that is not left yet must not be forgotten for another."""
    names = flag.split(",") if flag else []
    if "all" in (symbol, *names):
        return "all"
    return ",".join(dict.fromkeys([*names, symbol]))


def is_named(wanted: str, symbol: Symbol) -> bool:
    """In a comma list of symbols, or `all`."""
    return bool(wanted) and (wanted == "all" or str(symbol) in wanted.split(","))
