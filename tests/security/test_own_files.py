"""What a run leaves on the disk is its owner's alone, whatever the shell's umask was."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import environment
from trader.folders import put

TRADER = str(Path(sys.executable).with_name("trader"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [TRADER, *words]
    more = environment(folder / "state", LOG_LEVEL="ERROR", XDG_CACHE_HOME=str(folder / "cache"))
    return subprocess.run(command, cwd=folder, env=more, umask=0, capture_output=True, text=True, check=False)


def open_to_others(folder: Path, mask: int) -> list[str]:
    everything = [path for top in folder.iterdir() for path in (top, *top.rglob("*"))]
    assert len(everything) > 5
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in everything if not path.is_symlink()}
    return [f"{path} {mode:o}" for path, mode in modes.items() if mode & mask]


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("options", "mask"), [((), 0o077), (("--umask", "027"), 0o027)])
def test_journal_ledger_logs_and_reports_are_its_owners_alone(
    options: tuple[str, ...], mask: int, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)  # as versions of before made it
    quick = ("run", "--plain", "--speed", "max", "--cycles", "1")
    done = run(tmp_path, *options, *quick)
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, *options, "report", "--mode", "sim").returncode == 0
    assert open_to_others(tmp_path, mask) == []
    if mask == 0o027:
        assert stat.S_IMODE((tmp_path / "state/journal-sim.db").stat().st_mode) & 0o040  # which was the purpose


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    """Of another user's, tests/security/test_second_user_looks.py tells."""
    (tmp_path / "there").write_text("a longer text of before")
    (tmp_path / "link").symlink_to("there")
    put(tmp_path / "link", "new")
    assert ((tmp_path / "there").read_text(), (tmp_path / "link").is_symlink()) == ("new", True)


@pytest.mark.parametrize("umask", ["0", "000", "002", "07", "99", "x"])
def test_a_umask_that_lets_others_write_is_refused(umask: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--umask", umask, "config", "show")
    assert done.returncode == 2
    assert "lets nobody else write" in done.stderr
    assert os.listdir(tmp_path) == []
