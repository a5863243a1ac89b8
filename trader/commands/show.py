"""What the reading commands print: a table for a person, JSON for a program. From the journal alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from settings.load import Loaded
from trader.adapters.glance import Glance, glance
from trader.core.ids import parse_client_order_id
from trader.core.types import Order, Symbol, Timeframe
from trader.errors import DatabaseAway
from trader.printable import printable

if TYPE_CHECKING:
    from trader.adapters.journal import Journal

FLAGS = ("paused", "halted", "killed", "flatten")
SILENT_AFTER = timedelta(seconds=150)  # with nothing at risk the venue is asked once a minute


def status(loaded: Loaded, as_json: bool) -> None:
    try:
        view = glance(loaded.settings.database_url, FLAGS) or _thorough(loaded)
    except DatabaseAway as error:
        error.args = (f"{error}; reserve: {_reserve(loaded)}",)  # the exits of meanwhile are there
        raise
    facts: dict[str, Any] = {**view.status, "flags": view.flags}
    alerts = [
        {"at": datetime.fromisoformat(at), "severity": severity, "detail": detail}
        for at, severity, detail in view.alerts
    ]
    facts["reserve"] = _reserve(loaded)
    facts["running"] = running = _is_running(loaded, str(facts.get("account", "")))
    since = _silent_since(facts) if running else ""
    if since:
        facts["silent_since"] = since
    state = "under way" if running else "cut off"
    if not running and facts.get("phase") not in (None, "stopped"):
        facts["phase"] = "ended without stopping"
    cycles = [{"cycle": name, "outcome": outcome or state, "note": note} for name, outcome, note in view.cycles]
    if as_json:
        _json({**facts, "last_cycles": cycles, "alerts": alerts})
        return
    _table(("", ""), [(name, text) for name, value in facts.items() if (text := _plain(value)) not in ("", "-")])
    print()
    _show(cycles, False, "no cycle yet")
    if alerts:
        print()
        _show(alerts, False, "")


def _reserve(loaded: Loaded) -> str:
    from trader.adapters.glance_reserve import described

    store = loaded.settings.store
    try:
        return described(store.state_dir, loaded.settings.trading.trading_mode, store.reserve_mb)
    except OSError as error:
        return f"it can't be read: {error.strerror}"


def _silent_since(facts: Mapping[str, Any]) -> str:
    """When a daemon that should look at the venue each minute did so last; "" where that is not long ago. A simulated
    market's time says nothing of ours."""
    last = facts.get("market_time")
    if facts.get("mode") not in ("paper", "live") or not last:
        return ""
    return str(last) if datetime.now(UTC) - datetime.fromisoformat(str(last)) > SILENT_AFTER else ""


def _thorough(loaded: Loaded) -> Glance:
    """The same from any journal. Raises DatabaseUnusable or DatabaseAway where it can't be read."""
    with _journal(loaded) as journal:
        return Glance(
            status=dict(journal.status()),
            flags={name: journal.flag(name) for name in FLAGS},
            cycles=[(cycle.cycle_id, cycle.outcome, cycle.note) for cycle in journal.cycles(5)],
            alerts=[(alert.at.isoformat(), alert.severity, alert.detail) for alert in journal.alerts(5)],
        )


def positions(loaded: Loaded, as_json: bool) -> None:
    with _journal(loaded) as journal:
        books, levels, quotes = journal.believed(), journal.levels(), journal.last_quotes()
    rows = []
    for symbol, qty in sorted(books.positions.items()):
        level, quote = levels.get(symbol), quotes.get(symbol)
        mid = quote.quote.mid if quote else None
        rows.append(
            {
                "symbol": symbol, "qty": qty, "mid": mid, "value": None if mid is None else qty * mid,
                "target": level.target if level else None, "stop": level.stop if level else None,
                "expires": level.expires_at if level else None,
            }
        )  # fmt: skip
    _show(rows, as_json, "flat")


def orders(loaded: Loaded, limit: int, open_only: bool, as_json: bool) -> None:
    with _journal(loaded) as journal:
        journal_orders = journal.orders(limit, open_only=open_only)
        reasons = journal.reasons([order.client_order_id for order in journal_orders])
    rows = []
    for order in journal_orders:
        identity = parse_client_order_id(order.client_order_id)
        rows.append(
            {
                "submitted": order.submitted_at, "symbol": order.symbol,
                "purpose": identity.purpose if identity else "external", "side": order.side,
                "type": order.type, "qty": order.qty, "filled": order.filled_qty,
                "limit": order.limit_price, "stop": order.stop_price or _stop_leg(order), "avg": order.filled_avg_price,
                "status": order.status, "id": order.client_order_id,
                "reason": reasons.get(order.client_order_id) or None,
            }
        )  # fmt: skip
    _show(rows, as_json, "no orders")


def _stop_leg(order: Order) -> Decimal | None:
    return next((leg.stop_price for leg in order.legs if leg.stop_price is not None), None)


def trades(loaded: Loaded, limit: int, as_json: bool) -> None:
    with _journal(loaded) as journal:
        round_trips = journal.trades(limit)
    _show([_fields(trade) for trade in round_trips], as_json, "no round trip yet")


def performance(loaded: Loaded, as_json: bool) -> None:
    from trader.core.performance import performance as measure  # numpy, that `status` does without

    with _journal(loaded) as journal:
        points = [(point.at, point.equity) for point in journal.equity_points()]
        executions = journal.executions()
        transfers = [(c.at, c.cash) for c in journal.corrections(limit=None) if c.kind == "transfer"]
        status = journal.status()
        first, last = marks(journal)
    if points and status.get("market_time"):
        # equity is recorded when it changes: at the last look it was still that
        last_look = datetime.fromisoformat(str(status["market_time"]))
        points += [(last_look, points[-1][1])] if last_look > points[-1][0] else []
    interval = Timeframe.parse(str(status.get("timeframe") or loaded.settings.trading.timeframe)).duration
    result = measure(points, executions, first, last, interval, transfers)
    if result is None:
        _show([], as_json, "too short a history")
        return
    if as_json:
        _json(_fields(result))
        return
    facts = {name: value for name, value in _fields(result).items() if name != "symbols"}
    formats = {"total_return": "{:+.2%}", "max_drawdown": "{:.2%}", "buy_and_hold": "{:+.2%}", "sharpe": "{:.2f}"}
    formats |= dict.fromkeys(("first_equity", "last_equity", "transfers", "fees", "turnover"), "{:,.2f}")
    rows = [(n, formats[n].format(v) if n in formats and v is not None else _plain(v)) for n, v in facts.items()]
    _table(("", ""), rows)
    _show([_fields(figures) for figures in result.symbols], False, "no trades")


def marks(journal: Journal) -> tuple[dict[Symbol, Decimal], dict[Symbol, Decimal]]:
    """The first and the last mids that decisions saw."""
    last = {symbol: record.quote.mid for symbol, record in journal.last_quotes().items()}
    first = {symbol: record.quote.mid for symbol, record in journal.first_quotes().items()}
    return first, last


def config(loaded: Loaded, as_json: bool) -> None:
    rows = [{"name": row.name, "value": row.value, "unit": row.unit, "from": row.origin} for row in loaded.rows()]
    _show(rows, as_json, "none")


# ---- printing ----


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass one level deep: a Symbol inside stays a Symbol."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _journal(loaded: Loaded) -> Journal:
    from trader.adapters.journal import Journal  # a quarter of a second that `status` does without

    return Journal.open(loaded.settings.database_url, create=False)


def _is_running(loaded: Loaded, account: str) -> bool:
    from trader.adapters.lock import AccountLock

    return AccountLock(loaded.settings.store.state_dir / "locks", account).held()


def _show(rows: Sequence[Mapping[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        _json(rows)
    elif not rows:
        print(nothing)
    else:
        _table(tuple(rows[0]), [[_plain(value) for value in row.values()] for row in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns by width, plain text: rich would double the time that a small command takes."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(head, *texts, strict=True)]
    for line in ([list(head)] if any(head) else []) + texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value == value.to_integral() else f"{value:.8f}".rstrip("0").rstrip(".")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_plain(v)}" for k, v in value.items() if v)
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def _json(value: object) -> None:
    print(json.dumps(value, default=_jsonable, indent=2))


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return str(value) if isinstance(value, Symbol) else _fields(value)
    return str(value)
