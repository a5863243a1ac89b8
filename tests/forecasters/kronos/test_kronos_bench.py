"""The bench: what it extrapolates, what it calls the limit, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos.bench.accuracy import accuracy
from forecasters.kronos.bench.cells import HORIZON, NUCLEUS, Cell, interleaved, market
from forecasters.kronos.bench.growth import growth
from forecasters.kronos.bench.limit import Ceiling, floor_seconds
from forecasters.kronos.bench.original import LATER, Original
from forecasters.kronos.files import CheckpointError
from trader.cli import cli
from trader.commands.bench_kronos import lines

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

# Stands in for a checkout of the original: the names and arguments that the bench uses, and a forecast of zeros.
STAND_IN = """
import pandas as pd, torch

class Model(torch.nn.Module):
    def __init__(self, d_model):
        super().__init__()

class Kronos(Model): pass
class KronosTokenizer(Model): pass

class KronosPredictor:
    def __init__(self, model, tokenizer, device, max_context): pass
    def predict_batch(self, frames, past, future, steps, T, top_k, top_p, sample_count, verbose):
        assert len(frames) == len(past) == len(future) and len(future[0]) == steps
        return [pd.DataFrame(0.0, index=range(steps), columns=frame.columns) for frame in frames]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("from .kronos import Kronos, KronosPredictor, KronosTokenizer\n")
    (tmp_path / "model" / "kronos.py").write_text(STAND_IN)
    return tmp_path


def test_a_slow_original_is_extrapolated_from_the_slope_of_its_first_steps() -> None:
    """Two seconds for the context, one for each step."""
    original = Original.__new__(Original)
    asked: list[int] = []

    def mean_paths(given: object, *, samples: int, steps: int) -> list[object]:
        asked.append(steps)
        return []

    original.mean_paths = mean_paths  # type: ignore[method-assign,assignment]

    def timed(call: Callable[[], object]) -> float:
        call()
        return 2.0 + asked[-1]

    assert original.seconds(timed, market(1), 1, LATER) == pytest.approx(2 + HORIZON)
    assert original.seconds(timed, market(1), 1, HORIZON) == pytest.approx(2 + HORIZON)
    assert asked == [3, 1, 24]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="give a checkout"):
        Original(tmp_path, folders["tiny"], device="cpu", max_context=512)


def test_runs_are_in_turn_and_their_medians_are_kept() -> None:
    order: list[str] = []
    figures = {"a": iter([1.0, 9.0, 2.0]), "b": iter([4.0, 5.0, 6.0])}

    def call(name: str) -> float:
        order.append(name)
        return next(figures[name])

    assert interleaved({name: lambda name=name: call(name) for name in "ab"}, 3) == {"a": 2.0, "b": 5.0}  # type: ignore[misc]
    assert "".join(order) == "ababab"


def test_the_floor_counts_what_must_be_computed_and_read(models: dict[str, Kronos]) -> None:
    kronos, one = models["mini"], Cell(size="mini", series=1, samples=1)
    slow, fast = Ceiling(gflops=100.0, gbytes=20.0), Ceiling(gflops=200.0, gbytes=40.0)
    floor = floor_seconds(kronos, one, slow, slow)
    assert floor == pytest.approx(2 * floor_seconds(kronos, one, fast, fast))
    assert floor == pytest.approx(0.075, rel=0.1)  # by hand: 2.5 + 3.3 Gflop of context, 23 steps of 15 MB
    many = floor_seconds(kronos, Cell(size="mini", series=8, samples=30), slow, slow)
    assert 8 * floor < many < 240 * floor


def test_bfloat16_is_close_to_float32_and_the_measure_says_how_close(
    folders: dict[str, Path], models: dict[str, Kronos]
) -> None:
    from forecasters.kronos import load_kronos

    same = accuracy(models["tiny"], models["tiny"], market(2))
    assert (same.s1_total_variation_worst, same.logit_difference, same.greedy_agreement) == (0.0, 0.0, 1.0)
    half = accuracy(models["tiny"], load_kronos(folders["tiny"], dtype="bfloat16"), market(2))
    assert 0 < half.s1_total_variation_mean <= half.s1_total_variation_worst < 0.01
    assert 0 < half.logit_difference < 0.1
    assert 0 < half.greedy_agreement <= 1


def test_memory_stays_where_it_was_over_a_hundred_forecasts(models: dict[str, Kronos]) -> None:
    grown = growth(models["two bits"], market(1, 30, 2), NUCLEUS, forecasts=100, samples=2, horizon=2)
    assert grown.forecasts == 100
    assert grown.growth_mb < 20
    assert grown.peak_mb >= grown.end_mb > 0


def test_the_command_prints_a_row_for_each_cell_and_writes_it(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    arguments = ["bench", "kronos", "--sizes", "tiny", "--samples", "2", "--series", "1", "--repeats", "1"]
    arguments += [
        "--no-compile",
        "--dtypes",
        "float32",
        "--forecasts",
        "3",
        "--upstream",
        str(checkout),
        "--out",
        str(out),
    ]
    told = CliRunner().invoke(cli, arguments)
    assert told.exit_code == 0, told.output
    found = json.loads(out.read_text())
    assert [finding["kind"] for finding in found] == ["machine", "row", "growth"]
    row = found[1]
    assert set(row["seconds"]) == {"eager float32", "original"}
    assert row["original_extrapolated"] is False
    assert 0 < row["of_the_limit"]["eager float32"] < 1
    assert row["difference_sd"] > 1  # the stand-in's zeros are no forecast
    assert "standard deviations at most" in told.output
    assert "eager: 3 forecasts" in told.output


def test_a_folder_without_the_original_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["bench", "kronos", "--upstream", str(tmp_path)])
    assert told.exit_code == 2
    assert "model/kronos.py" in told.output
    assert "samples way" not in told.output


def test_an_extrapolated_original_is_marked() -> None:
    row = {
        "kind": "row",
        "size": "base",
        "series": 8,
        "samples": 30,
        "seconds": {"eager float32": 20.0, "compiled float32": 10.0, "original": 6000.0},
        "times_original": {"eager float32": 300.0, "compiled float32": 600.0},
        "times_eager": {"compiled float32": 2.0},
        "of_the_limit": {"eager float32": 0.3, "compiled float32": 0.6},
        "first_call_s": {"compiled float32": 31.0},
        "original_extrapolated": True,
        "peak_mb": 900,
    }
    shown = lines(row)
    assert shown[1].split() == ["base", "x8", "30", "compiled", "float32", "10.000", "600.0x", "2.00x", "60%", "31.0"]
    assert shown[2].split() == ["base", "x8", "30", "original", "6000.000*"]
    assert "* extrapolated" in shown[3]
