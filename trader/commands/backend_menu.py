"""`trader backends`: which forecasters there are, what each lacks here, and what the daemon last said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from trader.commands.options import loaded_settings, say

if TYPE_CHECKING:
    from forecasters.worker.sandbox.policy import Sandbox

ALERTS_READ = 500


def show(mode: str | None, as_json: bool) -> None:
    from forecasters.worker.inquiry import menu
    from forecasters.worker.sandbox.policy import sentence

    sandbox = _sandbox(mode)
    backends, last_words = menu(sandbox), last_said(mode)
    rows = [
        {
            "name": backend.name,
            "aliases": list(backend.aliases),
            "source": backend.source,
            "missing": list(backend.missing),
            "notes": list(backend.notes),
            "last": {name: last_words[name] for name in (backend.name, *backend.aliases) if name in last_words},
            "what": backend.description,
        }
        for backend in backends
    ]
    lines = [*(_paragraph(row) for row in rows), sentence(sandbox)]
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(lines))


def _sandbox(mode: str | None) -> Sandbox:
    """The settings', and the strictest where they are wrong: the menu is there all the same."""
    from forecasters.worker.sandbox.policy import DEFAULT
    from trader.daemon.forecaster import sandbox_of
    from trader.errors import TraderError

    try:
        return sandbox_of(loaded_settings(mode).settings)
    except TraderError:
        return DEFAULT


def warm_up(mode: str | None, forecaster: str | None) -> int:
    """Start the configured backend once, as the daemon would, and end it: what it compiles is then in the cache."""
    from forecasters.base import ForecastError
    from trader.daemon.forecaster import check_backend, open_backend
    from trader.errors import ConfigurationError

    settings = loaded_settings(mode, forecaster=forecaster).settings
    check_backend(settings)
    worker = open_backend(settings, say)
    try:
        worker.warm_up()
        report, notices = worker.ping().compile, worker.notices()
    except ForecastError as error:
        raise ConfigurationError(f"{settings.trading.backend} did not warm up: {error}") from error
    finally:
        worker.close()
    for notice in notices:
        say(f"{notice.severity}: {notice.text}")
    if not notices:
        click.echo(f"{settings.trading.backend} is warm" + (f": {report.summary}" if report else ""))
    return int(any(notice.severity == "error" for notice in notices))


def last_said(mode: str | None) -> Mapping[str, str]:
    """What a compiled backend last had to say of itself, by its name, from the journal; nothing where there is none."""
    from trader.adapters.journal import Journal
    from trader.errors import TraderError

    try:
        with Journal.open(loaded_settings(mode).settings.database_url, create=False) as journal:
            alerts = [alert for alert in journal.alerts(ALERTS_READ) if alert.kind == "backend"]
    except TraderError:
        return {}  # the menu is there all the same
    said: dict[str, str] = {}
    for alert in alerts:  # the newest first
        name, _, text = alert.detail.partition(": ")
        said.setdefault(name, f"{alert.at:%Y-%m-%d %H:%M} {text}")
    return said


def _paragraph(row: Mapping[str, object]) -> str:
    aliases, gaps, notes, last_words = row["aliases"], row["missing"], row["notes"], row["last"]
    assert isinstance(aliases, list)
    assert isinstance(gaps, list)
    assert isinstance(notes, list)
    assert isinstance(last_words, dict)
    names = ", ".join([str(row["name"]), *aliases])
    lines = [f"{names} ({row['source']}): {row['what']}"]
    lines += [f"  missing: {gap}" for gap in gaps] or ["  can run here"]
    lines += [f"  note: {note}" for note in notes]
    lines += [f"  {name}, {text}" for name, text in last_words.items()]
    return "\n".join(lines)
