"""The journal's tables, as the newest migration leaves them.

Amounts are exact decimals as text, times are UTC ISO text of one width (they sort as they are), values that only we
read are JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text, false

HEAD = "0003"  # the newest migration

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

cycles = Table(
    "cycles",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("cycle_id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("opened_at", String, nullable=False),
    Column("closed_at", String),
    Column("outcome", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("timings", Text, nullable=False),  # JSON, seconds by step
)

plans = Table(
    "plans",
    metadata,
    Column("cycle_id", String, ForeignKey("cycles.cycle_id"), primary_key=True),
    Column("strategy", String, nullable=False),
    Column("inputs", LargeBinary, nullable=False),  # DecisionInputs, canonical JSON
    Column("plan", LargeBinary, nullable=False),  # Plan, canonical JSON
)

intents = Table(
    "intents",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("client_order_id", String, nullable=False, unique=True),
    Column("cycle_id", String, ForeignKey("cycles.cycle_id"), nullable=False),
    Column("symbol", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("state", String, nullable=False),
    Column("order_id", String),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),  # OrderIntent
    Index("intents_by_state", "state"),
    Index("intents_by_cycle", "cycle_id", "symbol", "purpose"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("cycle_id", String, ForeignKey("cycles.cycle_id"), nullable=False, index=True),
    Column("symbol", String, nullable=False),
    Column("wanted", String, nullable=False),
    Column("allowed", String, nullable=False),
    Column("net_edge_bps", String),
    Column("denials", Text, nullable=False),  # JSON, [[rule, figures], ...]
)

quotes = Table(
    "quotes",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("cycle_id", String, ForeignKey("cycles.cycle_id"), nullable=False, index=True),
    Column("symbol", String, nullable=False),
    Column("bid", String, nullable=False),
    Column("ask", String, nullable=False),
    Column("bid_size", String, nullable=False),
    Column("ask_size", String, nullable=False),
    Column("at", String, nullable=False),
    Column("source", String, nullable=False),
    Column("synthetic", Boolean, nullable=False),
)

forecasts = Table(  # which model said what was used; the distribution itself is in the plan's inputs
    "forecasts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("cycle_id", String, ForeignKey("cycles.cycle_id"), nullable=False, index=True),
    Column("symbol", String, nullable=False),
    Column("asof", String, nullable=False),
    Column("backend", String, nullable=False),
    Column("model", String, nullable=False),
    Column("compile_mode", String, nullable=False),
    Column("last_close", String, nullable=False),
    Column("latency_s", String, nullable=False),
)

levels = Table("levels", metadata, Column("symbol", String, primary_key=True), Column("body", Text, nullable=False))

orders = Table(
    "orders",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("client_order_id", String, nullable=False, index=True),
    Column("symbol", String, nullable=False),
    Column("status", String, nullable=False),
    Column("is_open", Boolean, nullable=False, index=True),
    Column("submitted_at", String, nullable=False, index=True),
    Column("body", Text, nullable=False),  # Order
)

executions = Table(
    "executions",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("execution_id", String, nullable=False, unique=True),
    Column("order_id", String, nullable=False, index=True),
    Column("symbol", String, nullable=False),
    Column("side", String, nullable=False),
    Column("qty", String, nullable=False),
    Column("price", String, nullable=False),
    Column("at", String, nullable=False, index=True),
    Column("fee", String, nullable=False),
    Column("fee_currency", String, nullable=False),
    Column("fee_estimated", Boolean, nullable=False),
)

books = Table(  # running sums: units by symbol, cash under its currency, and what of it came in or went out
    "books",
    metadata,
    Column("name", String, primary_key=True),
    Column("amount", String, nullable=False),
)

equity = Table(
    "equity",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False, index=True),
    Column("equity", String, nullable=False),  # as the venue told it
    Column("cash", String, nullable=False),
    Column("own", String),  # by the books' cash and units at the venue's marks; none where that was not known
    Column("moved", String, nullable=False, server_default="0"),  # money that had come in by then, less what went out
    Column("doubtful", Boolean, nullable=False, server_default=false()),  # the two differed by more than the band
)

flags = Table(
    "flags",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", String, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("args", Text, nullable=False),  # JSON
    Column("at", String, nullable=False),
    Column("done_at", String, index=True),
    Column("ok", Boolean),
    Column("message", Text, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", String, nullable=False),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("symbol", String),
    Column("qty", String, nullable=False),
    Column("cash", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", String, nullable=False),
)

postings = Table(  # activities beside the fills that are in the books, each once
    "postings",
    metadata,
    Column("activity_id", String, primary_key=True),
    Column("day", String, nullable=False, index=True),  # as the venue dates it
    Column("fill", String, nullable=False),  # the execution that it is the fee of, or ""
    Column("correction_id", Integer),  # of the correction that it is the reason of
    Column("body", Text, nullable=False),  # Posting
)

fee_changes = Table(  # what a fill's fee was until it became another one
    "fee_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("execution_id", String, nullable=False),
    Column("fee", String, nullable=False),
    Column("fee_currency", String, nullable=False),
    Column("at", String, nullable=False),  # of the change
)

status = Table(
    "status",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("body", Text, nullable=False),  # JSON, what `trader status` shows
    Column("at", String, nullable=False),
)


def stamp(at: datetime) -> str:
    """UTC, always with microseconds: text order is time order."""
    if at.tzinfo is None:
        raise TypeError(f"a time without a zone: {at}")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def unstamp(text: str) -> datetime:
    return datetime.fromisoformat(text)
