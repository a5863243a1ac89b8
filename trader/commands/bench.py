"""`trader bench cycle`: what a cycle costs outside inference, beside a bare alpaca-py script that does the same calls.

The real daemon runs as a subprocess against its own exchange at full speed; the figures come from its journal and
from /proc. The peer runs in the same minute against an exchange of the same kind.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from settings import children
from trader.adapters.journal import Journal
from trader.daemon.exchange_process import ExchangeChild

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.2
PEER_ROUNDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleFigures:
    """Milliseconds, medians and 99th percentiles over the cycles; `cpu_ms` is the trading process's, a cycle."""

    symbols: int
    cycles: int
    orders: int
    quote_to_post_p50: float | None
    quote_to_post_p99: float | None
    bars_to_plan_p50: float
    bars_to_plan_p99: float
    cycle_p50: float
    cycle_p99: float
    forecast_p50: float
    cycles_per_second: float
    cpu_ms: float
    rss_mb: float
    peer_p50: float
    ratio_to_peer: float  # our median cycle, without the forecast, over the bare script's


def bench_cycle(counts: Sequence[int], cycles: int, as_json: bool) -> None:
    """Print one row for each number of symbols."""
    rows = [measure(count, cycles) for count in counts]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in asdict(rows[0]):
        print(f"{name:<20}" + "".join(f"{_cell(getattr(row, name)):>12}" for row in rows))


def _cell(figure: float | int | None) -> str:
    return "-" if figure is None else f"{figure:.2f}" if isinstance(figure, float) else str(figure)


def measure(symbols: int, cycles: int) -> CycleFigures:
    """Run the daemon and the peer once. Raises CalledProcessError where the daemon fails."""
    names = ",".join(["BTC/USD", "ETH/USD", *(f"C{i:03d}/USD" for i in range(symbols))][:symbols])
    with tempfile.TemporaryDirectory(prefix="trader-bench-") as folder:
        peer = _peer(names)
        start = time.monotonic()
        cpu_s, rss_mb = _run_daemon(names, cycles, Path(folder))
        seconds = time.monotonic() - start
        with Journal.open(f"sqlite:///{folder}/journal-sim.db", create=False) as journal:
            records = [c for c in journal.cycles(10**6) if c.kind == "trade" and c.timings]
            orders = len(journal.orders(10**6))
    timings = [record.timings for record in records[: -max(1, len(records) // 10)]]  # newest first: drop the warm-up
    posts = [t["quote_to_post"] for t in timings if "quote_to_post" in t]
    whole = [t["cycle"] for t in timings]
    without = percentile([t["cycle"] - t["forecast"] for t in timings if "forecast" in t], 50)
    return CycleFigures(
        symbols=symbols,
        cycles=len(records),
        orders=orders,
        quote_to_post_p50=_ms(posts, 50),
        quote_to_post_p99=_ms(posts, 99),
        bars_to_plan_p50=1e3 * percentile([t["bars_to_plan"] for t in timings if "bars_to_plan" in t], 50),
        bars_to_plan_p99=1e3 * percentile([t["bars_to_plan"] for t in timings if "bars_to_plan" in t], 99),
        cycle_p50=1e3 * percentile(whole, 50),
        cycle_p99=1e3 * percentile(whole, 99),
        forecast_p50=1e3 * percentile([t["forecast"] for t in timings if "forecast" in t], 50),
        cycles_per_second=len(records) / seconds,
        cpu_ms=1e3 * cpu_s / len(records),
        rss_mb=rss_mb,
        peer_p50=1e3 * peer,
        ratio_to_peer=without / peer,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))]


def _ms(values: Sequence[float], share: float) -> float | None:
    return 1e3 * percentile(values, share) if values else None


def _run_daemon(symbols: str, cycles: int, folder: Path) -> tuple[float, float]:
    """CPU seconds and peak MB of the trading process alone, without its exchange and worker."""
    command = children.python("trader", "run", "--mode", "sim", "--speed", "max", "--plain", "--fresh")
    command += ["--cycles", str(cycles), "--symbols", symbols, "--state-dir", str(folder)]
    log = folder / "log"
    with log.open("w") as sink, children.start(command, stdout=sink, stderr=sink) as process:
        cpu_s = rss_mb = 0.0
        while process.poll() is None:
            time.sleep(SAMPLE_S)
            cpu_s, rss_mb = _usage(process.pid, cpu_s, rss_mb)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, log.read_text()[-2000:])
    return cpu_s, rss_mb


def _usage(pid: int, cpu_s: float, rss_mb: float) -> tuple[float, float]:
    """The newest CPU time and the highest resident size; the last ones known where the process has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return cpu_s, rss_mb
    spent = (int(fields[11]) + int(fields[12])) / TICKS
    return max(cpu_s, spent), max(rss_mb, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def _peer(symbols: str) -> float:
    """Median seconds of the shortest script that trades: account, positions, orders, bars, quotes, order, cancel."""
    arguments = [part for symbol in symbols.split(",") for part in ("--symbol", symbol)]
    with ExchangeChild([*arguments, "--speed", "max", "--timeframe", "1Hour"]) as exchange:
        assert exchange.urls is not None
        done = children.run(children.script(_PEER, exchange.urls["trading_url"], symbols, str(PEER_ROUNDS)))
        done.check_returncode()
    return percentile([float(line) for line in done.stdout.split()], 50)


_PEER = """
import sys, time
from alpaca.data.historical import CryptoHistoricalDataClient
from alpaca.data.requests import CryptoBarsRequest, CryptoLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest
url, symbols, rounds = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
trading = TradingClient("K", "S", url_override=url)
data = CryptoHistoricalDataClient("K", "S", url_override=url)
for _ in range(rounds):
    started = time.perf_counter()
    trading.get_account(), trading.get_all_positions(), trading.get_orders(GetOrdersRequest())
    data.get_crypto_bars(CryptoBarsRequest(symbol_or_symbols=symbols, timeframe=TimeFrame.Hour, limit=360))
    quotes = data.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols=symbols))
    price = round(quotes[symbols[0]].bid_price * 0.9, 2)
    order = trading.submit_order(LimitOrderRequest(
        symbol=symbols[0], qty=0.01, side="buy", type="limit", time_in_force="gtc", limit_price=price))
    trading.cancel_order_by_id(order.id)
    print(time.perf_counter() - started)
"""
