"""A run on the disk, for `trader report` and for anybody's notebook.

    RUN/result.json          the figures (BacktestResult): money and quantities as text, ratios as numbers
        equity.parquet       at, equity, cash, exposure (value held, signed), then `qty SYMBOL` for each symbol: one
                             row at the run's start and at each bar's close
        executions.parquet   at, symbol, side, qty, price, fee, fee_currency, order_id, client_order_id, purpose, id
        orders.parquet       submitted_at, updated_at, symbol, side, type, purpose, qty, filled_qty, filled_avg_price,
                             limit_price, stop_price, status, client_order_id, cycle_id, reason, id
        trades.parquet       opened_at, closed_at, symbol, side (of the entry), qty, entry_price, exit_price, fees, pnl
        forecasts.parquet    cycle_id, symbol, origin, step, time, level, open, high, low, close: those behind an entry
                             and, besides, one a day; `time` is the start of the bar that is forecast
        bars.parquet         symbol, at (start), open, high, low, close, volume: those of the run's time, and the
                             context before it

Times are UTC. Amounts are float64: for arithmetic to the last digit there is result.json, or the journal. A
file may have no rows: of a daemon's journal the bars are not known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecasters.types import Forecast
from trader.adapters.journal.records import IntentRecord, Trade
from trader.adapters.journal.trades import round_trips
from trader.core.decision import DecisionInputs, Plan
from trader.core.ids import purpose_of
from trader.core.market import COLUMNS, Bars, to_datetime
from trader.core.types import Execution, Order, Purpose, Symbol
from trader.errors import ConfigurationError
from trader.research.backtest.figures import RunHistory, grid_of
from trader.research.backtest.result import BacktestResult
from trader.research.backtest.worth import holdings

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = "result.json"
TABLES = ("equity", "executions", "orders", "trades", "forecasts", "bars")
MOST_FORECASTS = 10_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedForecast:
    """A forecast that is kept for the report."""

    cycle_id: str
    symbol: str
    forecast: Forecast


class ForecastSampler:
    """Keeps those behind an entry, and one a day of each symbol: give it to a run as its `on_plan`."""

    def __init__(self) -> None:
        self.seen: list[RecordedForecast] = []
        self._days: set[tuple[Symbol, int]] = set()

    def __call__(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        self.keep(cycle_id, inputs, {i.symbol for i in plan.intents if i.purpose is Purpose.ENTRY})

    def keep(self, cycle_id: str, inputs: DecisionInputs, entered: Collection[Symbol]) -> None:
        for symbol, forecast in inputs.forecasts.items():
            day = (symbol, inputs.now.toordinal())
            if (symbol in entered or day not in self._days) and len(self.seen) < MOST_FORECASTS:
                self._days.add(day)
                self.seen.append(
                    RecordedForecast(cycle_id=cycle_id, symbol=symbol.text, forecast=replace(forecast, paths=None))
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that a folder holds besides the result."""

    run: RunHistory
    orders: Sequence[Order]
    intents: Mapping[str, IntentRecord]
    forecasts: Sequence[RecordedForecast]


def save(folder: Path, result: BacktestResult, kept: RunRecord) -> None:
    """Make the folder, or take the place of the run in it. Raises ConfigurationError where it can't be written."""
    import pyarrow.parquet as pq

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables_of(kept).items():
            pq.write_table(table, folder / f"{name}.parquet")
        (folder / RESULT).write_text(result.as_json() + "\n")  # last: a folder with it is complete
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: {error.strerror or error}") from error


def load_result(folder: Path) -> BacktestResult:
    """Raises ConfigurationError where that is no run."""
    try:
        return BacktestResult.of_json((folder / RESULT).read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder} is no run of `trader backtest` ({error})") from error


def load_table(folder: Path, name: str) -> pa.Table | None:
    """One of TABLES; None where the run has none."""
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    return pq.read_table(path, partitioning=None) if path.is_file() else None


# ---- tables ----


def tables_of(record: RunRecord) -> dict[str, pa.Table]:
    """By the names in TABLES."""
    run = record.run
    rows: dict[str, Sequence[Row]] = {
        "executions": list(_executions(run.fills, record.orders)),
        "orders": [_order(order, record.intents.get(order.client_order_id)) for order in record.orders],
        "trades": [_trade(trade) for trade in round_trips(run.fills)],
        "forecasts": [row for decided in record.forecasts for row in _forecast(decided)],
    }
    tables = {name: _table(_COLUMNS[name], table_rows) for name, table_rows in rows.items()}
    tables["equity"] = _equity(run)
    tables["bars"] = _bars(run.bars)
    return tables


_TIME, _TEXT, _NUMBER, _COUNT = "time", "text", "number", "count"
_COLUMNS: dict[str, dict[str, str]] = {
    "executions": {
        "at": _TIME, "symbol": _TEXT, "side": _TEXT, "qty": _NUMBER, "price": _NUMBER, "fee": _NUMBER,
        "fee_currency": _TEXT, "order_id": _TEXT, "client_order_id": _TEXT, "purpose": _TEXT, "id": _TEXT,
    },
    "orders": {
        "submitted_at": _TIME, "updated_at": _TIME, "symbol": _TEXT, "side": _TEXT, "type": _TEXT, "purpose": _TEXT,
        "qty": _NUMBER, "filled_qty": _NUMBER, "filled_avg_price": _NUMBER, "limit_price": _NUMBER,
        "stop_price": _NUMBER, "status": _TEXT, "client_order_id": _TEXT, "cycle_id": _TEXT, "reason": _TEXT,
        "id": _TEXT,
    },
    "trades": {
        "opened_at": _TIME, "closed_at": _TIME, "symbol": _TEXT, "side": _TEXT, "qty": _NUMBER,
        "entry_price": _NUMBER, "exit_price": _NUMBER, "fees": _NUMBER, "pnl": _NUMBER,
    },
    "forecasts": {
        "cycle_id": _TEXT, "symbol": _TEXT, "origin": _TIME, "step": _COUNT, "time": _TIME, "level": _NUMBER,
        "open": _NUMBER, "high": _NUMBER, "low": _NUMBER, "close": _NUMBER,
    },
}  # fmt: skip


def _table(columns: Mapping[str, str], rows: Sequence[Row]) -> pa.Table:
    import pyarrow as pa

    kinds = {_TIME: pa.timestamp("us", "UTC"), _TEXT: pa.string(), _NUMBER: pa.float64(), _COUNT: pa.int64()}
    return pa.Table.from_pylist(list(rows), schema=pa.schema([(name, kinds[kind]) for name, kind in columns.items()]))


def _executions(fills: Sequence[Execution], orders: Sequence[Order]) -> Iterator[Row]:
    """A leg's fill goes by its parent's name and purpose."""
    parents = {each.id: order for order in orders for each in (order, *order.legs)}
    for fill in fills:
        order = parents.get(fill.order_id)
        purpose = None if order is None else purpose_of(order)
        yield {
            "at": fill.at,
            "symbol": fill.symbol.text,
            "side": fill.side.value,
            "qty": float(fill.qty),
            "price": float(fill.price),
            "fee": float(fill.fee),
            "fee_currency": fill.fee_currency,
            "order_id": fill.order_id,
            "client_order_id": "" if order is None else order.client_order_id,
            "purpose": purpose.value if purpose else "",
            "id": fill.id,
        }


def _order(order: Order, record: IntentRecord | None) -> Row:
    purpose = purpose_of(order)
    return {
        "submitted_at": order.submitted_at,
        "updated_at": order.updated_at,
        "symbol": order.symbol.text,
        "side": order.side.value,
        "type": order.type.value,
        "purpose": purpose.value if purpose else "",
        "qty": float(order.qty),
        "filled_qty": float(order.filled_qty),
        "filled_avg_price": _maybe(order.filled_avg_price),
        "limit_price": _maybe(order.limit_price),
        "stop_price": _maybe(order.stop_price),
        "status": order.status.value,
        "client_order_id": order.client_order_id,
        "cycle_id": record.cycle_id if record else "",
        "reason": (record.reason or record.intent.reason) if record else "",
        "id": order.id,
    }


def _trade(trade: Trade) -> Row:
    return {
        "opened_at": trade.opened_at,
        "closed_at": trade.closed_at,
        "symbol": trade.symbol.text,
        "side": trade.entry_order_side.value,
        "qty": float(trade.qty),
        "entry_price": float(trade.entry_price),
        "exit_price": float(trade.exit_price),
        "fees": float(trade.fees),
        "pnl": float(trade.pnl),
    }


def _forecast(seen: RecordedForecast) -> Iterator[Row]:
    forecast = seen.forecast
    for step, moment in enumerate(forecast.times):
        for number, level in enumerate(forecast.levels):
            o, h, low, c = (float(price) for price in forecast.quantiles[number, step])
            yield {
                "cycle_id": seen.cycle_id,
                "symbol": seen.symbol,
                "origin": forecast.asof,
                "step": step,
                "time": to_datetime(moment),
                "level": float(level),
                "open": o,
                "high": h,
                "low": low,
                "close": c,
            }


def _equity(run: RunHistory) -> pa.Table:
    import pyarrow as pa

    times, worth = grid_of(run.start, run.end, run.interval), run.worth
    columns: dict[str, Any] = {
        "at": pa.array(times).cast(pa.timestamp("us", "UTC")),
        "equity": worth.equity,
        "cash": worth.cash,
        "exposure": worth.equity - worth.cash,
    }
    for symbol in run.symbols:
        columns[f"qty {symbol}"] = holdings(times, symbol, run.fills)
    return pa.table(columns)


def _bars(series: Mapping[Symbol, Bars]) -> pa.Table:
    import pyarrow as pa

    def both(symbol: Symbol, bars: Bars) -> pa.Table:
        at = pa.array(bars.times).cast(pa.timestamp("us", "UTC"))
        columns: dict[str, Any] = {"symbol": [symbol.text] * len(bars), "at": at}
        names = COLUMNS[: COLUMNS.index("volume") + 1]
        return pa.table(columns | {name: bars.values[:, place] for place, name in enumerate(names)})

    empty = {"symbol": pa.string(), "at": pa.timestamp("us", "UTC"), **dict.fromkeys(COLUMNS[:5], pa.float64())}
    parts = [both(symbol, bars) for symbol, bars in series.items()]
    return pa.concat_tables(parts) if parts else pa.schema(list(empty.items())).empty_table()


def _maybe(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
