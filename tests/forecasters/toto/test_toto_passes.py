"""Symbols that share a pass: eager any number, compiled the numbers that were prepared, and nobody moves anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters import registry
from forecasters.backends.toto import TotoForecaster
from forecasters.compiled.forced import output_distances
from forecasters.compiled.guard import Guarded
from forecasters.toto.passes import ANY_NUMBER, AT_ONCE, ONE_BY_ONE, prepared_passes
from forecasters.types import Context
from tests.forecasters.support import context

HORIZON = 40
ROUNDING = 1e-5  # of the width of a forecast


def asked(symbols: int, *, count: int = 200, seed: int = 0) -> list[Context]:
    return [
        context(f"S{n:02}/USD", count=count, horizon=HORIZON, seed=100 * seed + n, last_close=10.0 ** (n % 5))
        for n in range(symbols)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")
    from forecasters.toto.checkpoint import make_checkpoint

    root = tmp_path_factory.mktemp("toto")
    for size in ("tiny", "tiny-1.0"):
        make_checkpoint(size, root / size)
    return root


def guarded(folder: Path, cache: Path, **options: object) -> Guarded:
    """The compiler traces and guards as always, and makes no machine code."""
    given: dict[str, object] = {"model_id": str(folder), "device": "cpu", "compile_backend": "eager"}
    given |= {"horizons": (HORIZON,), "context_bars": 256, "num_samples": 16, "guard": {"cache_dir": str(cache)}}
    forecaster = registry.build("toto-compiled", given | options)
    assert isinstance(forecaster, Guarded)
    forecaster.warm_up()
    assert forecaster.state().serving == "compiled"
    return forecaster


def eager(folder: Path) -> TotoForecaster:
    forecaster = registry.build("toto", {"model_id": str(folder), "device": "cpu", "context_bars": 256})
    assert isinstance(forecaster, TotoForecaster)
    return forecaster


@given(prepared=st.integers(1, 100), symbols=st.integers(0, 50))
def test_every_symbol_is_asked_once_by_a_pass_of_a_prepared_size(prepared: int, symbols: int) -> None:
    contexts = asked(1) * symbols
    for passes in (prepared_passes(prepared), ANY_NUMBER, ONE_BY_ONE):
        sizes = [len(each) for each in passes.of(contexts, 64)]
        assert sum(sizes) == symbols
        assert all(size == 1 or passes.least <= size <= passes.sizes[-1] <= AT_ONCE for size in sizes)


@pytest.mark.parametrize(
    ("prepared", "symbols", "sizes"),
    [
        (1, 3, [1, 1, 1]),
        (2, 2, [2]),
        (2, 5, [2, 2, 1]),
        (8, 8, [8]),
        (8, 6, [6]),
        (8, 5, [1, 1, 1, 1, 1]),
        (8, 10, [8, 1, 1]),
        (20, 20, [10, 10]),
    ],
)
def test_a_pass_is_of_a_whole_cycle_or_of_one_symbol(prepared: int, symbols: int, sizes: list[int]) -> None:
    assert [len(each) for each in prepared_passes(prepared).of(asked(symbols), 256)] == sizes


def test_other_lengths_are_other_passes() -> None:
    contexts = [*asked(2), *asked(1, count=300), *asked(1, count=100)]
    found = [[len(each) for each in batch] for batch in ANY_NUMBER.of(contexts, 256)]
    assert found == [[200, 200], [300], [100]]
    assert len(list(ANY_NUMBER.of(contexts, 128))) == 2  # what is beyond is not seen


def test_a_compiled_forecast_is_the_same_alone_and_among_others(folder: Path, tmp_path: Path) -> None:
    compiled, plain = guarded(folder / "tiny", tmp_path, series=5), eager(folder / "tiny")
    contexts = asked(5)
    among = [compiled.forecast(contexts), compiled.forecast(contexts[:4]), plain.forecast(contexts)]
    for each in contexts[:4]:
        wanted = plain.forecast([each])[each.symbol].quantiles
        width = wanted[-1] - wanted[0]
        alone = compiled.forecast([each])
        for found in (alone, *among):
            assert (np.abs(found[each.symbol].quantiles - wanted) <= ROUNDING * width + 1e-6 * each.last_close).all()
    assert compiled.report().recompiles == 0
    compiled.close()


@pytest.mark.parametrize(
    ("forecasts", "every"), [(60, 5), pytest.param(1000, 10, marks=[pytest.mark.parity, pytest.mark.timeout(1800)])]
)
def test_numbers_of_symbols_that_change_recompile_nothing(
    forecasts: int, every: int, folder: Path, tmp_path: Path
) -> None:
    guard = {"cache_dir": str(tmp_path), "every": every}
    compiled = guarded(folder / "tiny", tmp_path, series=5, guard=guard)
    assert compiled.report().frames == 2  # one symbol, and five
    random = np.random.default_rng(3)
    for number in range(forecasts):
        symbols = int(random.integers(1, 12))
        contexts = asked(symbols, count=int(random.integers(64, 300)), seed=number)
        found = compiled.forecast(contexts)
        assert {each.compile_mode for each in found.values()} == {"compiled (eager)"}
        assert len(found) == symbols
    report, state = compiled.report(), compiled.state()
    assert (report.frames, report.recompiles, report.graph_breaks) == (2, 0, 0)
    assert state.serving == "compiled"
    assert state.checked >= forecasts // every
    assert state.last is not None
    assert state.last.difference < ROUNDING
    compiled.close()


@pytest.mark.parametrize(("series", "sizes"), [(1, [1]), (2, [2, 1]), (5, [5, 1]), (20, [10, 1])])
def test_what_is_prepared_is_compared_before_it_serves(series: int, sizes: list[int], folder: Path) -> None:
    options = {"model_id": str(folder / "tiny"), "device": "cpu", "context_bars": 128, "horizons": (4, 40)}
    forecaster = registry.build("toto", options | {"series": series})
    assert isinstance(forecaster, TotoForecaster)
    passes = [(len(each[0].future_times), len(each)) for each in prepared_passes(series).of(forecaster.trial(), 128)]
    assert passes == [(horizon, size) for horizon in (4, 40) for size in sizes]


def test_raw_outputs_are_those_of_the_passes_that_forecast(folder: Path, tmp_path: Path) -> None:
    compiled, plain = guarded(folder / "tiny", tmp_path, series=3), eager(folder / "tiny")
    contexts = asked(3)
    before = compiled.report().frames
    found, wanted = compiled.teacher_forced(contexts), plain.teacher_forced(contexts)
    alone = {each.symbol: plain.teacher_forced([each])[each.symbol] for each in contexts}
    for other in (found, alone):
        pair = [[each[context.symbol] for context in contexts] for each in (other, wanted)]
        assert output_distances(*pair)["quantiles"].worst < ROUNDING
    assert compiled.report().frames == before
    compiled.close()


def test_a_model_that_samples_is_asked_one_by_one(folder: Path, tmp_path: Path) -> None:
    one, many = (guarded(folder / "tiny-1.0", tmp_path, series=series) for series in (1, 4))
    assert one.report().frames == many.report().frames
    contexts = asked(2)
    first, second = (each.forecast(contexts) for each in (one, many))
    for symbol, forecast in first.items():
        assert np.array_equal(forecast.quantiles, second[symbol].quantiles)
    one.close()
    many.close()
