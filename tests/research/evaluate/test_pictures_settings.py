"""What lies in the working folder is no setting of our pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install the extra `research`")

ROOT = Path(__file__).parents[3]
SHOWN = """
from trader.research.report.pictures import figure_class
figure_class()
import matplotlib
print(matplotlib.rcParams["axes.facecolor"])
"""


def test_a_planted_matplotlibrc_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: badbad\n")
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOWN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.stdout.split() == ["white"], shown.stderr
