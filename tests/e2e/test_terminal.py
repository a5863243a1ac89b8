"""The terminal view: it fits whatever window it is in, in every state, and its start and end read well."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from forecasters.types import Forecast
from settings.load import load
from tests.e2e.running import COMMAND, environment
from tests.waiting import GENEROUS_S
from trader.core.decision import Levels
from trader.core.types import (
    Account,
    EntrySide,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Portfolio,
    Position,
    Quote,
    Symbol,
    TimeInForce,
)
from trader.terminal.farewell import farewell
from trader.terminal.progress import Progress
from trader.terminal.view import render
from trader.terminal.view_parts import chart, news_lines, sparkline
from trader.trading.status import Board

NOW = datetime(2024, 3, 1, 12, 0, 5, tzinfo=UTC)
BTC, ETH, SPY = Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY")
SIZES = [(120, 40), (80, 24), (200, 60), (100, 30), (60, 18), (40, 15)]


def forecast_of(symbol: Symbol, low: float, close: float, high: float) -> Forecast:
    return Forecast(
        symbol=symbol.text,
        asof=NOW,
        times=np.array([np.datetime64(NOW.replace(tzinfo=None), "us")]),
        last_close=close,
        levels=np.array([0.5]),
        quantiles=np.array([[[close, high, low, close]]]),
        paths=None,
        backend="test",
        model="none",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0,
    )


def board(*, busy: bool = True) -> Board:
    made = Board(
        mode="sim", backend="baseline", strategy="maxdiff", timeframe="1Hour", symbols=(BTC, ETH, SPY),
        speed="speed 720", market_time=NOW,
    )  # fmt: skip
    if not busy:
        return made
    made.account_id, made.phase, made.cycles = "7f6fd907-f4f4", "running", 12
    made.next_trade = NOW + timedelta(hours=1)
    for equity in range(300):
        made.equity.append(100_000 + equity * (-1) ** equity)
    account = Account(
        id=made.account_id, status="ACTIVE", equity=Decimal("100123.45"), cash=Decimal(90_000),
        buying_power=Decimal(90_000), at=NOW, currency="USD", trading_blocked=False, shorting_enabled=True,
    )  # fmt: skip
    held = Position(
        symbol=BTC, qty=Decimal("0.123456789"), avg_entry_price=Decimal("57123.45"), qty_available=Decimal(0),
        mark=Decimal(57_900),
    )  # fmt: skip
    orders = tuple(
        Order(
            id=str(n), client_order_id=f"trd-7f6fd907-20240301T120000Z-trade-BTC_USD-{purpose}-0", symbol=BTC,
            side=OrderSide.SELL, type=OrderType.STOP_LIMIT, tif=TimeInForce.GTC, qty=Decimal("0.123456789"),
            status=OrderStatus.NEW, submitted_at=NOW, updated_at=NOW, filled_qty=Decimal(0),
            limit_price=Decimal("56000.11"), stop_price=Decimal("56500.22"),
        )
        for n, purpose in enumerate(["stop", "target", "entry"] * 4)
    )  # fmt: skip
    made.saw_portfolio(Portfolio(account=account, positions={BTC: held}, orders=orders, at=NOW))
    made.quotes = {
        symbol: Quote(
            symbol=symbol, bid=Decimal("57890.12"), ask=Decimal("57950.34"), bid_size=Decimal(1), ask_size=Decimal(1),
            at=NOW, source="model", synthetic=symbol == ETH,
        )
        for symbol in (BTC, ETH)
    }  # fmt: skip
    medians = {BTC: (57_000.0, 57_900.0, 58_500.0), ETH: (1e-7, 2e-7, 3e-7), SPY: (5e6, 5e6, 5e6)}
    made.forecasts = {symbol: forecast_of(symbol, *median) for symbol, median in medians.items()}
    made.reasons = {BTC: "long held: new exits", ETH: "a reason that goes on and on, " * 12}
    made.levels = {
        BTC: Levels(
            symbol=BTC,
            entry_side=EntrySide.LONG,
            target=Decimal(58_500),
            stop=Decimal(56_500),
            set_at=NOW,
            expires_at=None,
        )
    }
    made.flags = {"killed": "by a person, for a long reason that they typed " * 3, "paused": ""}
    for n in range(60):
        made.say("denied" if n % 2 else "order", f"BTC/USD edge: {n} bps\n  of something")
    return made


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("busy", [True, False], ids=["busy", "empty"])
def test_the_view_fits_its_window(size: tuple[int, int], busy: bool) -> None:
    width, height = size
    console = Console(width=width, height=height, file=io.StringIO(), record=True, force_terminal=True)
    console.print(render(board(busy=busy), width, height))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    text = "\n".join(lines)
    assert "BTC/USD" in text
    assert "Ctrl-C" in text
    assert not busy or "sell 0.123457 BTC/USD" in re.sub(" +", " ", text)
    if busy and height >= 24:
        for shown in ("100,123.45", "long", "stop", "killed", "order"):
            assert shown in text, shown


def test_what_has_been_left_is_not_said_to_be_held() -> None:
    made = board()
    made.reasons = {BTC: "long held: new exits", ETH: "long held: new exits"}
    console = Console(width=120, height=40, file=io.StringIO(), record=True, force_terminal=True)
    console.print(render(made, 120, 40))
    text = console.export_text()
    assert text.count("long held: new exits") == 1
    assert text.count("left since the last decision") == 1


def test_the_last_words_hold_a_path_whole_and_a_command_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/trader", "run"])
    monkeypatch.setenv("PATH", str(tmp_path))
    log = tmp_path / "a-folder-with-a-long-name" / "trader.log"
    console = Console(width=40, file=io.StringIO(), record=True)
    console.print(farewell(board(), load({"state_dir": str(tmp_path)}), log, 0))
    text = console.export_text()
    assert str(log) in "".join(line.strip().removeprefix("log").strip() for line in text.splitlines())
    assert ".venv/bin/trader" in text


def test_the_last_words_count_as_one_speaks(tmp_path: Path) -> None:
    made = board()
    made.cycles, made.fills, made.errors = 1, 0, 2
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(farewell(made, load({"state_dir": str(tmp_path)}), tmp_path / "log", 0))
    assert "1 cycle, 0 fills, 2 errors" in console.export_text()


def test_repeated_denials_are_one_line() -> None:
    shown = Board(mode="sim", backend="b", strategy="s", timeframe="1Hour", symbols=(BTC, ETH))
    for n in range(9):
        shown.say("denied", f"BTC/USD edge: {n} bps, under 5")
        shown.say("denied", f"ETH/USD edge: {n} bps, under 5")
    lines = [line.plain for line in news_lines(shown, 10)]
    assert lines == [f"denied   {s}/USD edge: 8 bps, under 5  (9 times)" for s in ("BTC", "ETH")]


def test_charts_are_as_wide_and_as_high_as_asked() -> None:
    values = [float(n % 17) for n in range(400)]
    assert len(sparkline(values, 40)) <= 40
    assert len(sparkline([5.0], 40)) == 1
    assert sparkline([], 40) == ""
    rows = chart(values, 50, 5)
    assert (len(rows), max(map(len, rows)) <= 50) == (5, True)
    assert chart([1.0, 2.0], 10, 2) == [" █", "▁█"]


def test_the_start_says_each_step_and_moves_a_bar() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=80)) as progress:
        progress.say("starting a simulated exchange")
        progress.say("reading weights 10%")
        progress.say("reading weights 90%")
        progress.say("warming up")
    told = [line for line in out.getvalue().splitlines() if "✓" in line]
    assert [line.split("  ")[0] for line in told] == [
        "✓ starting a simulated exchange", "✓ reading weights", "✓ warming up",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "closed"])
def test_at_a_real_terminal_it_shows_and_ends_tidily(tmp_path: Path, number: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "--speed", "7200"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        env=environment(tmp_path, TERM="xterm-256color", COLUMNS="120", LINES="40"), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = _read(ours, "cycle 2")
    process.send_signal(number)
    shown += _read(ours, "journal")
    assert process.wait(GENEROUS_S) == 0
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "Traceback" not in plain
    for word in ("starting a simulated exchange", "open orders", "stopped", "equity", "trader performance"):
        assert word in plain, plain[-1500:]
    log = (tmp_path / "trader.log").read_text()
    assert "ERROR" not in log
    assert "stopped after" in log


def _read(terminal: int, wanted: str) -> str:
    """What appears until `wanted` does, or the other side closes it, or nothing comes any more."""
    seen = ""
    while wanted not in seen and select.select([terminal], [], [], GENEROUS_S)[0]:
        try:
            seen += os.read(terminal, 65_536).decode("utf-8", "replace")
        except OSError:
            break
    return seen
