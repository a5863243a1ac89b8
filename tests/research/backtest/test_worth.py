"""What an account is worth at each bar's close, against sums by hand; and that its returns are of the same bars as the
market's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.research.backtest.material import HOUR, START, bars_of, run, settings_for, written
from tests.research.backtest.test_run_figures import BTC, bars, fill
from trader.adapters.journal.records import Correction
from trader.core.market import to_datetime64
from trader.core.types import OrderSide
from trader.research.backtest.backtest import run_history_of
from trader.research.backtest.figures import grid_of, hold_curve
from trader.research.backtest.worth import Worth, holdings, worth_at

D = Decimal


def change(hours: float = 0, kind: str = "cash", *, cash: str = "0", qty: str = "0") -> Correction:
    symbol = BTC if D(qty) else None
    return Correction(id=0, kind=kind, symbol=symbol, qty=D(qty), cash=D(cash), detail="", at=START + hours * HOUR)


OPENING = change(kind="opening", cash="1000")


def hours(count: int) -> np.ndarray:
    return grid_of(START, START + (count - 1) * HOUR, HOUR)


def test_cash_and_units_of_a_close_are_marked_with_that_close() -> None:
    fills = [
        fill(0.5, OrderSide.BUY, "2", "100", "0.01", "BTC"),
        fill(3, OrderSide.SELL, "1.99", "120", "0.6", "USD"),
    ]
    found = worth_at(hours(5), fills, [OPENING], {BTC: bars([100.0, 105.0, 90.0, 110.0, 130.0])}, HOUR)
    assert found.cash.tolist() == pytest.approx([1000, 800, 800, 800 + 1.99 * 120 - 0.6, 800 + 1.99 * 120 - 0.6])
    held = [0, 1.99 * 105, 1.99 * 90, 0, 0]
    assert (found.equity - found.cash).tolist() == pytest.approx(held)
    assert found.growth is found.equity


def test_before_a_bar_has_closed_the_price_of_the_fill_is_the_mark() -> None:
    bought = [fill(0.5, OrderSide.BUY, "2", "100", "0", "USD")]
    assert worth_at(hours(3), bought, [OPENING], {}, HOUR).equity.tolist() == [1000, 1000, 1000]


def test_money_that_came_in_is_in_the_equity_and_not_in_the_growth() -> None:
    changes = [
        OPENING,
        change(1.5, "transfer", cash="500"),
        change(3, cash="30"),
    ]
    found = worth_at(hours(5), [], changes, {}, HOUR)
    assert found.equity.tolist() == [1000, 1000, 1500, 1530, 1530]
    assert found.growth.tolist() == pytest.approx([1000, 1000, 1000, 1020, 1020])


def test_units_that_no_fill_explains_are_held() -> None:
    changes = [OPENING, change(qty="3")]
    found = worth_at(hours(2), [], changes, {BTC: bars([100.0, 105.0])}, HOUR)
    assert found.equity.tolist() == [1300, 1315]


def test_what_a_fee_took_in_the_coin_is_not_held() -> None:
    fills = [fill(0.5, OrderSide.BUY, "1", "100", "0.01", "BTC"), fill(2.5, OrderSide.SELL, "0.99", "90", "0", "USD")]
    assert holdings(hours(5), BTC, fills).tolist() == [0, 0.99, 0.99, 0, 0]


def test_an_account_that_is_gone_grows_no_more() -> None:
    found = Worth.of(np.array([100.0, 0.0, 50.0]), np.zeros(3), np.array([0.0, 0.0, 50.0]))
    assert found.growth.tolist() == [100, 0, 0]


LONG = '''"""All of it, from the first bar to the last."""
from dataclasses import dataclass
from decimal import Decimal
from trader.core.decision import Signal
from trader.core.types import EntrySide


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Nothing to choose."""


def decide(view, params):
    return [signal(symbol, forecast.last_close) for symbol, forecast in view.forecasts.items()]


def signal(symbol, last):
    entry, target, stop = (Decimal(str(round(last * share, 2))) for share in (1.01, 1.95, 0.1))
    return Signal(symbol=symbol, entry_side=EntrySide.LONG, entry=entry, target=target, stop=stop, edge=Decimal("0.5"))
'''


def test_a_run_that_is_always_long_moves_with_holding_in_the_same_bar(tmp_path: Path) -> None:
    """Beta and correlation are one. By the venue's reports, which came after each close, they were 0.24 and 0.26."""
    strategy = tmp_path / "long.py"
    strategy.write_text(LONG)
    file = written(bars_of("BTC/USD", 400), tmp_path / "btc.parquet")
    settings = settings_for(
        {"BTC/USD": file}, tmp_path / "state", strategy=str(strategy), exits__max_age_s=2_592_000,
        risk__max_symbol="1", risk__max_gross="1", risk__max_level_distance="1", risk__max_drawdown="0.9",
        risk__max_daily_loss="0.9",
    )  # fmt: skip
    recording, _ = run(settings)
    history = run_history_of(recording)
    times = grid_of(history.start, history.end, history.interval)
    held = history.worth.equity - history.worth.cash > 0
    first = int(np.argmax(held)) + 1
    assert held[first:].all()
    assert len(times) - first > 300
    market = hold_curve(history, times)
    assert market is not None
    share = ((history.worth.equity - history.worth.cash) / history.worth.equity)[first:-1]
    ours = np.diff(history.worth.equity)[first:] / history.worth.equity[first:-1] / share
    theirs = np.diff(market)[first:] / market[first:-1]
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1, abs=1e-9)
    assert np.polyfit(theirs, ours, 1)[0] == pytest.approx(1, abs=1e-9)
    assert to_datetime64(history.end) == times[-1]
