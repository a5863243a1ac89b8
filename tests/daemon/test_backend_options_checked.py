"""Every OPTIONS__NAME__FIELD is looked at before anything starts, whichever backend is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecasters.registry import GROUP
from settings.load import load
from tests.e2e.running import ask
from tests.packages import install
from trader.daemon.forecaster import check_backend
from trader.errors import ConfigurationError

LENIENT = """
    from pydantic import BaseModel

    class Options(BaseModel):  # it forbids nothing: pydantic would pass over a misspelt name
        trees: int = 5

    def requires():
        return []

    def build(options):
        raise NotImplementedError
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # of the process that asks it
    install(tmp_path, "forests", GROUP, {"my-forest": "forests"}, forests=LENIENT)
    return tmp_path


def problem(folder: Path, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        check_backend(load(environ=environ, folder=folder).settings)
    assert raised.value.exit_code == 78
    return str(raised.value)


def test_a_misspelt_option_of_the_chosen_backend_is_one(site: Path) -> None:
    said = problem(site, FORECASTER="my-forest", OPTIONS__MY_FOREST__TREEZ="5")
    assert "treez: there is no such option, did you mean 'trees'?" in said


def test_so_is_one_of_ours_that_is_not_chosen(site: Path) -> None:
    said = problem(site, FORECASTER="my-forest", OPTIONS__BASELINE__SAMPELS="5")
    assert "did you mean 'samples'?" in said


def test_of_another_package_that_is_not_chosen_only_the_name_is_looked_at(site: Path) -> None:
    """To know its options its code would have to run."""
    check_backend(load(environ={"OPTIONS__MY_FOREST__TREEZ": "5"}, folder=site).settings)


def test_a_wrong_value_is_one_too(site: Path) -> None:
    said = problem(site, FORECASTER="my-forest", OPTIONS__MY_FOREST__TREES="many")
    assert "trees: input should be a valid integer" in said


def test_a_backend_that_is_not_there_is_named_with_the_nearest(site: Path) -> None:
    assert "no backend is called 'my_forst': did you mean 'my_forest'?" in problem(site, OPTIONS__MY_FORST__TREES="5")


def test_a_family_with_settings_of_its_own_takes_no_options(site: Path) -> None:
    assert "right: KRONOS_" in problem(site, OPTIONS__KRONOS__SAMPLE_COUNT="5")


def test_right_options_are_no_problem(site: Path) -> None:
    check_backend(load(environ={"FORECASTER": "my-forest", "OPTIONS__MY_FOREST__TREES": "5"}, folder=site).settings)


def test_a_worker_of_its_own_unit_is_asked_when_it_is_connected(site: Path) -> None:
    environ = {"OPTIONS__ELSEWHERE__DEPTH": "5", "WORKER_SOCKET": "/run/forecaster.sock"}
    check_backend(load(environ=environ, folder=site).settings)


@pytest.mark.parametrize("command", [("run", "--plain"), ("check",), ("backtest", "--generated", "--cycles", "2")])
def test_no_command_starts_with_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    answer = ask(tmp_path, *command, OPTIONS__BASELINE__SAMPELS="64", LOG_LEVEL="ERROR")
    assert answer.code == (1 if command == ("check",) else 78)
    assert "did you mean 'samples'" in answer.out + answer.err
