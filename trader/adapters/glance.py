"""What `trader status` shows, read from an SQLite journal with the driver alone: to load SQLAlchemy takes longer.

Only ever a shortcut: whatever is unusual about the journal is None here, and left to `Journal` to read or to explain.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

REVISION = "0003"  # of the schema that is read here; a test holds it to the journal's own
_PREFIX = "sqlite:///"
_BUSY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The status row; flags by name, "" is off; newest first: cycles (id, outcome, note), alerts (at, severity, what).

    A cycle that is under way, or was cut off, has no outcome. Times are UTC ISO text.
    """

    status: dict[str, Any]
    flags: dict[str, str]
    cycles: list[tuple[str, str, str]]
    alerts: list[tuple[str, str, str]]


def glance(url: str, flags: Iterable[str], *, limit: int = 5) -> Glance | None:
    """Reads one snapshot. Returns None where it is not a plain SQLite file with this program's schema."""
    path = Path(url.removeprefix(_PREFIX))
    if not url.startswith(_PREFIX) or "?" in url or not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
            return _read(db, flags, limit)
    except (sqlite3.Error, ValueError):
        return None


def _read(db: sqlite3.Connection, flags: Iterable[str], limit: int) -> Glance | None:
    db.execute("BEGIN")
    if db.execute("SELECT version_num FROM alembic_version").fetchall() != [(REVISION,)]:
        return None
    status = db.execute("SELECT body FROM status").fetchone()
    known = dict(db.execute("SELECT name, value FROM flags"))
    cycles = db.execute("SELECT cycle_id, outcome, note FROM cycles ORDER BY seq DESC LIMIT ?", (limit,))
    alerts = db.execute("SELECT at, severity, detail FROM alerts ORDER BY id DESC LIMIT ?", (limit,))
    return Glance(
        status=json.loads(status[0]) if status else {},
        flags={name: known.get(name, "") for name in flags},
        cycles=cycles.fetchall(),
        alerts=alerts.fetchall(),
    )
