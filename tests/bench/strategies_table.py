"""Every strategy on every series that fits, after all costs, as one table: good or bad.

    .venv/bin/python -m tests.bench.strategies_table [--data FOLDER] [--out RUNS.jsonl] [--jobs 2] [--only NAME]
        [--ways NAME,NAME] [--timeframe 1Day]

Each market is run with `baseline` and the strategies' defaults, pessimistic within a bar; nothing is fitted. Runs that
are in --out already are not made again, so that it can be cut off and go on. Where a strategy asked for nothing, the
other sizing is not run: it would size nothing too. A market's forecasts are made once for all strategies. One row by
hand, of the same figures: `trader backtest --data SYM=FILE --from .. --to .. --backend baseline --strategy ..`.
The strategies that hold a share of equity may hold all of it, stay in stocks overnight, and are not ended by a loss:
see WHOLE.

What does not fit: hours stamped on the half hour (the venue's are on the hour).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forecasters import registry
from forecasters.base import Forecaster
from forecasters.types import Context, Forecast, renamed

ROOT = Path(__file__).parents[2]
YEAR, LAST = "2024-03-01", "2025-03-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One market. `start` empty: as early as its context allows."""

    symbol: str
    file: str
    timeframe: str
    start: str = ""
    end: str = ""

    @property
    def span(self) -> str:
        """What tells the spans of one file apart."""
        return f"{self.start}:{self.end}"

    def has(self, row: Mapping[str, Any]) -> bool:
        return bool(row["file"] == self.file and row["span"] == self.span)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One strategy with its sizing."""

    name: str
    strategy: str
    params: tuple[tuple[str, str], ...] = ()
    sizing: str = "fixed"
    flags: tuple[tuple[str, str], ...] = ()  # settings besides those of every run


CASES = (
    Case(symbol="BTC/USD", file="BTCUSDT__binance-spot__1h", timeframe="1Hour", start=YEAR, end=LAST),
    Case(symbol="ETH/USD", file="ETHUSDT__binance-spot__1h", timeframe="1Hour", start=YEAR, end=LAST),
    Case(symbol="BNB/USD", file="BNBUSDT__binance-spot__1h", timeframe="1Hour", start=YEAR, end=LAST),
    Case(symbol="BTC/USD", file="BTCUSD__bitstamp-cdd__1h", timeframe="1Hour"),
    Case(
        symbol="BTC/USD", file="BTCUSDT__binance-spot-2023__5m", timeframe="5Min", start="2023-01-03", end="2023-02-01"
    ),
    Case(
        symbol="ETH/USD", file="ETHUSDT__binance-spot-2023__5m", timeframe="5Min", start="2023-01-03", end="2023-02-01"
    ),
    Case(symbol="BTC/USD", file="BTCUSDT__binance-spot__1d", timeframe="1Day"),
    Case(symbol="BTC/USD", file="BTCUSD__coinbase__1d", timeframe="1Day"),
    Case(symbol="ETH/USD", file="ETHUSDT__binance-spot__1d", timeframe="1Day"),
    Case(symbol="AAPL", file="AAPL__lean-rth__1h", timeframe="1Hour", end="2017-01-01"),
    Case(symbol="AAPL", file="AAPL__lean-rth__1h", timeframe="1Hour", start="2017-01-01"),
    Case(symbol="IBM", file="IBM__lean-rth__1h", timeframe="1Hour", end="2017-01-01"),
    Case(symbol="IBM", file="IBM__lean-rth__1h", timeframe="1Hour", start="2017-01-01"),
    Case(symbol="SPY", file="SPY__lean-rth__1h", timeframe="1Hour", end="2017-01-01"),
    Case(symbol="SPY", file="SPY__lean-rth__1h", timeframe="1Hour", start="2017-01-01"),
    *(Case(symbol=name, file=f"{name}__lean__1d", timeframe="1Day") for name in ("SPY", "AAPL", "IWM", "QQQ")),
    *(
        Case(symbol=name, file=f"{name}__yahoo__1d", timeframe="1Day")
        for name in ("BIDU", "CVNA", "DKNG", "IBKR", "JD", "KGC", "MSTR", "WPM")
    ),
    Case(symbol="AAPL", file="AAPL__yahoo-rth__5m", timeframe="5Min"),
    Case(symbol="MSFT", file="MSFT__yahoo-rth__5m", timeframe="5Min"),
    Case(symbol="QQQ", file="QQQ__yahoo-rth__5m", timeframe="5Min"),
    Case(symbol="SPY", file="SPY__yahoo-rth__5m", timeframe="5Min"),
)
EXPECTED = (("mode", "expected"),)
WHOLE = (
    ("risk__max_symbol", "1"),
    ("risk__max_gross", "1"),
    ("risk__max_net", "1"),
    ("risk__max_order_notional", "10000000"),
    ("risk__max_daily_loss", "0.9"),
    ("risk__max_drawdown", "0.95"),
    ("exits__stocks_overnight", "true"),
)
WAYS = (
    Way(name="maxdiff", strategy="maxdiff"),
    Way(name="maxdiff, Kelly", strategy="maxdiff", sizing="kelly"),
    Way(name="maxdiff expected", strategy="maxdiff", params=EXPECTED),
    Way(name="maxdiff expected, Kelly", strategy="maxdiff", params=EXPECTED, sizing="kelly"),
    Way(name="edge", strategy="edge"),
    Way(name="edge, Kelly", strategy="edge", sizing="kelly"),
    Way(name="voltarget", strategy="voltarget", flags=WHOLE),
    Way(name="trend", strategy="trend", flags=WHOLE),
)


def run_case(job: tuple[Case, Path, Path, Sequence[Way]]) -> None:
    """These ways of one market but those done already; a line of `out` each."""
    case, folder, out, ways = job
    rows = kept(out, case)
    forecaster = Remembering()
    for way in ways:
        if way.name in {row["way"] for row in rows}:
            continue
        fixed = next((row for row in rows if row["way"] == way.name.removesuffix(", Kelly")), None)
        nothing = fixed is not None and fixed["asked"] == 0
        rows.append(
            {**fixed, "way": way.name} if fixed is not None and nothing else run_one(case, way, folder, forecaster)
        )
        with out.open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
        told = f"{rows[-1]['return']:+.2%}, {rows[-1]['wall_s']:.0f} s"
        print(f"{case.symbol} {case.timeframe} {way.name}: {told}", flush=True)


def kept(out: Path, case: Case | None = None) -> list[dict[str, Any]]:
    """The rows that are there, of one market or of all."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.is_file() else []
    return [row for row in rows if case is None or case.has(row)]


class Remembering:
    """The baseline, asked once for what every strategy wants to know. Its options are those of no strategy."""

    name = "baseline"

    def __init__(self) -> None:
        self._inner: Forecaster | None = None
        self._known: dict[tuple[str, datetime], Forecast] = {}

    def warm_up(self) -> None: ...

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        if self._inner is None:
            self._inner = registry.build("baseline", {})
        unknown = [each for each in contexts if (each.series, each.asof) not in self._known]
        found = self._inner.forecast(unknown) if unknown else {}
        for each in unknown:
            if each.symbol in found:
                self._known[each.series, each.asof] = found[each.symbol]
        known = {each.symbol: self._known.get((each.series, each.asof)) for each in contexts}
        return {symbol: renamed(forecast, symbol) for symbol, forecast in known.items() if forecast is not None}

    def close(self) -> None: ...


def run_one(case: Case, way: Way, folder: Path, forecaster: Remembering) -> dict[str, Any]:
    from settings.load import load
    from trader.daemon.simulation import replayed
    from trader.research.backtest.backtest import Request, run_backtest
    from trader.research.backtest.walkforward import with_params
    from trader.strategies import names

    flags = {
        "trading_mode": "sim",
        "symbols": case.symbol,
        "timeframe": case.timeframe,
        "forecaster": "baseline",
        "strategy": way.strategy,
        "sizing__rule": way.sizing,
        "sim__bars": (f"{case.symbol}={folder / (case.file + '.parquet')}",),
        "sim__start": f"{case.start}T00:00:00+00:00" if case.start else None,
        **dict(way.flags),
    }
    settings = with_params(
        replayed(load(flags, strategies=names(), environ={}, folder=ROOT / "tests")), dict(way.params)
    )
    end = datetime.fromisoformat(case.end).replace(tzinfo=UTC) if case.end else None
    started = time.perf_counter()
    result = run_backtest(Request(settings=settings, end=end, bounds=False), forecaster).result
    figures, hold = result.figures, result.figures.buy_and_hold
    interval = figures.account.sharpe_interval
    return {
        "symbol": case.symbol, "file": case.file, "timeframe": case.timeframe, "span": case.span,
        "way": way.name,
        "start": result.start.isoformat(), "end": result.end.isoformat(), "cycles": result.cycles,
        "return": figures.account.total_return, "drawdown": figures.account.max_drawdown,
        "sharpe": figures.account.sharpe, "low": interval.low if interval else None,
        "high": interval.high if interval else None, "hold": hold.total_return if hold else None,
        "hold_drawdown": hold.max_drawdown if hold else None, "hold_sharpe": hold.sharpe if hold else None,
        "turnover": figures.turnover,
        "trades": figures.trades, "won": figures.won, "fees": float(figures.fees), "orders": figures.orders,
        "asked": figures.orders + sum(result.denials.values()), "denials": dict(result.denials),
        "problems": list(result.problems), "wall_s": time.perf_counter() - started,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, one block a market."""
    yield "| market | strategy | return | Sharpe (95%) | drawdown | turnover | trades |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for case in CASES:
        own = [row for way in WAYS for row in rows if case.has(row) and row["way"] == way.name]
        for row in own:
            span = f"{row['start'][:10]} to {row['end'][:10]}"
            if row is own[0]:
                market = f"{row['symbol']} {row['timeframe']}, {span}"
                ratio, fall = _number(row["hold_sharpe"]), row["hold_drawdown"]
                yield f"| {market} | holding, no costs | {row['hold']:+.1%} | {ratio} | {fall:.1%} | | |"
            interval = f"{_number(row['sharpe'])} ({_number(row['low'])} to {_number(row['high'])})"
            sharpe = "-" if row["sharpe"] is None else interval
            yield (
                f"| | {row['way']} | {row['return']:+.2%} | {sharpe} | {row['drawdown']:.2%} "
                f"| {row['turnover']:.1f}x | {row['trades']} |"
            )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/bars")
    parser.add_argument("--out", type=Path, default=Path("strategies_table.jsonl"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="a symbol or a file's name")
    parser.add_argument("--ways", default="", help="names of strategies with their sizing; all where none is given")
    parser.add_argument("--timeframe", default="", help="of the markets; all where none is given")
    given = parser.parse_args()
    ways = [way for way in WAYS if not given.ways or way.name in given.ways.split(",")]
    jobs = [
        (case, given.data, given.out, ways)
        for case in CASES
        if given.only in ("", case.symbol, case.file)
        and given.timeframe in ("", case.timeframe)
        and _is_there(case, given.data)
    ]
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for _ in pool.imap_unordered(run_case, sorted(jobs, key=lambda job: _weight(job[0]))):
            pass
    rows = kept(given.out)
    print("\n".join(table(rows)))
    unsound: Mapping[str, list[str]] = {
        f"{row['file']} {row['way']}": row["problems"] for row in rows if row["problems"]
    }
    print("\nbooks sound in all runs" if not unsound else f"\nbooks do not add up: {unsound}")


def _weight(case: Case) -> int:
    """The short ones first: a table that is cut off has most of its markets."""
    return {"1Day": 0, "5Min": 1, "1Hour": 2}[case.timeframe] + (1 if "/" in case.symbol and case.start else 0)


def _is_there(case: Case, folder: Path) -> bool:
    there = (folder / f"{case.file}.parquet").is_file()
    if not there:
        print(f"left out: {case.file} is not in {folder}")
    return there


if __name__ == "__main__":
    main()
