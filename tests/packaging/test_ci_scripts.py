"""What the Makefile stands on: a lock that is whole on every Python, and the folders that `make pythons` leaves out."""

from __future__ import annotations

import re
import runpy
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked(environment: dict[str, str]) -> set[str]:
    """What the lock installs in such an environment."""
    lock = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = map(Requirement, re.findall(r"^([\w.-]+==[^\\\n]+)", lock, flags=re.MULTILINE))
    return {canonicalize_name(pin.name) for pin in pins if pin.marker is None or pin.marker.evaluate(environment)}


def needed_by(package: str, environment: dict[str, str]) -> set[str]:
    """Nothing where it is not installed here."""
    try:
        needs = [Requirement(line) for line in requires(package) or ()]
    except PackageNotFoundError:
        return set()
    return {canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate(environment)}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_has_all_that_its_packages_need(python: str) -> None:
    """Also where a package has one version for old Pythons and another for new ones."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    there = locked(environment)
    missing = {name: lacks for name in sorted(there) if (lacks := needed_by(name, environment) - there)}
    assert len(there) > 100
    assert not missing


def test_what_make_pythons_leaves_out_is_there() -> None:
    for name in runpy.run_path(str(ROOT / ".ci/pythons.py"))["NOT_QUICK"]:
        assert (ROOT / "tests" / name).is_dir(), f"{name}: pytest ignores a folder that is not there without a word"
