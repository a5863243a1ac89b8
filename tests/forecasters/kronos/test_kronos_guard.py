"""The guard over real models: a compiled twin of slightly other weights never serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from safetensors.numpy import load_file, save_file  # noqa: E402

from forecasters.backends.kronos import KronosForecaster, Options  # noqa: E402
from forecasters.compiled.guard import FALLBACK, Guarded, GuardOptions  # noqa: E402
from forecasters.compiled.trial import trial_contexts  # noqa: E402
from tests.forecasters.support import context  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

HORIZON = 6


def options(folder: Path, **changes: object) -> Options:
    settings = {"model_id": str(folder), "device": "cpu", "sample_count": 30, "compile_backend": "eager"}
    return Options.model_validate({**settings, "context_bars": 120, "horizon": HORIZON, "series": 2, **changes})


def tampered(folder: Path, target: Path, by: float) -> Path:
    """The same checkpoint with every weight of the network off by about so much."""
    random = np.random.default_rng(0)
    for part in ("network", "tokenizer"):
        (target / part).mkdir(parents=True)
        (target / part / "config.json").write_bytes((folder / part / "config.json").read_bytes())
        weights = load_file(folder / part / "model.safetensors")
        if part == "network":
            weights = {
                name: (each * (1 + by * random.choice([-1.0, 1.0], each.shape))).astype(np.float32)
                for name, each in weights.items()
            }
        save_file(weights, target / part / "model.safetensors")
    return target


def guarded(eager: KronosForecaster, other: KronosForecaster, **changes: object) -> Guarded:
    return Guarded(
        name="kronos",
        eager=eager,
        compile=other.compiled_twin,
        trial=lambda: trial_contexts(bars=120, horizons=(HORIZON, HORIZON)),
        options=GuardOptions.model_validate({"every": 1, **changes}),
    )


@pytest.mark.parametrize("by", [0.01, 0.1, 1e6])
def test_weights_that_are_off_do_not_serve(folders: dict[str, Path], tmp_path: Path, by: float) -> None:
    eager = KronosForecaster(options(folders["small"]))
    guard = guarded(eager, KronosForecaster(options(tampered(folders["small"], tmp_path / "off", by))))
    guard.warm_up()
    asked = [context(count=120, horizon=HORIZON), context("ETH/USD", count=80, horizon=HORIZON)]
    found, wanted = guard.forecast(asked), eager.forecast(asked)
    assert set(found) == set(wanted) == {"BTC/USD", "ETH/USD"}
    for symbol, each in found.items():
        assert each.compile_mode == FALLBACK
        assert np.array_equal(each.quantiles, wanted[symbol].quantiles)
    (notice,) = guard.notices()
    assert notice.severity == "error"
    assert guard.report().frames == 1  # it was compiled all the same


def test_weights_that_change_while_it_serves_are_found_out(folders: dict[str, Path], tmp_path: Path) -> None:
    """In the compiled twin alone, as a graph that writes where it should not would change them."""
    eager = KronosForecaster(options(folders["small"]))
    other = KronosForecaster(options(tampered(folders["small"], tmp_path / "same", 0.0)))
    guard = guarded(eager, other)
    guard.warm_up()
    asked = [context(count=120, horizon=HORIZON)]
    assert guard.forecast(asked)["BTC/USD"].compile_mode == "compiled (eager)"
    model = other._loaded()
    with torch.no_grad():
        model._folded.norm_weight *= 1.1
    assert guard.forecast(asked)["BTC/USD"].compile_mode == FALLBACK
    assert "differs from eager" in guard.state().reason


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_that_is_wrong_in_its_last_row_is_found_out_once_somebody_asks_for_that_row(
    folders: dict[str, Path], dtype: str
) -> None:
    """The graph is made for three symbols; with two the row is filled up, and what comes of it is cut off."""
    eager = KronosForecaster(options(folders["small"], dtype=dtype, series=3))
    wrong: list[bool] = []

    def compiled() -> KronosForecaster:
        twin = eager.compiled_twin()
        model = twin._loaded()
        step = model._advance

        def other(network: Any, cache: Any, s1: Tensor, s2: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
            s1, s2 = (each.clone() for each in step(network, cache, s1, s2, *rest))
            if wrong:
                s1[-1] = (s1[-1] + 1) % 2**6
            return s1, s2

        model._advance = other
        return twin

    guard = Guarded(
        name="kronos",
        eager=eager,
        compile=compiled,
        trial=lambda: trial_contexts(bars=120, horizons=(HORIZON,) * 3),
        options=GuardOptions(every=1),
        dtype=dtype,
    )
    guard.warm_up()
    asked = [context(f"S{n}/USD", count=120, horizon=HORIZON, seed=n) for n in range(3)]
    wrong.append(True)
    assert {each.compile_mode for each in guard.forecast(asked[:2]).values()} == {"compiled (eager)"}
    assert {each.compile_mode for each in guard.forecast(asked).values()} == {FALLBACK}
    assert "S2/USD" in guard.state().reason


def test_bfloat16_twins_are_alike_enough(folders: dict[str, Path]) -> None:
    eager = KronosForecaster(options(folders["small"], dtype="bfloat16"))
    guard = guarded(eager, eager)
    guard.warm_up()
    assert guard.state().serving == "compiled", guard.state().reason
