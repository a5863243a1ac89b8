"""Renews constraints.txt, the lock: `make lock`, or `make lock ARGS=--upgrade` for the newest of everything.

The resolver is uv's. It resolves for every Python and platform that the package allows at once, keeps the lock's
versions where pyproject.toml still allows them, and takes the hashes of all files from the package index. Added here:
which packages belong to which set (the base, an extra, a group), and the hashes of torch's builds without CUDA.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "constraints.txt"
PROJECT = ROOT / "pyproject.toml"
OLDEST = "3.11"

HEADER = """\
# The lock: every version that the Makefile installs, for Python 3.11 and later, with the hashes of its files.
# `make lock` renews it from pyproject.toml and keeps what it can; `make lock ARGS=--upgrade` takes the newest of all,
# ARGS='--upgrade-package NAME' of one. Then `make test lint audit`. Above each package stands what needs it: the base,
# an extra of pyproject.toml, one of its groups (setup, audit, sbom, lock), torch, or cuda (what torch with CUDA needs).
"""

# PyTorch's builds without CUDA lie in an index of its own, so the package index does not know their hashes. Those for
# Linux, Python 3.11 to 3.14. A newer torch needs new ones: without them pip refuses the build.
CPU_BUILDS = {
    "2.13.0": {
        "x86_64": (
            "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
            "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
            "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
            "d20fa53ee744502fa4c69818a720b05ca0d37abd055d4f6e66cae155114bc691",
        ),
        "aarch64": (
            "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
            "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",
            "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",
            "ca021f9eb2f8345c83fa03e3a04587308afb8df71bd472670b3ece00df58621c",
        ),
    },
}
CUDA = re.compile(r"nvidia-|cuda-|triton$")


def main(words: list[str]) -> int:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        print("lock: uv is not installed; right: make lock", file=sys.stderr)
        return 1
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    extras, groups = list(project["project"]["optional-dependencies"]), list(project["dependency-groups"])
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.txt"
        if LOCK.is_file():
            shutil.copy(LOCK, whole)  # an output file that is there already says which versions to keep
        every = ["--all-extras", *(f"--group={PROJECT}:{name}" for name in groups)]
        _compile(uv, *every, "--generate-hashes", "-o", str(whole), *words)
        blocks = list(_blocks(whole.read_text(encoding="utf-8")))
        pins = Path(folder) / "pins.txt"
        pins.write_text("".join(f"{block.partition(chr(10))[0].rstrip(' ' + chr(92))}\n" for _, block in blocks))
        base = _names(uv, pins)
        needed = {name: _names(uv, pins, f"--extra={name}") - base for name in extras}
        needed |= {name: _names(uv, pins, f"--group={PROJECT}:{name}") - base for name in groups}
    LOCK.write_text(_written(blocks, base, needed), encoding="utf-8")
    print(f"lock: {len(blocks)} packages in {LOCK.name}, {len(base)} of them the base")
    return 0


def _compile(uv: str, *words: str) -> str:
    command = [uv, "pip", "compile", str(PROJECT), "--universal", "--python-version", OLDEST]
    done = subprocess.run(
        [*command, "--no-header", "--no-annotate", "--quiet", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(done.returncode)  # uv has said why
    return done.stdout


def _names(uv: str, pins: Path, *words: str) -> set[str]:
    """What these parts of the project need, all told, in the versions of the lock."""
    return {line.partition("==")[0] for line in _compile(uv, "--constraint", str(pins), *words).splitlines() if line}


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each package's name and its lines: the version, then the hashes. One may come twice, for old and new Pythons."""
    for block in re.findall(r"^\S.*\n(?:[ \t]+.*\n)*", text, flags=re.MULTILINE):
        yield block.partition("==")[0], block


def _written(blocks: Iterable[tuple[str, str]], base: Iterable[str], needed: dict[str, set[str]]) -> str:
    parts = [HEADER]
    for name, block in blocks:
        if name in base:
            sets = ["base"]
        elif name == "torch":
            sets, block = ["torch"], _with_cpu_builds(block)
        elif CUDA.match(name):
            sets = ["cuda"]
        else:
            sets = sorted(each for each, names in needed.items() if name in names)
        parts.append(f"\n# for {', '.join(sets)}\n{block}")
    return "".join(parts)


def _with_cpu_builds(block: str) -> str:
    version = re.match(r"torch==([\w.]+)", block)
    builds = CPU_BUILDS.get(version[1] if version else "")
    if builds is None:
        print("lock: no hashes of this torch's builds without CUDA; put them into CPU_BUILDS of .ci/lock.py")
        return block
    lines = [f"--hash=sha256:{value}" for values in builds.values() for value in values]
    return block.rstrip("\n") + "".join(f" \\\n    {line}" for line in lines if line not in block) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
