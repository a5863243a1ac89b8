"""`trader flatten` with no daemon running: it is finished where nothing is left that could be sold."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from settings.load import load
from tests.trading.bench import Bench, bench_on, level_bars
from trader.commands import control
from trader.core.types import OrderSide, Symbol
from trader.strategies import names

BTC = Symbol("BTC/USD")


def _flatten(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """The command's own steps, on the bench's venue."""
    said: list[str] = []
    loaded = load({"state_dir": str(folder)}, environ={}, folder=folder, strategies=names())
    monkeypatch.setattr(control, "endpoints_of", lambda settings: object())
    monkeypatch.setattr(control, "_clock", lambda settings, endpoints, stack: ExitStack())
    monkeypatch.setattr(
        control, "take_hands", lambda *args: SimpleNamespace(desk=bench.desk, manager=bench.manager, market=None)
    )
    bench.desk.set_flag("flatten", "all")  # what the daemon makes of the command
    code = control._do_here(bench.journal, loaded, 1, "flatten", {"symbol": "all"}, said.append)  # type: ignore[arg-type]
    return code, said


def _with(folder: Path, qty: str) -> Bench:
    bench = bench_on({"BTC/USD": level_bars()}, folder)
    bench.by_hand(BTC, OrderSide.BUY, qty)
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    return bench


def test_dust_is_no_unfinished_flatten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _with(tmp_path, "1")
    dust = bench.venue.market.instruments[BTC].min_qty / 2
    _sold(bench, bench.held(BTC) - dust)
    assert 0 < bench.held(BTC) < 2 * dust
    code, said = _flatten(bench, tmp_path, monkeypatch)
    assert (code, said) == (
        0,
        [f"flatten: done; too small to be sold, and left: {bench.held(BTC).normalize():f} BTC/USD"],
    )


def _sold(bench: Bench, qty: Decimal) -> None:
    bench.desk.cancel([order.id for order in bench.open_orders(BTC)])
    bench.by_hand(BTC, OrderSide.SELL, str(qty))
    bench.go(bench.venue.now.replace(minute=59))
    bench.desk.sync()


def test_what_can_be_sold_is_and_nothing_is_said_of_dust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _with(tmp_path, "1")
    assert _flatten(bench, tmp_path, monkeypatch) == (0, ["flatten: done"])
    assert bench.held(BTC) == 0
