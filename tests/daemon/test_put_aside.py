"""A simulation that starts anew keeps what the last ones left, and says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from trader.daemon.put_aside import KEPT
from trader.daemon.simulation import SimFolder


def begun(state: Path, content: str, *options: str, fresh: bool = False) -> tuple[bool, list[str]]:
    """Whether it goes on, and what it says; then the run writes `content`."""
    said: list[str] = []
    folder, journal = SimFolder(state / "sim", options), state / "journal-sim.db"
    goes_on = folder.begin(journal, fresh=fresh, say=said.append)
    for file in (folder.ledger, journal, state / "sim/exchange.db-wal"):
        file.write_text(content)
    return goes_on, said


def ended(state: Path, *options: str) -> None:
    SimFolder(state / "sim", options).ended()


def test_what_a_finished_run_left_is_put_aside_and_said(tmp_path: Path) -> None:
    assert begun(tmp_path, "first") == (False, [])
    ended(tmp_path)
    goes_on, said = begun(tmp_path, "second")
    (folder,) = (tmp_path / "sim/earlier").iterdir()
    assert not goes_on
    assert len(said) == 1
    assert str(folder) in said[0]
    assert "stopped cleanly" in said[0]
    assert {file.name: file.read_text() for file in folder.iterdir()} == dict.fromkeys(
        ("exchange.db", "journal-sim.db", "exchange.db-wal"), "first"
    )


@pytest.mark.parametrize(
    ("options", "fresh", "why"), [(("--seed", "2"), False, "other options"), ((), True, "--fresh")]
)
def test_so_is_that_of_one_that_was_cut_off(tmp_path: Path, options: tuple[str, ...], fresh: bool, why: str) -> None:
    begun(tmp_path, "first")
    goes_on, said = begun(tmp_path, "second", *options, fresh=fresh)
    assert (goes_on, why in said[0]) == (False, True), said
    assert [file.read_text() for file in (tmp_path / "sim/earlier").glob("*/journal-sim.db")] == ["first"]


def test_one_that_goes_on_keeps_its_own(tmp_path: Path) -> None:
    begun(tmp_path, "first")
    assert begun(tmp_path, "second") == (True, [])
    assert not (tmp_path / "sim/earlier").exists()


def test_only_the_newest_few_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        begun(tmp_path, str(number), fresh=True)
    kept = [file.read_text() for file in sorted((tmp_path / "sim/earlier").glob("*/journal-sim.db"))]
    assert kept == [str(number) for number in range(2, KEPT + 2)]
