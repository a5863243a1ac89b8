"""The installer of the Makefile, with a lock and packages of its own: sets, hashes, and what is left of a cut-off one.

No index is asked: the packages are two small wheels in a folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def wheel(folder: Path, name: str) -> None:
    """A package that is one empty module."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*archive.namelist(), f"{info}/RECORD"]))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    shutil.copy("../wheels/program-1.0-py3-none-any.whl", folder)
    return "program-1.0-py3-none-any.whl"
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


class Checkout:
    """A folder with our Makefile and installer, a program, and a lock that names two packages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder / "checkout", folder / "wheels"
        self.environment = self.folder / ".venv"
        if not self.wheels.is_dir():
            self.wheels.mkdir()
            for name in ("oneofbase", "oneofextra", "program"):
                wheel(self.wheels, name)
            shutil.copytree(ROOT / ".ci", self.folder / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "Makefile", self.folder)
            (self.folder / "backend.py").write_text(BACKEND)
            (self.folder / "pyproject.toml").write_text(PROJECT)
            self.write_lock()

    def write_lock(self, **wrong: str) -> None:
        right = {path.name.split("-")[0]: digest(path) for path in self.wheels.iterdir()}
        hashes = right | wrong
        (self.folder / "constraints.txt").write_text(
            "# The lock\n"
            f"\n# for base\noneofbase==1.0 \\\n    --hash=sha256:{hashes['oneofbase']}\n"
            f"\n# for extra, other\noneofextra==1.0 \\\n    --hash=sha256:{hashes['oneofextra']}\n"
        )

    def install(self, *sets: str) -> subprocess.CompletedProcess[str]:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [sys.executable, ".ci/install.py", *sets],
            cwd=self.folder, env={**os.environ, **offline}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def has(self, module: str) -> bool:
        return bool(list(self.environment.glob(f"lib/python3*/site-packages/{module}.py")))


@pytest.fixture(scope="module")
def with_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    done = Checkout(folder).install("base")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def checkout(with_base: Path, tmp_path: Path) -> Checkout:
    """With the base installed. pip works in the copy of an environment, too."""
    shutil.copytree(with_base, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")


def test_a_set_is_installed_from_its_part_of_the_lock_and_the_second_time_nothing_is_done(checkout: Checkout) -> None:
    assert checkout.has("oneofbase")
    assert not checkout.has("oneofextra")
    first = checkout.install("extra")
    assert first.returncode == 0, first.stderr
    assert "extra is installed: 0 MB downloaded" in first.stdout
    assert checkout.has("oneofextra")
    assert checkout.install("extra").stdout == ""


def test_a_file_with_another_hash_is_refused_and_the_set_counts_as_missing(checkout: Checkout) -> None:
    checkout.write_lock(oneofextra="0" * 64)
    refused = checkout.install("extra")
    assert refused.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert not checkout.has("oneofextra")
    checkout.write_lock()
    assert checkout.install("extra").returncode == 0
    assert checkout.has("oneofextra")


def test_after_a_cut_while_unpacking_the_environment_is_made_anew_with_all_that_it_had(checkout: Checkout) -> None:
    checkout.install("other")
    (module,) = checkout.environment.glob("lib/python3*/site-packages/oneofbase.py")
    module.unlink()  # half a package, which pip takes for a whole one
    (checkout.environment / ".unpacking").touch()
    resumed = checkout.install("extra")
    assert resumed.returncode == 0, resumed.stderr
    assert "the last installation was cut off; .venv is made anew" in resumed.stdout
    assert checkout.has("oneofbase")
    assert sorted(path.name for path in checkout.environment.glob(".has-*")) == [
        ".has-base",
        ".has-extra",
        ".has-other",
    ]
    assert checkout.install("extra").stdout == ""


def test_make_looks_at_the_stamps_alone(checkout: Checkout) -> None:
    checkout.install("extra")
    words = ["make", "--question", ".venv/.has-extra"]
    assert subprocess.run(words, cwd=checkout.folder, check=False).returncode == 0
    os.utime(checkout.folder / "constraints.txt")
    assert subprocess.run(words, cwd=checkout.folder, check=False).returncode == 1


def test_a_second_installation_waits_for_the_first(checkout: Checkout) -> None:
    folder = os.open(checkout.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with subprocess.Popen(
        [sys.executable, ".ci/install.py"], cwd=checkout.folder, stdout=subprocess.PIPE, text=True
    ) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == "make: waiting for another installation to end\n"
        os.close(folder)
        assert second.wait(60) == 0


def test_every_package_of_the_lock_has_a_version_a_hash_and_a_set() -> None:
    blocks = (ROOT / "constraints.txt").read_text().split("\n# for ")[1:]
    assert len(blocks) > 100
    for block in blocks:
        sets, _, lines = block.partition("\n")
        assert sets, lines
        assert "==" in lines.splitlines()[0]
        assert "--hash=sha256:" in lines, lines
