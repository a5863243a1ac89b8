"""Why a symbol has no forecast is in the note and the status; one that has none for long alarms by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from forecasters.base import ForecastError, Mended
from forecasters.types import Context, Forecast
from tests.trading.bench import Bench, Still, bench_on, level_bars
from trader.core.types import Symbol

BTC, ETH, SOL = (Symbol(name) for name in ("BTC/USD", "ETH/USD", "SOL/USD"))


class Picky(Still):
    """Has no forecast of some symbols, and says why; with `fails` none at all."""

    def __init__(self, *refused: Symbol) -> None:
        self.refused = set(map(str, refused))
        self.why = "39 of 40 paths hold prices that are none"
        self.fails = False
        self.refusals: dict[str, str] = {}
        self.mended: dict[str, Mended] = {}

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        if self.fails:
            raise ForecastError("the worker is restarting")
        self.refusals = {each.symbol: self.why for each in contexts if each.symbol in self.refused}
        return {name: each for name, each in super().forecast(contexts).items() if name not in self.refused}


def on(folder: Path, *refused: Symbol, symbols: Sequence[str] = ("BTC/USD", "ETH/USD", "SOL/USD")) -> Bench:
    bench = bench_on({name: level_bars(name) for name in symbols}, folder)
    bench.trader.forecaster = Picky(*refused)
    return bench


def picky(bench: Bench) -> Picky:
    assert isinstance(bench.trader.forecaster, Picky)
    return bench.trader.forecaster


def note(bench: Bench) -> str:
    return list(bench.journal.cycles.values())[-1].note


def test_why_there_is_none_is_in_the_note_and_in_the_status(tmp_path: Path) -> None:
    bench = on(tmp_path, BTC)
    bench.cycle()
    assert note(bench) == "BTC/USD: no forecast: 39 of 40 paths hold prices that are none"
    assert bench.desk.board.status()["unforecast"] == {"BTC/USD": note(bench).removeprefix("BTC/USD: ")}


def test_the_symbol_is_not_said_twice_and_no_reason_is_no_reason(tmp_path: Path) -> None:
    bench = on(tmp_path, BTC)
    picky(bench).why = "BTC/USD: too few paths"
    bench.cycle()
    assert note(bench) == "BTC/USD: no forecast: too few paths"
    picky(bench).why = ""
    bench.cycle()
    assert note(bench) == "BTC/USD: no forecast"


def test_how_much_was_mended_and_dropped_is_in_both(tmp_path: Path) -> None:
    bench = on(tmp_path)
    picky(bench).mended = {
        "BTC/USD": Mended(mended=12, dropped=0, of=30),
        "ETH/USD": Mended(mended=3, dropped=3, of=30),
        "SOL/USD": Mended(mended=0, dropped=0, of=30),
    }
    bench.cycle()
    assert note(bench) == "of what was drawn 17% mended (most BTC/USD, 40%), 3% dropped (most ETH/USD, 10%)"
    assert bench.desk.board.status()["mended"] == {
        "BTC/USD": "12 of 30 mended, 0 dropped",
        "ETH/USD": "3 of 30 mended, 3 dropped",
    }
    picky(bench).mended = {}
    bench.cycle()
    assert (note(bench), bench.desk.board.status()["mended"]) == ("", {})


def test_one_without_forecasts_alarms_though_others_have_them_once_and_then_rarely(tmp_path: Path) -> None:
    bench = on(tmp_path, ETH)
    told = []
    for _ in range(12):
        bench.cycle()
        told.append(len(bench.alerts("unforecast")))
    assert told == [0, 0, *[1] * 7, *[2] * 3]
    first, second = bench.alerts("unforecast")
    assert first.detail == (
        "others have forecasts, not ETH/USD for 3 cycles in a row: no forecast: "
        "39 of 40 paths hold prices that are none"
    )
    assert (first.severity, second.severity) == ("warning", "error")
    assert not bench.alerts("fruitless")


def test_when_it_is_over_that_is_said_once(tmp_path: Path) -> None:
    bench = on(tmp_path, ETH, SOL)
    for _ in range(3):
        bench.cycle()
    picky(bench).refused = {"SOL/USD"}
    bench.cycle()
    bench.cycle()
    told = [(alert.severity, alert.detail) for alert in bench.alerts("unforecast")]
    assert [severity for severity, _ in told] == ["warning", "info"]
    assert told[1] == ("info", "over: ETH/USD forecast again")


def test_one_that_comes_back_in_time_is_counted_anew(tmp_path: Path) -> None:
    bench = on(tmp_path, ETH)
    for refused in ({"ETH/USD"}, {"ETH/USD"}, set[str](), {"ETH/USD"}, {"ETH/USD"}):
        picky(bench).refused = refused
        bench.cycle()
    assert not bench.alerts("unforecast")


def test_that_nobody_has_one_is_told_of_as_fruitless_and_who_stays_without_afterwards_by_itself(tmp_path: Path) -> None:
    bench = on(tmp_path)
    picky(bench).fails = True
    for _ in range(4):
        bench.cycle()
    assert len(bench.alerts("fruitless")) == 1
    assert not bench.alerts("unforecast")
    picky(bench).fails, picky(bench).refused = False, {"ETH/USD"}
    bench.cycle()
    (told,) = bench.alerts("unforecast")
    assert "ETH/USD for 5 cycles in a row" in told.detail


def test_bars_that_do_not_come_are_a_reason_as_well(tmp_path: Path) -> None:
    gap = level_bars("ETH/USD", count=150).drop(index=range(30, 60)).reset_index(drop=True)
    bench = bench_on({"BTC/USD": level_bars(count=150), "ETH/USD": gap}, tmp_path)
    for _ in range(3):
        bench.cycle()
    (told,) = bench.alerts("unforecast")
    assert "ETH/USD for 3 cycles in a row: too few: 33 of 60" in told.detail
