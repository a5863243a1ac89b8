"""`trader bench toto` measures what it says, without the published packages as well."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from forecasters.toto.original.peer import PeerFailed, command_for

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from trader.commands.upkeep import bench


def test_a_row_for_each_question_and_a_line_for_each_process() -> None:
    command = ["toto", "--sizes", "tiny,tiny-1.0", "--series", "1,2", "--horizons", "64", "--samples", "4"]
    command += ["--repeats", "1", "--forecasts", "10", "--no-compiled", "--context", "128", "--json"]
    done = CliRunner().invoke(bench, command, catch_exceptions=False)
    found = json.loads(done.stdout)
    assert [(row["size"], row["series"], row["samples"]) for row in found["rows"]] == [
        ("tiny", 1, None),
        ("tiny", 2, None),
        ("tiny-1.0", 1, 4),
        ("tiny-1.0", 2, 4),
    ]
    assert all(0 < row["limit"]["eager"] < 1 for row in found["rows"])
    assert all(side["peak_mb"] >= side["loaded_mb"] > 0 and side["grown_mb"] is not None for side in found["sides"])


def test_packages_are_named_by_a_python_an_environment_or_a_folder(tmp_path: Path) -> None:
    python = tmp_path / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert command_for(python)[0][0] == command_for(python.parents[1])[0][0] == str(python)
    command, environment = command_for(tmp_path)
    assert command[0] == sys.executable
    assert environment["PYTHONPATH"].split(":")[0] == str(tmp_path)
    with pytest.raises(PeerFailed, match="neither a Python nor a folder"):
        command_for(tmp_path / "nowhere")
