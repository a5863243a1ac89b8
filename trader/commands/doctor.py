"""`trader check`: what a start would fail on, each finding with what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from settings.load import Loaded
from settings.schema import Settings
from settings.trust import distrust
from trader.errors import Fatal, TraderError

if TYPE_CHECKING:
    from trader.adapters.alpaca.broker import AlpacaBroker

LEAST_FREE = 500 * 2**20
MOST_SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `ok` None: it could not be looked at here; the text says why."""

    name: str
    ok: bool | None
    detail: str


def examine(loaded: Loaded) -> list[Finding]:
    """Everything that can be looked at without trading."""
    settings = loaded.settings
    return [
        Finding(name="settings", ok=True, detail=f"mode {settings.trading.trading_mode}, valid"),
        *_rules(loaded),
        *_folders(settings),
        *_reserve(settings),
        *_database(settings),
        *_backend(settings),
        _sandbox(settings),
        *_venue(settings),
    ]


def show(findings: list[Finding], as_json: bool) -> int:
    """1 where something is wrong."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(
                f"{'ok  ' if finding.ok else '??  ' if finding.ok is None else 'BAD '} {finding.name}: {finding.detail}"
            )
    return int(any(finding.ok is False for finding in findings))


def _rules(loaded: Loaded) -> Iterator[Finding]:
    from trader.daemon.parameters import rules_of, unchosen

    try:
        rules = rules_of(loaded.settings)
    except TraderError as error:
        yield Finding(name="strategy", ok=False, detail=str(error))
        return
    if problem := unchosen(loaded):
        yield Finding(name="strategy", ok=False, detail=problem)
    else:
        yield Finding(name="strategy", ok=True, detail=f"{rules.strategy} on {rules.timeframe} bars")


def _folders(settings: Settings) -> Iterator[Finding]:
    places = {"state folder": settings.store.state_dir, "compile cache folder": settings.compile.compiled_models_dir}
    for name, folder in places.items():
        if why := distrust(folder):
            yield Finding(name=name, ok=False, detail=why)
            continue
        problem = _unwritable(folder)
        if problem and folder == settings.compile.compiled_models_dir:
            yield Finding(name=name, ok=None, detail=f"{problem}; a folder of the user's own would be used instead")
            continue
        if problem:
            yield Finding(name=name, ok=False, detail=problem)
            continue
        free = shutil.disk_usage(folder).free
        enough = free >= LEAST_FREE
        advice = "" if enough else f": less than {LEAST_FREE // 2**20} MiB, make room"
        yield Finding(name=name, ok=enough, detail=f"{folder}, {free // 2**20} MiB free{advice}")


def _reserve(settings: Settings) -> Iterator[Finding]:
    from trader.adapters.glance_reserve import described

    store = settings.store
    try:
        text = described(store.state_dir, settings.trading.trading_mode, store.reserve_mb)
    except OSError as error:
        yield Finding(name="reserve", ok=False, detail=f"it can't be read: {error.strerror}")
        return
    yield Finding(name="reserve", ok="entries wait" not in text, detail=text)


def _unwritable(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} can't be made: {error.strerror}"
    return "" if os.access(folder, os.W_OK) else f"{folder} can't be written: change its owner, or name another folder"


def _database(settings: Settings) -> Iterator[Finding]:
    from trader.adapters.journal import check
    from trader.errors import TraderError

    url = settings.database_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        yield Finding(name="journal", ok=True, detail="none yet: made at the first start")
        return
    try:
        problems = check(url)
    except TraderError as error:
        yield Finding(name="journal", ok=False, detail=str(error))
    else:
        yield Finding(name="journal", ok=not problems, detail="; ".join(problems) or "sound")


def _backend(settings: Settings) -> Iterator[Finding]:
    from trader.daemon.forecaster import lacking

    name = settings.trading.backend
    try:
        missing = lacking(settings)
    except TraderError as error:
        yield Finding(name="forecaster", ok=False, detail=str(error))
        return
    yield Finding(name="forecaster", ok=not missing, detail=f"{name}: " + ("; ".join(missing) or "can run here"))


def _sandbox(settings: Settings) -> Finding:
    from forecasters.worker.sandbox.policy import is_whole, sentence
    from trader.daemon.forecaster import sandbox_of

    if settings.worker.socket:
        return Finding(name="sandbox", ok=True, detail="the worker is a unit of its own: systemd keeps it in")
    sandbox = sandbox_of(settings)
    return Finding(name="sandbox", ok=True if is_whole(sandbox) else None, detail=sentence(sandbox))


def _found(settings: Settings, broker: AlpacaBroker) -> Iterator[Finding]:
    """What a first start would find, and what ADOPT would do with it; later, what is still left alone."""
    from trader.core.ids import purpose_of
    from trader.trading.consent import described

    left_symbols = _left_alone(settings)
    symbols = set(settings.trading.symbols) if left_symbols is None else left_symbols
    items = [f"{position.qty} {position.symbol}" for position in broker.positions() if str(position.symbol) in symbols]
    orders = [order for order in broker.open_orders() if str(order.symbol) in symbols and purpose_of(order) is None]
    items += [f"an order that is not ours: {described(order)}" for order in orders]
    if not items:
        return
    when = "was there before the first start" if left_symbols is not None else "is there before the first start"
    consequence = "it would get exits of ours, and be sold at them (ADOPT=adopt)"
    if settings.trading.adopt != "adopt":
        consequence = (
            f"it is left alone, without an exit, and nothing is entered there (ADOPT={settings.trading.adopt})"
        )
        consequence += "; `trader adopt` looks after it"
    yield Finding(name="found", ok=None, detail=f"{', '.join(items)} {when}: {consequence}")


def _left_alone(settings: Settings) -> set[str] | None:
    """None before the first start."""
    from trader.adapters.journal import Journal
    from trader.trading.consent import FOUND

    try:
        with Journal.open(settings.database_url, create=False) as journal:
            opening, names = journal.get_meta("opened"), journal.get_meta(FOUND) or ""
    except TraderError:
        return None
    return set(filter(None, names.split(","))) if opening else None


def _venue(settings: Settings) -> Iterator[Finding]:
    from trader.adapters.alpaca.broker import AlpacaBroker
    from trader.adapters.alpaca.clients import build_clients, no_pace
    from trader.adapters.clock import RealClock
    from trader.daemon.account import endpoints_of

    try:
        endpoints = endpoints_of(settings)
        if endpoints is None:
            yield Finding(name="venue", ok=True, detail="our own simulated exchange, started with `trader run`")
            return
        broker = AlpacaBroker(build_clients(endpoints, pace=no_pace), RealClock())
        account = broker.validate()
        yield Finding(name="keys", ok=True, detail=f"account {account.id}, {account.status}, equity {account.equity}")
        yield from _found(settings, broker)
        skew = broker.venue_time() - datetime.now(UTC)
    except (Fatal, TraderError) as error:
        yield Finding(name="venue", ok=False, detail=str(error))
        return
    if settings.trading.trading_mode == "sim":
        yield Finding(name="clock", ok=None, detail="the simulation has its own")
    else:
        fine = abs(skew) <= MOST_SKEW
        advice = "" if fine else ": set this machine's clock (timedatectl set-ntp true)"
        yield Finding(name="clock", ok=fine, detail=f"{skew.total_seconds():+.1f} s from the venue's{advice}")
