"""Teacher-forced logits of Kronos: the compiled step's and the eager one's, and what a wrong number does to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.backends.kronos import KronosForecaster, build  # noqa: E402
from forecasters.base import ForecastError  # noqa: E402
from forecasters.compiled.forced import Forced, OutputDistance, output_distances, teacher_forced_of  # noqa: E402
from forecasters.kronos.generate import advance  # noqa: E402
from forecasters.kronos.model import Network  # noqa: E402
from tests.forecasters.kronos.test_kronos_guard import HORIZON, options, tampered  # noqa: E402
from tests.forecasters.support import context  # noqa: E402

ASKED = [context(count=120, horizon=HORIZON), context("ETH/USD", count=90, horizon=HORIZON)]
LINES = {"s1 logits", "s2 logits"}


def eager(folder: Path, **changes: object) -> KronosForecaster:
    forecaster = KronosForecaster(options(folder, **changes))
    forecaster.warm_up()
    return forecaster


def compared(found: Forced, wanted: Forced) -> dict[str, OutputDistance]:
    assert found.keys() == wanted.keys() == {each.symbol for each in ASKED}
    return output_distances([found[symbol] for symbol in wanted], list(wanted.values()))


def test_a_compiled_step_has_the_eager_ones_logits_and_nothing_is_compiled_again(folders: dict[str, Path]) -> None:
    guard = build(options(folders["small"], compile=True))
    guard.warm_up()
    reference = eager(folders["small"])
    found = compared(teacher_forced_of(guard, ASKED), teacher_forced_of(reference, ASKED))
    assert found.keys() == LINES
    for each in found.values():
        assert each.steps == len(ASKED) * (HORIZON - 1)
        assert each.worst < 1e-5
    guard.forecast(ASKED)
    assert guard.report().recompiles == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("by", [0.01, 0.1])
def test_weights_that_are_off_show_in_the_logits(folders: dict[str, Path], tmp_path: Path, by: float) -> None:
    off = eager(tampered(folders["small"], tmp_path / "off", by))
    found = compared(teacher_forced_of(off, ASKED), teacher_forced_of(eager(folders["small"]), ASKED))
    for each in found.values():
        assert each.relative > by / 5
        assert each.variation is not None
        assert each.variation > by / 10


def test_the_logits_are_those_of_the_published_architecture_given_the_true_tokens(folders: dict[str, Path]) -> None:
    reference = eager(folders["small"])
    asked = ASKED[0]
    found = teacher_forced_of(reference, [asked])[asked.symbol]
    model = reference._loaded()
    network: Network = model._network
    from forecasters.kronos.features import calendar

    with torch.no_grad():
        before, after = model.encode(asked.values[:-HORIZON]), model.encode(asked.values)
        first, second = (torch.from_numpy(np.concatenate([before[half], after[half][-HORIZON:]])) for half in (0, 1))
        stamps = torch.from_numpy(calendar(asked.times))
        for step in range(HORIZON - 1):
            end = len(first) - HORIZON + 1 + step
            rows = network.context(first[None, :end], second[None, :end], stamps[None, :end])
            wanted = network.s1_logits(rows)[0].numpy()
            assert np.allclose(found["s1 logits"].values[step], wanted, atol=1e-4)
            wanted = network.s2_logits(rows, first[end : end + 1])[0].numpy()
            assert np.allclose(found["s2 logits"].values[step], wanted, atol=1e-4)


def test_a_step_that_draws_otherwise_than_its_logits_say_shows_none(folders: dict[str, Path], tmp_path: Path) -> None:
    """The logits come from a graph of their own: of the step that serves they must be."""
    served = eager(folders["small"])
    wrong = eager(tampered(folders["small"], tmp_path / "off", 0.3))._loaded()._folded
    served._step = lambda network, *given: advance(wrong, *given)
    with pytest.raises(ForecastError, match="other tokens than its logits say"):
        served.teacher_forced(ASKED)


def test_one_bar_ahead_makes_no_step_and_a_short_context_is_left_out(folders: dict[str, Path]) -> None:
    one = [context(count=120, horizon=1)]
    assert teacher_forced_of(eager(folders["small"], horizon=1), one) == {"BTC/USD": {}}
    short = [context(count=32, horizon=HORIZON)]
    assert teacher_forced_of(eager(folders["small"]), short) == {}
