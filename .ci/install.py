"""Installs sets of constraints.txt into .venv, each file held against its hash: `python3 .ci/install.py base models`.

The Makefile calls it with the first Python that is new enough; nothing but that Python is needed. A set that is there
already costs nothing: .venv/.has-SET says so, and is younger than what it was made from.

    base            what the daemon needs; and the program itself, as an editable installation
    models          torch and what loads weights: PyTorch's build without CUDA
    models-cuda     the same with CUDA
    any other       an extra or a group of pyproject.toml

What is cut off is resumed. A cut while packages are being unpacked leaves half of one behind, which pip would take for
a whole one; so the environment is then made anew. What pip has kept of its downloads is not fetched again.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("INSTALL_INTO") or ROOT / ".venv")  # another place for another Python: `make pythons`
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "constraints.txt"
UNPACKING = VENV / ".unpacking"  # there while a kill would leave half a package behind
LOG = VENV / "install.log"
OLDEST = (3, 11)
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"

HELD = ("--require-hashes", "--no-deps")


class Failed(Exception):
    """The installation can't go on; the text says why."""


def main(sets: list[str]) -> int:
    if sys.version_info < OLDEST:
        print("make: this needs Python 3.11 or newer", file=sys.stderr)
        return 1
    try:
        with _alone():
            lost = _make_environment()
            for name in dict.fromkeys(["base", *lost, *sets]):
                _install_set(name)
    except Failed as failure:
        print(f"make: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmake: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _alone() -> Iterator[None]:
    """Two at once would unpack into each other. The kernel lets go of it however this process ends."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("make: waiting for another installation to end", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make_environment() -> list[str]:
    """.venv with a working pip, as it is or anew; the sets that it had and that are to be installed again."""
    cut_off = UNPACKING.exists()
    if not cut_off and _works():
        return []
    had = sorted(stamp.name.removeprefix(".has-") for stamp in VENV.glob(".has-*"))
    if cut_off:
        print(
            f"make: the last installation was cut off; {VENV.name} is made anew",
            flush=True,
        )
    print(f"make: creating {VENV.name} with Python {sys.version.split()[0]}", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
        raise Failed(f"{sys.executable} cannot make a virtual environment (on Debian: apt-get install python3-venv)")
    return had


def _works() -> bool:
    """Whether .venv has a Python that is new enough, and pip."""
    program = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([PYTHON, "-c", program], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def _install_set(name: str) -> None:
    """One set, unless it is there."""
    stamp = _stamp(name)
    made_from = [LOCK, *([ROOT / "pyproject.toml"] if name == "base" else [])]
    if stamp.exists() and all(stamp.stat().st_mtime >= path.stat().st_mtime for path in made_from):
        return
    began = time.monotonic()
    print(f"make: installing {name} from {LOCK.name}", flush=True)
    if name == "base":
        downloaded = _pip(*HELD, "-r", _requirements("base", "setup"))
        # The builder is in the environment by now, at the lock's version, so no other one is fetched for this.
        downloaded += _pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    elif name == "models":
        downloaded = _pip(*HELD, "-r", _requirements("models")) + _install_torch()
    elif name == "models-cuda":
        downloaded = _pip(*HELD, "-r", _requirements("models")) + _install_torch_with_cuda()
        _stamp("models").touch()
    else:
        downloaded = _pip(*HELD, "-r", _requirements(name))
    _compile()
    stamp.touch()
    took = (
        f"{downloaded:.0f} MB downloaded, {_size_mb(VENV):.0f} MB in {VENV.name} now, {time.monotonic() - began:.0f} s"
    )
    print(f"make: {name} is installed: {took}", flush=True)


def _stamp(name: str) -> Path:
    return VENV / f".has-{name}"


def _install_torch() -> float:
    """The build without CUDA, from PyTorch's own index; where that is out of reach the package index's, with CUDA."""
    if sys.platform != "linux":
        return _pip(*HELD, "-r", _requirements("torch"))  # there is but one
    try:
        # By its full name: pip would prefer a larger file whose hash it knows before it has looked into it.
        return _pip(*HELD, "--extra-index-url", CPU_BUILDS, "--retries", "1", "-r", _torch("+cpu"))
    except Failed as failure:
        if "No matching distribution" not in str(failure):
            raise
    print(f"make: {CPU_BUILDS} was not reached or has no such build: torch comes with CUDA", flush=True)
    return _install_torch_with_cuda()


def _install_torch_with_cuda() -> float:
    return _pip(*HELD, "-r", _torch("")) + _pip(*HELD, "-r", _requirements("cuda"))


def _torch(build: str) -> str:
    """The lock's torch in this build and no other: for two signs of equality 2.13.0+cpu is 2.13.0."""
    path = Path(_requirements("torch"))
    path.write_text(
        re.sub(r"^torch==([\w.]+)", rf"torch===\1{build}", path.read_text(encoding="utf-8")), encoding="utf-8"
    )
    return str(path)


def _requirements(*names: str) -> str:
    """A file with the lock's packages of these sets; its path."""
    blocks = LOCK.read_text(encoding="utf-8").split("\n# for ")[1:]
    parts = [block.partition("\n") for block in blocks]
    chosen = [lines for sets, _, lines in parts if set(names) & set(sets.split(", "))]
    if not chosen:
        raise Failed(f"{LOCK.name} has no packages for {' or '.join(names)}")
    path = VENV / f"{names[0]}.txt"
    path.write_text("\n".join(chosen), encoding="utf-8")
    return str(path)


def _pip(*words: str) -> float:
    """Run pip and show the step that it is at; the megabytes that it downloaded."""
    said: list[str] = []
    how = ("--disable-pip-version-check", "--no-compile", "--progress-bar", "off")
    UNPACKING.touch()
    with subprocess.Popen(
        [PYTHON, "-m", "pip", "install", *how, *words], stdout=PIPE, stderr=STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                said.append(line)
                _show(line.strip())
        finally:
            if not any(line.startswith("Installing collected") for line in said):
                UNPACKING.unlink()  # nothing was touched yet
            with LOG.open("a", encoding="utf-8") as log:
                log.writelines(said)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if pip.returncode:
        told = [line for line in said if not line.startswith("WARNING: Location")]
        raise Failed(f"the installation failed; the last lines of {LOG}:\n{''.join(told[-15:])}".rstrip())
    UNPACKING.unlink(missing_ok=True)
    return sum(map(_megabytes, said))


def _compile() -> None:
    """Byte code for all users of the environment, on all cores. pip would do it on one, the packages' own tests too."""
    folder = subprocess.run(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], stdout=PIPE, text=True, check=True
    ).stdout.strip()
    # Templates that are no Python are among the files; what can't be compiled is none of our business.
    subprocess.run([PYTHON, "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/", folder], stdout=PIPE, stderr=STDOUT)


def _megabytes(line: str) -> float:
    found = re.match(r"\s*Downloading .*\((\d[\d.]*) ([kMG])B\)", line)
    return float(found[1]) * {"k": 1e-3, "M": 1.0, "G": 1e3}[found[2]] if found else 0.0


def _show(line: str) -> None:
    """On a terminal the step that pip is at, on one line; elsewhere only what takes long."""
    live = sys.stdout.isatty()
    if live and re.match(r"Collecting|Downloading|Building|Preparing|Installing", line):
        print(f"\r\033[K  {line:.70}", end="", flush=True)
    elif not live and re.match(r"Downloading .*\d\d\.\d MB|Installing collected", line):
        print(f"  {line:.70}", flush=True)


def _size_mb(folder: Path) -> float:
    """What a folder takes on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(place, name)).st_blocks for name in names)
    return total * 512 / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
