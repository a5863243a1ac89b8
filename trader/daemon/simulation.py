"""The simulation's own exchange: its options from the settings, its folder, where the venue is."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from settings.load import Loaded
from settings.schema import Settings
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.journal import Journal
from trader.adapters.lock import AccountLock
from trader.daemon.exchange_process import ExchangeChild
from trader.daemon.put_aside import KEPT, put_aside
from trader.errors import ConfigurationError, DatabaseUnusable, DatabaseUnwritable

LATCHES = ("killed", "halted", "flatten", "paused")


@dataclass(frozen=True, slots=True)
class SimFolder:
    """The ledger and the journal of one simulated run.

    A run that was cut off goes on where it was, if it is started with the same market; after a finished one another
    starts anew, unless a person's order still stands in its journal: that is not to be forgotten by starting again.
    """

    path: Path
    arguments: Sequence[str]

    @property
    def ledger(self) -> Path:
        return self.path / "exchange.db"

    @property
    def _marker(self) -> Path:
        return self.path / "run.json"

    def begin(self, journal: Path | None, *, fresh: bool, say: Callable[[str], None]) -> bool:
        """True where an earlier run is resumed; otherwise what it left is put aside. Raises ConfigurationError."""
        self.path.mkdir(parents=True, exist_ok=True)
        last_run = self._last()
        is_alike = last_run.get("arguments") == list(self.arguments) and self.ledger.exists()
        standing = "" if fresh else _standing(journal)
        if standing and not is_alike:
            raise ConfigurationError(
                f"the last simulation was left {standing}; `trader resume` lifts that, --fresh starts anew"
            )
        goes_on = not fresh and is_alike and (bool(standing) or not last_run.get("ended"))
        if not goes_on:
            why = "--fresh" if fresh else "other options" if not is_alike else "it had stopped cleanly"
            self._put_aside(journal, why, say)
        self._mark(ended=False)
        return goes_on

    def ended(self) -> None:
        self._mark(ended=True)

    def _put_aside(self, journal: Path | None, why: str, say: Callable[[str], None]) -> None:
        # the ledger first: without it nobody goes on, should we be cut off between the two
        databases = [self.ledger] if journal is None else [self.ledger, journal]
        folder = put_aside(databases, self.path / "earlier")
        if folder is not None:
            say(
                f"this run starts anew ({why}): the last simulation's journal and ledger are put aside in {folder}, "
                f"the newest {KEPT} are kept. Only a run that was cut off goes on, with the same options"
            )
        for reserve in journal.parent.glob("reserve-sim-*") if journal is not None else ():
            reserve.unlink()  # exits of another market

    def _mark(self, *, ended: bool) -> None:
        self._marker.write_text(json.dumps({"arguments": list(self.arguments), "ended": ended}))

    def _last(self) -> dict[str, object]:
        try:
            found = json.loads(self._marker.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _standing(journal: Path | None) -> str:
    """What a person ordered and has not lifted: "killed: why". Empty where nothing, or where it can't be read."""
    if journal is None or not journal.exists():
        return ""
    try:
        with Journal.open(f"sqlite:///{journal}", create=False) as opened:
            return "; ".join(f"{name}: {why}" for name in LATCHES if (why := opened.flag(name)))
    except (DatabaseUnusable, DatabaseUnwritable):
        return ""  # a simulation's broken journal stops nobody: it is put aside


def exchange_arguments(settings: Settings, *, chosen: bool = False) -> list[str]:
    """The command line of the exchange that these settings ask for.

    chosen  whether somebody chose the timeframe; else that of files is the files' own
    """
    sim, trading = settings.sim, settings.trading
    arguments = ["--speed", sim.speed, "--seed", str(sim.seed), "--cash", str(sim.cash)]
    arguments += ["--spread-bps", str(sim.spread_bps), "--context", str(trading.context)]
    for name, files in (("--data", sim.bars), ("--quotes", sim.quotes)):
        for file in files:
            arguments += [name, file]
    for symbol in trading.symbols:
        arguments += ["--symbol", symbol]
    if chosen or not sim.bars:
        arguments += ["--timeframe", trading.timeframe]
    if sim.start is not None:
        arguments += ["--start", sim.start.isoformat()]
    if sim.faults:
        arguments += ["--faults", sim.faults]
    arguments += ["--accept-s", str(sim.accept_s), "--cancel-s", str(sim.cancel_s)]
    arguments += ["--coin-order-limit", str(sim.coin_order_limit)]
    if sim.late_fees:
        arguments += ["--late-fees"]
    return arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnExchange:
    endpoints: AlpacaEndpoints
    folder: SimFolder
    timeframe: str  # of its bars
    off_grid: Mapping[str, str] = field(default_factory=dict)  # symbols that can't be traded by the timeframe, and why

    def refuse_off_grid(self, symbols: Sequence[str]) -> None:
        """Raises ConfigurationError."""
        why = next((self.off_grid[symbol] for symbol in symbols if symbol in self.off_grid), None)
        if why is not None:
            raise ConfigurationError(why)


def start_exchange(
    settings: Settings,
    stack: ExitStack,
    *,
    chosen: bool,
    fresh: bool,
    say: Callable[[str], None],
) -> OwnExchange:
    """Start it, to be ended with `stack`. Raises AccountLocked, ConfigurationError, VenueUnreachable.

    chosen  see exchange_arguments
    """
    folder = SimFolder(settings.store.state_dir / "sim", exchange_arguments(settings, chosen=chosen))
    # before anything is touched: another run's ledger and journal must not be taken from under it
    stack.enter_context(AccountLock(folder.path, "of this simulation"))
    goes_on = folder.begin(_sqlite_file(settings.database_url), fresh=fresh, say=say)
    say("going on where the last run was" if goes_on else "starting a simulated exchange")
    return _start(settings, folder, stack)


def start_once(settings: Settings, stack: ExitStack) -> OwnExchange:
    """One that leaves nothing behind, and whose clock stands still: for looking at its bars."""
    temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="trader-"))
    arguments = [text if text != settings.sim.speed else "max" for text in exchange_arguments(settings)]
    return _start(settings, SimFolder(Path(temporary), arguments), stack)


def _start(settings: Settings, folder: SimFolder, stack: ExitStack) -> OwnExchange:
    """With keys of its own, new each time: what else runs on this machine has no business with it."""
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    try:
        child = stack.enter_context(ExchangeChild([*folder.arguments, "--ledger", str(folder.ledger)], (key, secret)))
    except ConfigurationError as error:
        if str(folder.ledger) in str(error):
            raise ConfigurationError(f"{error}; --fresh starts anew, without it") from None
        raise
    urls = child.urls or {}
    endpoints = AlpacaEndpoints(
        key=key,
        secret=secret,
        trading_url=urls["trading_url"],
        data_url=urls["data_url"],
        trade_stream_url=urls["trade_stream_url"],
        feed=settings.venue.alpaca_feed,
    )
    return OwnExchange(
        endpoints=endpoints, folder=folder, timeframe=urls["timeframe"], off_grid=urls.get("off_grid", {})
    )


def replayed(loaded: Loaded) -> Settings:
    """With files to replay and no SYMBOLS given, what is traded is what the files are of."""
    settings = loaded.settings
    if not settings.sim.bars or loaded.origins["SYMBOLS"] != "default":
        return settings
    return with_trading(settings, symbols=tuple(text.partition("=")[0] for text in settings.sim.bars))


def with_trading(settings: Settings, **changes: object) -> Settings:
    """The settings with some of the trading group replaced."""
    return settings.model_copy(update={"trading": settings.trading.model_copy(update=changes)})


def _sqlite_file(url: str) -> Path | None:
    """The simulation may start a journal anew only where it is a file of its own."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
