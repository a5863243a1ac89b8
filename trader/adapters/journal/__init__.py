"""The journal: SQLAlchemy Core on SQLite by default, PostgreSQL by URL. `Journal` writes and reads."""

from __future__ import annotations

from trader.adapters.journal.records import (
    Alert,
    Believed,
    BookedPosting,
    CommandRecord,
    Correction,
    CycleRecord,
    EquityPoint,
    IntentRecord,
    QuoteRecord,
    Trade,
    VerdictRecord,
)
from trader.adapters.journal.schema import HEAD
from trader.adapters.journal.store import DiskFull
from trader.adapters.journal.upgrade import backup, check, upgrade
from trader.adapters.journal.write import Journal

__all__ = [
    "HEAD",
    "Alert",
    "Believed",
    "BookedPosting",
    "CommandRecord",
    "Correction",
    "CycleRecord",
    "DiskFull",
    "EquityPoint",
    "IntentRecord",
    "Journal",
    "QuoteRecord",
    "Trade",
    "VerdictRecord",
    "backup",
    "check",
    "upgrade",
]
