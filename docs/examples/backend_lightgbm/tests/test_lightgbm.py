"""The contract that every backend keeps, and what this one adds to it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("lightgbm", exc_type=ImportError)

from backend_lightgbm import Options
from backend_lightgbm.model import predicted

from forecasters.contract import CHECKS, Subject, made_bars
from forecasters.registry import RegistryError, build, check_given
from forecasters.types import CLOSE, HIGH, LOW


@pytest.fixture(scope="module")
def backend() -> Iterator[Subject]:
    forecaster = build("lightgbm", {"trees": 5})
    yield Subject(name="lightgbm", options={"trees": 5}, forecaster=forecaster)
    forecaster.close()


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_contract(backend: Subject, check: str) -> None:
    assert CHECKS[check](backend) == ""


def test_a_bar_after_the_context_changes_nothing_and_the_last_one_does() -> None:
    bars, options = made_bars(201, seed=3), Options(trees=5)
    before = predicted(bars[:200], 3, options)
    bars[200] *= 2
    assert np.array_equal(before, predicted(bars[:200], 3, options))
    bars[199, CLOSE] = bars[199, LOW]
    assert not np.array_equal(before, predicted(bars[:200], 3, options))


def test_a_wilder_market_has_a_wider_forecast() -> None:
    calm, wild = (predicted(made_bars(300, seed=3, volatility=v), 2, Options(trees=5)) for v in (0.002, 0.02))
    assert (wild[-1, :, HIGH] - wild[0, :, LOW] > 3 * (calm[-1, :, HIGH] - calm[0, :, LOW])).all()


def test_a_misspelt_option_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(RegistryError, match=r"treez.*did you mean 'trees'"):
        check_given({"lightgbm": {"treez": "5"}})
