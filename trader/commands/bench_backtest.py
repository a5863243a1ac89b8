"""`trader bench backtest`: how fast bars are played, beside backtesting.py on the same bars with an equal strategy.

Both get the same levels, out of the same forecasts, made beforehand: enter at the predicted low, leave at the
predicted high or at the stop, anew at each bar. Ours plays four phases a bar with quotes, fees, partial fills, risk
limits, a journal and the daemon's own code; the peer looks at each bar once. The figure is their ratio, from runs that
take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

import click

from forecasters import registry
from forecasters.base import Forecaster
from forecasters.types import Context, Forecast
from settings import children
from settings.schema import Settings
from trader.core.decision import DecisionInputs, Plan
from trader.core.market import to_datetime
from trader.core.types import EntrySide, Symbol
from trader.daemon.parameters import rules_of
from trader.errors import ConfigurationError
from trader.research.backtest.simulate import Recording, Setup, market_options, opened, simulate
from trader.strategies.maxdiff import Params, chosen_band

PEER = "backtesting"
HOW_TO_GET_IT = "python3 -m venv PEER && PEER/bin/pip install backtesting, then --peer-python PEER/bin/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians over the rounds. `peer_` figures are None where backtesting.py is not there."""

    symbol: str
    bars: int
    rounds: int
    seconds: float  # of the whole run, forecasts at hand
    bars_per_second: float
    orders: int
    fills: int
    total_return: float
    peer_version: str | None
    peer_seconds: float | None
    peer_bars_per_second: float | None
    peer_trades: int | None
    peer_return: float | None
    ratio: float | None  # the peer's speed over ours


class AtHand:
    """A Forecaster that only looks up what another one said."""

    name = "at hand"

    def __init__(self) -> None:
        self.known: dict[datetime, Forecast] = {}

    def warm_up(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to release."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        found = ((context.symbol, self.known.get(to_datetime(context.times[-1]))) for context in contexts)
        return {symbol: forecast for symbol, forecast in found if forecast is not None}


def measure(settings: Settings, end: datetime | None, rounds: int, peer_python: str) -> Row:
    """Of the first symbol. Raises ConfigurationError."""
    symbol = Symbol(settings.trading.symbols[0])
    settings = settings.model_copy(update={"trading": settings.trading.model_copy(update={"symbols": (symbol.text,)})})
    setup = Setup(settings=settings, market=market_options(settings), end=end)
    forecasts = _forecasts(setup, symbol)
    with tempfile.TemporaryDirectory(prefix="trader-bench-") as folder:
        levels = Path(folder) / "levels.csv"
        bars = _write_levels(levels, setup, symbol, forecasts)
        own_runs: list[tuple[float, Recording]] = []
        peer_runs: list[Mapping[str, float | str]] = []
        for _ in range(rounds):
            start = time.perf_counter()
            recording = simulate(setup, forecasts)
            own_runs.append((time.perf_counter() - start, recording))
            with suppress(ModuleNotFoundError):
                peer_runs.append(_peer(peer_python, levels))
    return _row(symbol, bars, own_runs, peer_runs)


def _row(
    symbol: Symbol,
    bars: int,
    own_runs: Sequence[tuple[float, Recording]],
    peer_runs: Sequence[Mapping[str, float | str]],
) -> Row:
    seconds = median(duration for duration, _ in own_runs)
    run = own_runs[-1][1]
    peer_seconds = median(float(figures["seconds"]) for figures in peer_runs) if peer_runs else None
    last_peer_run = peer_runs[-1] if peer_runs else None
    return Row(
        symbol=symbol.text,
        bars=bars,
        rounds=len(own_runs),
        seconds=seconds,
        bars_per_second=bars / seconds,
        orders=len(run.journal.orders),
        fills=len(run.journal.fills),
        total_return=float(run.venue.figures().equity / run.journal.points[0].equity - 1),
        peer_version=None if last_peer_run is None else str(last_peer_run["version"]),
        peer_seconds=peer_seconds,
        peer_bars_per_second=None if peer_seconds is None else bars / peer_seconds,
        peer_trades=None if last_peer_run is None else int(last_peer_run["trades"]),
        peer_return=None if last_peer_run is None else float(last_peer_run["return"]),
        ratio=None if peer_seconds is None else seconds / peer_seconds,
    )


def _forecasts(setup: Setup, symbol: Symbol) -> AtHand:
    """By one run with the baseline, so that exactly what is asked for is known."""
    at_hand = AtHand()
    inner: Forecaster = registry.build("baseline", {})

    def keep(cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        forecast = inputs.forecasts.get(symbol)
        if forecast is not None:
            at_hand.known[forecast.asof - inputs.timeframe.duration] = forecast

    simulate(Setup(settings=setup.settings, market=setup.market, end=setup.end, ahead=128), inner, on_plan=keep)
    return at_hand


def _write_levels(path: Path, setup: Setup, symbol: Symbol, forecasts: AtHand) -> int:
    """The bars of the run with the levels that were known at each one's close. Returns how many."""
    market = opened(setup.market)
    series, params = market.series(symbol), Params()
    if series is None or market.end is None:
        raise ConfigurationError(f"no bars of {symbol}: give --data {symbol}=FILE")
    instrument, timeframe = market.instruments[symbol], rules_of(setup.settings).timeframe
    rows = market.bars(symbol, timeframe, start=market.start, end=setup.end or market.end, limit=10**9)
    with path.open("w", newline="") as sink:
        out = csv.writer(sink)
        out.writerow(["time", "Open", "High", "Low", "Close", "Volume", "entry", "target", "stop"])
        for row in rows:
            levels: tuple[float | str, ...] = ("", "", "")
            forecast = forecasts.known.get(row.start)
            chosen = None if forecast is None else chosen_band(forecast, instrument, params)
            if chosen is not None and chosen.side is EntrySide.LONG:
                levels = (chosen.entry, chosen.target, chosen.stop)
            prices = (row.open, row.high, row.low, row.close, row.volume)
            out.writerow([row.start.isoformat(), *prices, *levels])
    return len(rows)


def _peer(python: str, levels: Path) -> Mapping[str, float | str]:
    """One run of the peer, in its own process. ModuleNotFoundError where it is not there."""
    process = children.run([python, "-c", _PEER, str(levels)])  # a Python of its own, perhaps older than -P
    if "No module named" in process.stderr:
        raise ModuleNotFoundError(process.stderr.strip().splitlines()[-1])
    if process.returncode:
        raise ConfigurationError(f"{PEER} failed: {process.stderr.strip().splitlines()[-1]}")
    figures: Mapping[str, float | str] = json.loads(process.stdout.strip().splitlines()[-1])
    return figures


def show(row: Row, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(row), indent=2))
        return
    click.echo(f"{row.symbol}: {row.bars} bars, median of {row.rounds} rounds, forecasts at hand")
    click.echo(
        f"  trader          {row.bars_per_second:>10.0f} bars/s  {row.orders} orders, {row.fills} fills, "
        f"{row.total_return:+.2%}"
    )
    if row.ratio is None or row.peer_bars_per_second is None:
        click.echo(f"  {PEER}.py is not there: {HOW_TO_GET_IT}")
        return
    click.echo(
        f"  {PEER}.py  {row.peer_bars_per_second:>10.0f} bars/s  {row.peer_trades} trades, {row.peer_return:+.2%} "
        f"({row.peer_version})"
    )
    click.echo(f"  ratio: it is {row.ratio:.1f} times as fast")


@click.command("backtest")
@click.option("--data", metavar="SYM=FILE", required=True, help="A file with the bars of one symbol.")
@click.option("--from", "start", metavar="TIME", help="The start (default: as early as possible).")
@click.option("--to", "end", metavar="TIME", help="The end (default: the end of the data).")
@click.option(
    "--rounds",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many rounds of each. They take turns.",
)
@click.option("--peer-python", default=sys.executable, help="A Python that has the package backtesting.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench_backtest(data: str, start: str | None, end: str | None, rounds: int, peer_python: str, as_json: bool) -> None:
    """Measure the backtest in bars a second with forecasts at hand, beside backtesting.py on the same bars."""
    from trader.commands.backtest import span
    from trader.commands.options import settings_of
    from trader.research.backtest.sources import settled

    first, until = span(start, end)
    flags: dict[str, object] = {
        "trading_mode": "sim",
        "strategy": "maxdiff",
        "sim__bars": (data,),
        "sim__start": None if first is None else first.isoformat(),
    }
    settings = settled(settings_of(flags), generated=False)
    show(measure(settings, until, rounds, peer_python), as_json)


FEE = Decimal("0.0015")  # the maker's, as ours pays for most of its fills
_PEER = f"""
import json, sys, time, warnings
warnings.simplefilter("ignore")
import backtesting, pandas as pd
from backtesting import Backtest, Strategy

class Levels(Strategy):
    def init(self):
        pass

    def next(self):
        for order in self.orders:
            if not order.is_contingent:
                order.cancel()
        entry, target, stop = self.data.entry[-1], self.data.target[-1], self.data.stop[-1]
        if entry != entry:
            return
        close = self.data.Close[-1]
        if self.position:
            for trade in self.trades:
                trade.sl = max(trade.sl or stop, stop) if stop < close else trade.sl
                trade.tp = target
        elif stop < entry < target:
            self.buy(size=0.1, limit=min(entry, close), sl=stop, tp=target)

bars = pd.read_csv(sys.argv[1], index_col=0, parse_dates=True)
test = Backtest(bars, Levels, cash=10_000_000, commission={FEE}, exclusive_orders=False)
started = time.perf_counter()
stats = test.run()
seconds = time.perf_counter() - started
print(json.dumps({{"seconds": seconds, "version": backtesting.__version__, "trades": len(stats._trades),
                  "return": stats["Return [%]"] / 100}}))
"""
