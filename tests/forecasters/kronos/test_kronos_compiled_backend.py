"""The compiled backend: one shape, prepared before it serves, whatever of it is asked for afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters import registry  # noqa: E402
from forecasters.compiled.guard import FALLBACK, Guarded  # noqa: E402
from forecasters.compiled.toolchain import missing_tools  # noqa: E402
from forecasters.progress import Progress, listening  # noqa: E402
from forecasters.types import Context  # noqa: E402
from tests.e2e.running import ask  # noqa: E402
from tests.forecasters.support import context  # noqa: E402

PREPARED = {"context_bars": 120, "horizon": 4, "series": 3, "sample_count": 12}
Build = Callable[..., Guarded]


@pytest.fixture
def build(folders: dict[str, Path], tmp_path: Path) -> Build:
    """Traced whole, without generating code: that needs a C++ compiler and minutes."""

    def built(name: str = "kronos-compiled", model: str = "small", **changes: object) -> Guarded:
        options = {"model_id": str(folders[model]), "device": "cpu", "compile_backend": "eager", **PREPARED, **changes}
        options["guard"] = {"cache_dir": str(tmp_path), **options.get("guard", {})}  # type: ignore[dict-item]
        forecaster = registry.build(name, options)
        forecaster.warm_up()
        return forecaster  # type: ignore[return-value]

    return built


def asked(*counts: int, horizon: int = 4) -> list[Context]:
    return [context(f"S{index}", count=count, horizon=horizon, seed=index) for index, count in enumerate(counts)]


def troubles(forecaster: Guarded) -> list[str]:
    return [notice.text for notice in forecaster.notices() if notice.severity != "info"]


def test_it_compiles_before_it_serves_and_never_again(build: Build) -> None:
    """Fewer symbols, shorter contexts, more symbols than were prepared: all by the one graph."""
    compiled, eager = build(), build("kronos")
    assert (compiled.report().frames, compiled.state().serving) == (1, "compiled")
    for contexts in (
        asked(120, 120, 120),
        asked(120),
        asked(120, 61, 33),
        asked(100, 50),
        asked(*[120, 90, 60, 40, 70]),
    ):
        found, wanted = compiled.forecast(contexts), eager.forecast(contexts)
        assert set(found) == set(wanted) == {each.symbol for each in contexts}
        for symbol, each in found.items():
            assert each.compile_mode == "compiled (eager)"
            assert np.array_equal(each.quantiles, wanted[symbol].quantiles)
    report = compiled.report()
    assert (report.frames, report.recompiles, report.graph_breaks) == (1, 0, 0)
    assert troubles(compiled) == []


def test_what_was_not_prepared_is_answered_by_the_eager_twin_and_says_so(build: Build) -> None:
    compiled, eager = build(), build("kronos")
    for contexts in (asked(150), asked(120, horizon=5)):
        found, wanted = compiled.forecast(contexts)["S0"], eager.forecast(contexts)["S0"]
        assert found.compile_mode == FALLBACK
        assert np.array_equal(found.quantiles, wanted.quantiles)
    assert compiled.state().serving == "compiled"
    assert compiled.report().recompiles == 0


def test_both_twins_hold_the_same_weights_once(build: Build) -> None:
    compiled = build()
    eager_model, twin = compiled._eager._model, compiled._standing.compiled._model  # type: ignore[attr-defined,union-attr]
    assert twin._folded is eager_model._folded
    assert twin._codec is eager_model._codec


def test_a_symbol_whose_paths_are_impossible_is_absent_and_no_fault_of_the_compiler(build: Build) -> None:
    compiled, contexts = build(model="wild", min_survive=1.0, misordered="drop"), asked(120, 120)
    assert compiled.forecast(contexts) == {}
    assert set(compiled.refusals) == set(compiled.mended) == {each.symbol for each in contexts}
    assert compiled.state().serving == "compiled"
    assert troubles(compiled) == []


def test_the_survivors_of_rejected_paths_are_the_same_in_both_twins(build: Build) -> None:
    compiled, eager = (
        build(model="wild", min_survive=0.01, horizon=1, sample_count=60, misordered="drop"),
        build("kronos", model="wild", min_survive=0.01, sample_count=60, misordered="drop"),
    )
    contexts = asked(120, 80, horizon=1)
    found, wanted = compiled.forecast(contexts), eager.forecast(contexts)
    assert set(found) == set(wanted)
    for symbol, each in found.items():
        assert each.paths is not None
        assert 0 < len(each.paths) < 60
        assert np.array_equal(each.paths, wanted[symbol].paths)


def test_the_warm_up_says_what_it_compiles_and_how_long_it_took(build: Build) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        compiled = build()
    texts = [each.text for each in heard]
    assert "compiling for 3 series x 12 samples, 120 bars" in texts
    assert any(text.startswith("compiled: 1 graphs in ") for text in texts)
    took = compiled.report().warm_up_s
    assert took is not None
    assert took > 0


@pytest.mark.slow
@pytest.mark.timeout(1700)
@pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}")
def test_generated_code_serves_and_a_second_start_finds_it_in_the_cache_folder(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """Two processes: within one, a second model of the same weights is another graph to the compiler."""
    settings = {"KRONOS_MODEL_ID": str(folders["small"]), "KRONOS_DEVICE": "cpu", "KRONOS_SAMPLE_COUNT": "12"}
    settings |= {"CONTEXT": "120", "SYMBOLS": "BTC/USD", "COMPILED_MODELS_DIR": str(tmp_path / "compiled")}
    for cache in ("cold", "warm"):
        done = ask(tmp_path, "backends", "warm-up", "--backend", "kronos-compiled", timeout=800, **settings)
        assert done.code == 0, done.out + done.err
        assert f"{cache} cache, 0 recompiles" in done.out
