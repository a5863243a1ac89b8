"""A run to report on, out of a backtest's folder or a daemon's journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, Forecast
from trader.adapters.journal import Journal
from trader.adapters.journal.records import Correction, Trade
from trader.adapters.journal.trades import round_trips
from trader.core.ids import purpose_of
from trader.core.market import AMOUNT, COLUMNS, VOLUME, Bars, to_datetime64
from trader.core.names import shown_strategy
from trader.core.protect import stop_of
from trader.core.types import Execution, Order, OrderSide, Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.research.backtest.figures import Figures, RunHistory, figures_of, grid_of
from trader.research.backtest.result import BacktestResult
from trader.research.backtest.run_folder import load_result, load_table
from trader.research.backtest.worth import Worth, worth_at
from trader.research.report.run import Fan, Resting, Run

Row = Mapping[str, Any]
OPENING = ("opening", "adopted")  # kinds of corrections
MOST_CYCLES = 20_000  # of a journal: the newest


# ---- a backtest's folder ----


def run_of_folder(folder: Path) -> Run:
    """Raises ConfigurationError where that is no run."""
    result = load_result(folder)
    try:
        return _run(folder, result)
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{folder}: a table of this run can't be read ({error})") from error


def _run(folder: Path, result: BacktestResult) -> Run:
    timeframe = Timeframe.parse(result.timeframe)
    history = RunHistory(
        symbols=tuple(Symbol(text) for text in result.symbols),
        start=result.start,
        end=result.end,
        interval=timeframe.duration,
        worth=_worth(folder),
        fills=[_execution(row) for row in _rows(folder, "executions")],
        orders=result.figures.orders,
        bars=_bars(folder, timeframe),
    )
    return Run(
        title=f"{shown_strategy(result.strategy)} on {_list(result.symbols)}",
        history=history,
        figures=result.figures,
        trades=[_trade(row) for row in _rows(folder, "trades")],
        facts=_facts(result),
        fans=_fans(folder),
        exits=_exits(_rows(folder, "orders")),
        notes=_notes(result),
        warnings=_warnings(result),
        beside=_beside(result),
    )


def _worth(folder: Path) -> Worth:
    table = load_table(folder, "equity")
    if table is None:
        raise ValueError("there is no equity.parquet")
    return Worth.of(table.column("equity").to_numpy(), table.column("cash").to_numpy())


def _rows(folder: Path, name: str) -> Sequence[Row]:
    table = load_table(folder, name)
    return [] if table is None else list(table.to_pylist())


def _execution(row: Row) -> Execution:
    return Execution(
        id=row["id"],
        order_id=row["order_id"],
        symbol=Symbol(row["symbol"]),
        side=OrderSide(row["side"]),
        qty=_exact(row["qty"]),
        price=_exact(row["price"]),
        at=row["at"],
        fee=_exact(row["fee"]),
        fee_currency=row["fee_currency"],
    )


def _trade(row: Row) -> Trade:
    return Trade(
        symbol=Symbol(row["symbol"]),
        entry_order_side=OrderSide(row["side"]),
        qty=_exact(row["qty"]),
        entry_price=_exact(row["entry_price"]),
        exit_price=_exact(row["exit_price"]),
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        fees=_exact(row["fees"]),
        pnl=_exact(row["pnl"]),
    )


def _bars(folder: Path, timeframe: Timeframe) -> dict[Symbol, Bars]:
    table = load_table(folder, "bars")
    if table is None or table.num_rows == 0:
        return {}
    names = np.array(table.column("symbol").to_pylist())
    times = table.column("at").to_numpy().astype("datetime64[us]")
    values = np.zeros((len(times), len(COLUMNS)))
    for place, name in enumerate(COLUMNS[: VOLUME + 1]):
        values[:, place] = table.column(name).to_numpy()
    values[:, AMOUNT] = values[:, VOLUME] * values[:, CLOSE]
    return {
        Symbol(name): Bars(symbol=Symbol(name), timeframe=timeframe, times=times[own], values=values[own])
        for name in dict.fromkeys(names.tolist())
        if (own := names == name).any()
    }


def _fans(folder: Path) -> dict[Symbol, list[Fan]]:
    """Of each forecast the closes. ValueError where a forecast is not whole."""
    table = load_table(folder, "forecasts")
    if table is None or table.num_rows == 0:
        return {}
    symbols, names = _coded(table.column("symbol"))
    group = _coded(table.column("cycle_id"))[0] * len(names) + symbols
    step, level, close = (table.column(name).to_numpy() for name in ("step", "level", "close"))
    times, origin = (table.column(name).to_numpy().astype("datetime64[us]") for name in ("time", "origin"))
    order = np.lexsort((step, level, group))
    found = dict[Symbol, list[Fan]]()
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        levels = np.unique(level[rows])
        table_of = rows.reshape(len(levels), -1)  # [Q, H]
        fan = Fan(asof=origin[rows[0]], times=times[table_of[0]], levels=levels, closes=close[table_of])
        found.setdefault(Symbol(names[symbols[rows[0]]]), []).append(fan)
    return {symbol: sorted(fans, key=lambda fan: fan.asof) for symbol, fans in found.items()}


def _exits(orders: Sequence[Row]) -> dict[Symbol, list[Resting]]:
    """Out of orders as rows: a target's limit, a stop's stop, and both of a pair that protects together."""
    found = dict[Symbol, list[Resting]]()
    for row in orders:
        levels = (("limit_price", True, ("target", "protect")), ("stop_price", False, ("stop", "protect")))
        for name, is_target, purposes in levels:
            if row["purpose"] in purposes and row[name] is not None:
                start, end = row["submitted_at"], row["updated_at"]
                resting = Resting(start=start, end=end, price=float(row[name]), is_target=is_target)
                found.setdefault(Symbol(row["symbol"]), []).append(resting)
    return found


def _coded(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """(codes [N], the texts that they stand for)."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _beside(result: BacktestResult) -> list[tuple[str, Figures]]:
    found = [("Optimistic bound", result.optimistic)] if result.optimistic is not None else []
    if result.finer is not None:
        span = f"{result.finer.start:%Y-%m-%d} to {result.finer.end:%Y-%m-%d}"
        found.append((f"On {result.finer.timeframe} bars, {span}", result.finer.figures))
    return found


def _facts(result: BacktestResult) -> list[tuple[str, str]]:
    params = ", ".join(f"{name}={text}" for name, text in result.params.items()) or "the defaults"
    facts = [
        ("Span", f"{result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}"),
        ("Bars", result.timeframe),
        ("Forecaster", result.backend),
        ("Strategy", result.strategy),
        ("Symbols", _list(result.symbols)),
        ("Cycles", f"{result.cycles:,}"),
        ("Parameters", params),
        ("Context, horizon", f"{result.context}, {result.horizon} bars"),
    ]
    if result.trained:
        facts.append(("Training data", result.trained))
    if result.again is not None:
        facts.append(("Asked again", result.again.told.removeprefix("asked again: ")))
    if result.spread_bps:
        facts.append(("Modelled spread", f"{result.spread_bps} bps, where there are no quotes"))
    if result.denials:
        said = ", ".join(f"{rule} {count:,}" for rule, count in list(result.denials.items())[:8])
        facts.append(("Entries denied or shrunk", said))
    facts += [
        (f"Data, {file.symbol} ({file.kind})", f"{Path(file.path).name}, {file.content[:12]}") for file in result.data
    ]
    return facts


def _warnings(result: BacktestResult) -> list[str]:
    """What one must know before the curves can be read."""
    warnings = list[str]()
    if result.denials.get("drawdown"):
        warnings.append(
            f"The risk layer's limit on the drawdown refused {result.denials['drawdown']:,} entries: once it was "
            "reached nothing new was bought."
        )
    if result.in_sample:
        warnings.insert(0, f"{result.trained}. No figure here is evidence.")
    if result.halted:
        warnings.append(f"The run was halted: {result.halted}.")
    if result.problems:
        warnings.append("The books do not add up, so these figures mean nothing: " + "; ".join(result.problems))
    return warnings


def _notes(result: BacktestResult) -> list[str]:
    return [
        f"Fitted on {each.fitted_from:%Y-%m-%d} to {each.fitted_to:%Y-%m-%d}, used until {each.used_to:%Y-%m-%d}: "
        + (", ".join(f"{name}={text}" for name, text in each.params.items()) or "the defaults")
        for each in result.windows
    ]


# ---- a daemon's journal ----


def run_of_journal(journal: Journal, mode: str, fallback: Timeframe) -> Run:
    """What the daemon did so far. Its journal keeps closes, not bars. Raises ConfigurationError where it is empty.

    fallback  the bars' length where the journal does not say
    """
    points, status = journal.equity_points(), journal.status()
    if not points:
        raise ConfigurationError("no equity was ever recorded here: run `trader run` first")
    timeframe = Timeframe.parse(str(status.get("timeframe") or fallback))
    bars, fans = _decisions(journal, timeframe)
    start = points[0].at
    end = max(points[-1].at, _moment(status.get("market_time"), start))
    fills, orders = journal.executions(), journal.orders(limit=1_000_000)
    corrections = _corrections(journal, timeframe.floor(start))
    times = grid_of(timeframe.floor(start), end, timeframe.duration)
    symbols = tuple(sorted({*bars, *(fill.symbol for fill in fills)}))
    history = RunHistory(
        symbols=symbols,
        start=timeframe.floor(start),
        end=end,
        interval=timeframe.duration,
        worth=worth_at(times, fills, corrections, bars, timeframe.duration),
        fills=fills,
        orders=len(orders),
        bars=bars,
    )
    strategy = str(status.get("strategy") or "strategy")
    names = [symbol.text for symbol in symbols]
    return Run(
        title=f"{shown_strategy(strategy)} on {_list(names)}, {mode}",
        history=history,
        figures=figures_of(history),
        trades=round_trips(fills),
        facts=[
            ("Span", f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"),
            ("Bars", str(timeframe)),
            ("Forecaster", str(status.get("backend") or "-")),
            ("Mode", mode),
            ("Symbols", _list(names)),
        ],
        fans=fans,
        exits=_exits([_row(order) for order in orders]),
        notes=["From the daemon's journal, which keeps the close of each bar and not its high and low."],
        closes_only=True,
    )


def _corrections(journal: Journal, first: datetime) -> list[Correction]:
    """What the books were opened with counts from the start."""
    found = journal.corrections(limit=None)
    return [replace(each, at=first) if each.kind in OPENING else each for each in found]


def _row(order: Order) -> Row:
    """An order as `orders.parquet` has it, as far as its levels go."""
    purpose = purpose_of(order)
    return {
        "symbol": order.symbol.text,
        "purpose": purpose.value if purpose else "",
        "submitted_at": order.submitted_at,
        "updated_at": order.updated_at,
        "limit_price": order.limit_price,
        "stop_price": stop_of(order),
    }


def _decisions(journal: Journal, timeframe: Timeframe) -> tuple[dict[Symbol, Bars], dict[Symbol, list[Fan]]]:
    """The closes that the decisions saw, as bars of one price, and the forecasts."""
    closes = dict[Symbol, dict[np.datetime64, float]]()
    fans = dict[Symbol, list[Fan]]()
    for name in journal.plan_cycles()[-MOST_CYCLES:]:
        for symbol, forecast in journal.forecasts(name).items():
            fan = fan_of(forecast)
            closes.setdefault(symbol, {})[fan.asof] = forecast.last_close
            fans.setdefault(symbol, []).append(fan)
    step = np.timedelta64(timeframe.duration // timedelta(microseconds=1), "us")
    bars = dict[Symbol, Bars]()
    for symbol, by_time in closes.items():
        asof = sorted(by_time)
        times: NDArray[np.datetime64] = np.array([at - step for at in asof], dtype="datetime64[us]")
        values = np.zeros((len(times), len(COLUMNS)))
        values[:, :VOLUME] = np.array([by_time[at] for at in asof])[:, None]
        bars[symbol] = Bars(symbol=symbol, timeframe=timeframe, times=times, values=values)
    return bars, fans


def fan_of(forecast: Forecast) -> Fan:
    return Fan(
        asof=to_datetime64(forecast.asof),
        times=forecast.times,
        levels=forecast.levels,
        closes=forecast.quantiles[:, :, CLOSE],
    )


def _moment(text: object, default: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return default
    return moment if moment.tzinfo is not None else default


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _list(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
