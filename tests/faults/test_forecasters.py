"""Backends of a third party that misbehave, in a process of their own: no order comes of it, and exits go on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.faults.harness import Scene

Scenes = Callable[..., Scene]


def with_backend(scene: Scenes, name: str, *, from_call: int, **environment: str) -> Scene:
    option = {f"OPTIONS__{name.upper()}__FROM_CALL": str(from_call)}
    return scene(seed=2, FORECASTER=name, WORKER_SOCKET="", FORECAST_DEADLINE_S="1", **option | environment)


@pytest.mark.parametrize(("row", "name"), [("21", "nan"), ("22", "absurd")])
def test_rows_21_and_22_numbers_that_are_no_forecast_give_no_order(scene: Scenes, row: str, name: str) -> None:
    one = with_backend(scene, name, from_call=1)
    one.run(3, SYMBOLS="BTC/USD")
    assert not one.ledger()["orders"]
    with one.journal() as journal:
        cycles = [cycle for cycle in journal.cycles() if cycle.kind == "trade"]
    assert len(cycles) == 3
    assert all(cycle.outcome.startswith("0 entries") for cycle in cycles), json.dumps([c.note for c in cycles])


@pytest.mark.parametrize(("row", "name"), [("23", "hungry"), ("24", "hanging")])
def test_rows_23_and_24_a_backend_that_is_gone_costs_entries_and_no_exit(scene: Scenes, row: str, name: str) -> None:
    one = with_backend(scene, name, from_call=3)
    one.run(5)
    ledger = one.ledger()
    assert [each["side"] for each in ledger["executions"]][:2] == ["buy", "sell"]
    assert "forecast" in one.alerts()
    one.assert_universal()


def test_guard_06_a_daemon_that_comes_to_nothing_says_so(scene: Scenes) -> None:
    """The earlier system's watcher failed in silence for days."""
    one = with_backend(scene, "nan", from_call=1)
    one.run(2, SYMBOLS="BTC/USD")
    assert "in a row" not in one.alerts()
    one.run(3, SYMBOLS="BTC/USD")
    assert "3 cycles in a row without a forecast" in one.alerts()
