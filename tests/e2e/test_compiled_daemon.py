"""The daemon on a compiled model, offline, with a seeded checkpoint: it serves, or says why not and goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from tests.e2e.running import Answer, ask, trouble_in

pytestmark = pytest.mark.timeout(300)  # interpreters with torch in them, several at once on a busy machine


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    made = ask(folder.parent, "backends", "make-checkpoint", "kronos", "--size", "tiny", str(folder))
    assert made.code == 0, made.err
    assert "knows nothing" in made.out
    return folder


def run(state: Path, checkpoint: Path, **more: str) -> Answer:
    settings = {
        "FORECASTER": "kronos-compiled",
        "KRONOS_MODEL_ID": str(checkpoint),
        "KRONOS_SAMPLE_COUNT": "8",
        "KRONOS_DEVICE": "cpu",
        "COMPILED_MODELS_DIR": str(state / "compiled"),
        "SYMBOLS": "BTC/USD,ETH/USD",
        "CONTEXT": "100",
        "HF_HUB_OFFLINE": "1",
        **more,
    }
    return ask(state, "run", "--plain", "--speed", "max", "--cycles", "3", timeout=250, **settings)


def last_said(state: Path) -> str:
    answer = ask(state, "backends", "--json")
    assert answer.code == 0, answer.err
    assert isinstance(answer.data, list)
    (kronos,) = [each for each in answer.data if each["name"] == "kronos"]
    return str(kronos["last"]["kronos-compiled"])


def modes(state: Path) -> set[tuple[str, str]]:
    """Backend and compile mode of the forecasts in the journal."""
    (file,) = state.glob("*.db")
    with sqlite3.connect(file) as database:
        return set(database.execute("select backend, compile_mode from forecasts"))


def test_it_runs_on_the_compiled_model_and_says_how_it_was_compiled(checkpoint: Path, tmp_path: Path) -> None:
    done = run(tmp_path, checkpoint, KRONOS_COMPILE_BACKEND="eager")
    assert done.code == 0, done.err
    assert trouble_in(done.out + done.err) == []
    assert "serves: 1 graphs in " in last_said(tmp_path)
    assert modes(tmp_path) == {("kronos", "compiled (eager)")}


def test_without_a_compiler_it_runs_eager_and_an_alert_says_what_to_install(checkpoint: Path, tmp_path: Path) -> None:
    done = run(tmp_path, checkpoint, CXX="/nowhere/g++")
    assert done.code == 0, done.err
    assert "apt-get install g++" in last_said(tmp_path)
    assert modes(tmp_path) == {("kronos", "eager (fallback)")}
    status = ask(tmp_path, "status", "--json")
    assert "apt-get install g++" in str(status.data)
