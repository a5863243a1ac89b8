"""The published figures, fabricated for a checkpoint of our own: what agrees passes, what does not is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos import verify
from forecasters.kronos.files import CheckpointError
from tests.forecasters.support import bars, hours
from trader.cli import cli

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

STEPS = 2


def frame(count: int, first: int = 0) -> pd.DataFrame:
    table = pd.DataFrame(bars(600)[first : first + count], columns=verify.COLUMNS)
    table.insert(0, "timestamps", pd.to_datetime(hours(600)[first : first + count]))
    return table


@pytest.fixture(scope="session")
def checkout(models: dict[str, Kronos], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the original's: bars, and what the model says after the first 512 and 256 of them."""
    root = tmp_path_factory.mktemp("upstream")
    data = root / verify.DATA
    data.mkdir(parents=True)
    frame(600).to_csv(data / verify.INPUT, index=False)
    given = pd.read_csv(data / verify.INPUT, parse_dates=["timestamps"])
    for context in verify.CONTEXTS:
        expected = frame(STEPS, context)
        expected[verify.COLUMNS] = verify._greedy(models["two bits"], given, context, context, STEPS)
        expected.to_csv(data / f"regression_output_{context}.csv", index=False)
    return root


def tampered(checkout: Path, folder: Path, factor: float) -> Path:
    """A copy with one number changed."""
    (folder / verify.DATA).mkdir(parents=True)
    for file in (checkout / verify.DATA).iterdir():
        (folder / verify.DATA / file.name).write_bytes(file.read_bytes())
    wrong = folder / verify.DATA / "regression_output_256.csv"
    table = pd.read_csv(wrong)
    table.loc[1, "low"] *= factor
    table.to_csv(wrong, index=False)
    return folder


def test_what_agrees_passes_also_where_the_window_slides(models: dict[str, Kronos], checkout: Path) -> None:
    kronos = models["two bits"]
    assert kronos.max_context < max(verify.CONTEXTS)
    checks = list(verify.verify(kronos, checkout / verify.DATA, {}))
    assert [check.name for check in checks] == ["context 512, 2 steps", "context 256, 2 steps"]
    assert all(check.passed for check in checks)


def test_one_number_that_is_off_by_a_ten_thousandth_fails_its_check_alone(
    models: dict[str, Kronos], checkout: Path, tmp_path: Path
) -> None:
    wrong = tampered(checkout, tmp_path / "wrong", 1.0001)
    checks = list(verify.verify(models["two bits"], wrong / verify.DATA, {}))
    assert [check.passed for check in checks] == [True, False]
    assert checks[1].found == pytest.approx(1e-4, rel=0.1)


def test_the_mean_squared_error_is_held_to_a_millionth(models: dict[str, Kronos], checkout: Path) -> None:
    given = pd.read_csv(checkout / verify.DATA / verify.INPUT, parse_dates=["timestamps"])
    error = verify.mean_squared_error(models["two bits"], given, 256)
    for wanted, passed in ((error + 5e-7, True), (error + 2e-6, False)):
        last = list(verify.verify(models["two bits"], checkout / verify.DATA, {256: wanted}))[-1]
        assert last.name == "context 256, error of 30 steps at 4 places"
        assert last.passed is passed


def test_a_checkout_without_its_data_is_refused_with_advice(models: dict[str, Kronos], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="give a whole checkout"):
        list(verify.verify(models["two bits"], tmp_path, {}))


def test_the_command_says_each_check_and_fails_where_one_does(
    folders: dict[str, Path], checkout: Path, tmp_path: Path
) -> None:
    wrong = tampered(checkout, tmp_path / "wrong", 1.01)
    arguments = ["backends", "verify", "kronos", "--model", str(folders["two bits"]), "--upstream"]
    told = CliRunner().invoke(cli, [*arguments, str(wrong)], standalone_mode=False)
    assert told.return_value == 1
    assert "ok  context 512, 2 steps: off by 0.0e+00, 1e-05 allowed" in told.output
    assert "OFF context 256, 2 steps: off by 9.9e-03, 1e-05 allowed" in told.output


def test_without_the_checkpoint_it_says_why(tmp_path: Path, checkout: Path) -> None:
    arguments = ["backends", "verify", "kronos", "--model", str(tmp_path / "none"), "--upstream", str(checkout)]
    told = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert told.return_value == 69
    assert "not verified: there is no folder" in told.output
