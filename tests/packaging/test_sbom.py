"""What `make sbom` says of the packages, which licences it lets through, and that what builds the package is pinned."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci/sbom.py"
SBOM = runpy.run_path(str(SCRIPT))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package(name: str, *licences: dict[str, Any]) -> dict[str, Any]:
    return {"bom-ref": f"{name}==1", "name": name, "version": "1", "licenses": list(licences)}


def bom(*packages: dict[str, Any]) -> dict[str, Any]:
    dependencies = [{"ref": each["bom-ref"]} for each in packages]
    return {"metadata": {"component": {"name": "trader"}}, "components": packages, "dependencies": dependencies}


def refused(*packages: dict[str, Any]) -> list[str]:
    found: list[str] = SBOM["refused"](SBOM["licences_of"](bom(*packages)))
    return found


@pytest.mark.parametrize(
    "said",
    [
        {"license": {"id": "MIT"}},
        {"license": {"name": "License :: OSI Approved :: BSD License"}},
        {"expression": "MIT AND PSF-2.0"},
        {"expression": "GPL-3.0-only OR MIT"},
        {"expression": "GPL-3.0-only AND MIT OR Apache-2.0 WITH LLVM-exception AND MIT"},
    ],
    ids=str,
)
def test_a_licence_on_the_list_is_let_through(said: dict[str, Any]) -> None:
    assert refused(package("p", said)) == []


@pytest.mark.parametrize(
    "said",
    [
        {"license": {"id": "GPL-3.0-only"}},
        {"license": {"id": "LGPL-3.0-only"}},  # of psycopg alone it was looked at
        {"license": {"name": "License :: Other/Proprietary License"}},
        {"license": {"name": ""}},
        {"expression": "MIT AND GPL-3.0-only"},
        {"expression": "GPL-3.0-only OR MIT AND AGPL-3.0-only"},
        {"expression": "MIT AND (MIT OR GPL-3.0-only)"},  # brackets are not read: as a whole, or not at all
    ],
    ids=str,
)
def test_any_other_licence_is_refused(said: dict[str, Any]) -> None:
    (line,) = refused(package("p", said))
    assert line.startswith("p 1: ")
    assert line.endswith(" is not on the list of .ci/sbom.py")


def test_one_of_two_licences_is_not_enough_and_none_is_refused() -> None:
    assert len(refused(package("p", {"license": {"id": "MIT"}}, {"license": {"id": "GPL-2.0-only"}}))) == 1
    assert refused(package("p")) == ["p 1 names no licence; right: read it, then put it into SILENT of .ci/sbom.py"]


def test_what_was_looked_at_for_one_package_holds_for_no_other() -> None:
    lesser = {"license": {"id": "LGPL-3.0-only"}}
    assert refused(package("psycopg", lesser), package("nvidia-nccl-cu13", {"license": {"name": "NVIDIA's"}})) == []
    assert len(refused(package("psycopg2", lesser))) == 1


def test_each_package_is_told_by_what_needs_it_and_the_checkout_is_none() -> None:
    lock = "\n# for base\na-b==1 \\\n\n# for dev, models\nc==1 \\\n\n# for audit, sbom\nd==1 \\\n"
    names = ("trader", "A_b", "c", "d", "theirs")
    told = SBOM["told_apart"](bom(*map(package, names)), SBOM["sets_of"](lock))
    scopes = {each["name"]: each.get("scope") for each in told["components"]}
    assert scopes == {"A_b": "required", "c": "optional", "d": "excluded", "theirs": None}
    assert {"ref": "trader==1"} not in told["dependencies"]


def test_every_group_and_extra_is_known_to_be_a_tool_or_a_part_of_the_program() -> None:
    tools, extras = SBOM["TOOLS"], set(PROJECT["project"]["optional-dependencies"])
    assert tools - extras == set(PROJECT["dependency-groups"])
    assert extras - tools == {"models", "postgres", "research"}


@pytest.mark.slow  # `make sbom` says the same, in .ci/run
def test_the_whole_of_this_environment(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py", reason="cyclonedx-bom is not installed: make sbom")
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "sbom.json").read_text())
    assert (found["bomFormat"], found["metadata"]["component"]["name"]) == ("CycloneDX", "trader")
    scopes = {each["name"].lower(): each.get("scope") for each in found["components"]}
    assert (scopes["numpy"], scopes["pytest"]) == ("required", "excluded")
    assert str(ROOT) not in (tmp_path / "sbom.json").read_text()
    assert len((tmp_path / "licences.txt").read_text().splitlines()) == len(scopes)


def test_what_builds_the_package_is_the_version_of_the_lock() -> None:
    (pinned,) = PROJECT["build-system"]["requires"]
    assert f"\n{pinned} \\\n    --hash=sha256:" in (ROOT / "constraints.txt").read_text(), "renew it with the lock"
