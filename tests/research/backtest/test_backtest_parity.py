"""The same stretch through the daemon over HTTP and through the backtest: the same decisions, orders, fills, equity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from forecasters import registry
from settings.load import load
from tests.e2e.running import ask, trouble_in
from tests.research.backtest.material import Decisions, bars_of, written
from trader.adapters.journal import IntentRecord, Journal
from trader.adapters.journal.codec import encode
from trader.core.decision import DecisionInputs
from trader.research.backtest.backtest import run_history_of
from trader.research.backtest.figures import figures_of
from trader.research.backtest.memory_journal import MemoryJournal
from trader.research.backtest.simulate import Recording, Setup, market_options, simulate
from trader.research.report.load import run_of_journal
from trader.strategies import names

ALL = 10**9


def backtested(state: Path, flags: dict[str, object], cycles: int) -> tuple[Recording, Decisions]:
    settings = load({**flags, "state_dir": str(state)}, environ={}, folder=state, strategies=names()).settings
    decisions = Decisions()
    setup = Setup(settings=settings, market=market_options(settings), cycles=cycles, ahead=32)
    return simulate(setup, registry.build("baseline", {}), on_plan=decisions), decisions


def ran(state: Path, flags: dict[str, object], cycles: int, **more: str) -> None:
    arguments = ["run", "--plain", "--fresh", "--speed", "max", "--cycles", str(cycles)]
    for name, value in flags.items():
        option = f"--{name.removeprefix('sim__').removeprefix('trading_')}"
        option = {"--bars": "--data"}.get(option, option)
        for each in value if isinstance(value, tuple) else (value,):
            arguments += [option, str(each)]
    done = ask(state, *arguments, **more)
    assert done.code == 0, done.out[-2000:] + done.err
    assert not trouble_in(done.out + done.err)


def differences(journal: Journal, memory: MemoryJournal, decisions: Decisions) -> Iterator[str]:
    """Kind by kind, both serialised canonically."""
    yield from _differing("plans", {n: journal.plan_bytes(n) for n in journal.plan_cycles()}, _encoded(decisions.plans))
    theirs = {name: encode(_timeless(journal.inputs(name))) for name in decisions.inputs}
    yield from _differing("inputs", theirs, {n: encode(_timeless(each)) for n, each in decisions.inputs.items()})
    yield from _differing("intents", _intents(journal.intents()), _intents(memory.intents()))
    yield from _differing("orders", _encoded({o.id: o for o in journal.orders(ALL)}), _encoded(memory.orders))
    yield from _differing(
        "fills", [encode(each) for each in journal.executions()], [encode(each) for each in memory.fills]
    )
    points = [encode(each) for each in journal.equity_points()]
    yield from _differing("equity", points, [encode(each) for each in memory.points])
    books, own = journal.believed(), memory.believed()
    yield from _differing("books", (books.positions, books.cash), (own.positions, own.cash))
    yield from _differing("levels", _encoded(journal.levels()), _encoded(memory.levels()))


def _differing(what: str, theirs: object, ours: object) -> Iterator[str]:
    if theirs == ours:
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        names = sorted((n for n in theirs.keys() | ours.keys() if theirs.get(n) != ours.get(n)), key=str)
        yield f"{what}: {len(names)} differ, first {names[0]}:\n  {theirs.get(names[0])}\n  {ours.get(names[0])}"
    elif isinstance(theirs, list) and isinstance(ours, list):
        first = next((pair for pair in zip_longest(theirs, ours) if pair[0] != pair[1]), ("", ""))
        yield f"{what}: first {first[0]}\n  {first[1]}"
    else:
        yield f"{what}:\n  {theirs}\n  {ours}"


def _encoded(values: object) -> dict[object, bytes]:
    assert isinstance(values, dict)
    return {name: encode(value) for name, value in values.items()}


def _intents(records: list[IntentRecord]) -> dict[object, bytes]:
    return {record.intent.client_order_id: encode(record) for record in records}


def _timeless(inputs: DecisionInputs) -> DecisionInputs:
    """How long a forecast took is no part of what it says."""
    return replace(inputs, forecasts={s: replace(f, latency_s=0.0) for s, f in inputs.forecasts.items()})


def same(tmp_path: Path, flags: dict[str, object], cycles: int, *, fills: int, **venue: str) -> None:
    """`venue`: further settings of the simulated venue, without their prefix."""
    ran(tmp_path / "daemon", flags, cycles, **{f"SIM__{name.upper()}": value for name, value in venue.items()})
    own = {f"sim__{name}": value for name, value in venue.items()}
    recording, decisions = backtested(tmp_path / "backtest", flags | own, cycles)
    assert recording.cycles == cycles
    assert len(recording.journal.fills) >= fills
    with Journal.open(f"sqlite:///{tmp_path / 'daemon' / 'journal-sim.db'}", create=False) as journal:
        assert list(differences(journal, recording.journal, decisions)) == []
        told = run_of_journal(journal, "sim", recording.rules.timeframe)
    ours = figures_of(run_history_of(recording))
    assert (told.figures.account.total_return, told.figures.fees) == (ours.account.total_return, ours.fees)
    assert (told.figures.trades, told.figures.won) == (ours.trades, ours.won)


def generated(tmp_path: Path, symbols: list[str], timeframe: str = "1Hour") -> dict[str, object]:
    files = {
        name: written(bars_of(name, 700, seed, timeframe), tmp_path / f"{seed}.parquet")
        for seed, name in enumerate(symbols)
    }
    return {"sim__bars": tuple(f"{s}={p}" for s, p in files.items()), "symbols": ",".join(files)}


def test_guard_21_the_backtest_decides_as_the_daemon_does_over_three_generated_days(tmp_path: Path) -> None:
    same(tmp_path, generated(tmp_path, ["BTC/USD", "ETH/USD"]), 72, fills=8)


def test_positions_are_added_to_reduced_and_left_in_the_backtest_as_by_the_daemon(tmp_path: Path) -> None:
    """On a venue that takes its time."""
    strategy = Path(__file__).parents[2] / "faults/rebalancing.py"
    flags = generated(tmp_path, ["BTC/USD", "ETH/USD"]) | {"strategy": str(strategy)}
    same(tmp_path, flags, 24, fills=20, accept_s="2", cancel_s="1")


def test_shares_and_the_bars_that_a_strategy_asks_for_are_the_same_too(tmp_path: Path) -> None:
    flags = generated(tmp_path, ["SPY", "AAPL"], "1Day") | {"timeframe": "1Day", "strategy": "topk"}
    same(tmp_path, flags, 20, fills=4)


@pytest.mark.slow
def test_a_generated_week(tmp_path: Path) -> None:
    same(tmp_path, generated(tmp_path, ["BTC/USD", "ETH/USD"]), 168, fills=20)


def test_guard_21_the_backtest_decides_as_the_daemon_does_on_six_weeks_of_stocks_days(tmp_path: Path) -> None:
    """The first system traded days. These lie around a change of the clock and two holidays."""
    flags = generated(tmp_path, ["SPY", "AAPL"], "1Day") | {"timeframe": "1Day"}
    same(tmp_path, flags, 30, fills=20)


def test_a_slow_venue_is_as_slow_in_the_backtest(tmp_path: Path) -> None:
    """Orders arrive 40 s after they are sent and leave 7 s after they are cancelled; nothing arrives at once."""
    same(tmp_path, generated(tmp_path, ["BTC/USD", "ETH/USD"]), 48, fills=5, accept_s="40", cancel_s="7")


def test_a_venue_without_delay_is_the_same_too(tmp_path: Path) -> None:
    same(tmp_path, generated(tmp_path, ["BTC/USD", "ETH/USD"]), 48, fills=5, accept_s="0")


@pytest.mark.slow
def test_days_of_stocks_and_a_coin(tmp_path: Path) -> None:
    flags = generated(tmp_path, ["SPY", "BTC/USD"], "1Day") | {"timeframe": "1Day"}
    same(tmp_path, flags, 60, fills=10)


@pytest.mark.slow
def test_generated_stocks_and_a_coin(tmp_path: Path) -> None:
    same(tmp_path, generated(tmp_path, ["BTC/USD", "AAPL", "SPY"]), 168, fills=10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "cycles", "fills"),
    [
        (["BTC/USD=BTCUSDT__binance-spot__1h", "ETH/USD=ETHUSDT__binance-spot__1h"], 168, 20),
        (["SPY=SPY__yahoo-rth__5m", "AAPL=AAPL__yahoo-rth__5m"], 385, 8),
    ],
    ids=["btc-and-eth", "spy-and-aapl"],
)
def test_a_week_of_real_bars(
    tmp_path: Path, real_data: Callable[[str], Path], files: list[str], cycles: int, fills: int
) -> None:
    pairs = [each.split("=") for each in files]
    bars = tuple(f"{symbol}={real_data(f'bars/{name}.parquet')}" for symbol, name in pairs)
    timeframe = "5Min" if "5m" in files[0] else "1Hour"
    flags: dict[str, object] = {"sim__bars": bars, "symbols": ",".join(s for s, _ in pairs), "timeframe": timeframe}
    same(tmp_path, flags, cycles, fills=fills)
