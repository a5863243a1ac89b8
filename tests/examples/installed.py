"""An environment in which the program is installed as a wheel, quick and offline: all else is borrowed from ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("trader", "forecasters", "settings", "pyproject.toml", "README.md", "LICENSE")
OLDEST_SETUPTOOLS = 77  # as pyproject.toml has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """`folder` is the environment's; `home` stands for the user's."""

    folder: Path
    home: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def environment(self, **more: str) -> dict[str, str]:
        """pip neither downloads anything nor builds in an environment of its own."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "STATE_DIR": str(self.home / "state"),
            "OMP_NUM_THREADS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # as pip reads it: no isolation
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **more,
        }

    def run(self, command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(**more)
        return subprocess.run(
            ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )


def install(folder: Path) -> Installed:
    """The program's wheel in a new environment. Skips where a wheel can't be built offline."""
    if int(version("setuptools").partition(".")[0]) < OLDEST_SETUPTOOLS:
        pytest.skip(f"a wheel needs setuptools {OLDEST_SETUPTOOLS} here, since nothing is downloaded")
    source = folder / "source"
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / part, source / part)
    home = folder / "home"
    home.mkdir()
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    made = Installed(folder=folder / "venv", home=home)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(made.folder), "platbase": str(made.folder)}))
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    (place / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    _script(made, "pip")
    done = made.run(f"pip install -q {source}", folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


def _script(made: Installed, module: str) -> None:
    script = made.folder / "bin" / module
    script.write_text(f"#!{made.python}\nimport runpy\nrunpy.run_module({module!r}, run_name='__main__')\n")
    script.chmod(0o755)
