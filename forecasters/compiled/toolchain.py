"""What compiling needs of the machine: a compiler, Python's headers, a folder that can be written and run from."""

from __future__ import annotations

import hashlib
import mmap
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from settings.trust import close_to_others, distrust


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFolder:
    """Where compiled code is kept.

    problem   why it is not where it was wanted; empty where it is
    unusable  why no code can be run from it either; empty where it can
    """

    path: Path
    problem: str
    unusable: str = ""

    def lacking(self) -> list[str]:
        """What compiling needs and is not to be had here."""
        return [*missing_tools(), *([self.unusable] if self.unusable else [])]


def missing_tools() -> list[str]:
    """What the code generator lacks here, each with the package that brings it. On a CPU and on a GPU alike."""
    missing = []
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        missing.append(f"a C++ compiler: there is no {compiler} on the PATH (Debian: apt-get install g++)")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        missing.append(f"the headers of Python {version} (Debian: apt-get install python{version}-dev)")
    return missing


def use_cache_folder(folder: str, inductor: str = "") -> CacheFolder:
    """Tells the compilers where to keep what they make: for this process and those that it starts.

    folder    made if need be; one that can't be written or run from, or that others can write, is replaced, never
              fatal: what lies in it is run. Empty: the user's own
    inductor  the folder of torch's own compiler; empty: `inductor` in the first, in it one for each kind of processor
    To be called before anything is compiled.
    """
    own = _users_own(os.environ)
    places = [*([Path(folder).expanduser()] if folder else []), *([own] if own else [])]
    path, problems = _first_usable(places)
    if path not in places and own is None:
        problems.append("HOME is not set")
    if unusable := "" if path in places else _why_not(path):
        # where nothing may be run a compiler would work for minutes, fail, and try again each hour
        problems.append(unusable)
    default = path / "inductor" / processor()  # it is told to use all that this processor can do
    inductor_folder = Path(inductor).expanduser() if inductor else default
    refused = _why_not(inductor_folder)
    if refused:
        problems.append(refused)
        inductor_folder = default
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(inductor_folder)
    os.environ["TRITON_CACHE_DIR"] = str(path / "triton")
    _keep_temporary_files([*([own / "tmp"] if own else []), path / "tmp"])
    if unusable:
        advice = f"a folder for compiled code that may be run: {'; '.join(problems)}; set COMPILED_MODELS_DIR to one"
        return CacheFolder(path=path, problem="", unusable=advice)
    problem = f"{'; '.join(problems)}: compiled code is kept in {path} instead" if problems else ""
    return CacheFolder(path=path, problem=problem)


def _keep_temporary_files(folders: Sequence[Path]) -> None:
    """torch keeps headers that it has compiled in a folder of the temporary one whose name anybody can guess, and
    believes what it finds there. Here it is nobody else's, and found again at the next start, whatever is compiled."""
    usable = next((folder for folder in folders if not _why_not(folder)), None)
    if usable is not None:
        os.environ["TMPDIR"], tempfile.tempdir = str(usable), None


def processor() -> str:
    """A name for all that this processor can do: one that can do other things has another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    return f"{platform.machine()}-{_abilities(lines)}"


def _abilities(lines: Sequence[str]) -> str:
    """Of /proc/cpuinfo, without what changes from core to core and from moment to moment."""
    telling = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU ")
    told = {line for line in lines if line.startswith(telling)} or set(lines)
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:12]


def _first_usable(places: list[Path]) -> tuple[Path, list[str]]:
    problems: list[str] = []
    for place in places:
        refused = _why_not(place)
        if not refused:
            return place, problems
        problems.append(refused)
    return Path(tempfile.mkdtemp(prefix="trader-compiled-")), problems


def _users_own(environ: Mapping[str, str]) -> Path | None:
    """None without a home: a name that everybody knows in /tmp is anybody's, and what is kept here is run."""
    base, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if not base.startswith("/") and not home:
        return None
    return (Path(base) if base.startswith("/") else Path(home) / ".cache") / "trader/compiled"


def _why_not(folder: Path) -> str:
    """Found out by writing and running: permissions say little about a mount or a full disk, and not all systems tell
    of a mount on which nothing may be run."""
    if why := distrust(folder):
        return f"{folder} is not used: {why}"
    try:
        close_to_others(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
            file.flush()
            return f"{folder} is mounted noexec" if not _may_be_run(file.fileno()) else ""
    except OSError as error:
        return f"{folder} can't be written ({error.strerror or type(error).__name__})"


def _may_be_run(file: int) -> bool:
    """Whether what is in it may be mapped as code, as a library is."""
    try:
        mmap.mmap(file, 1, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    except PermissionError:
        return False
    return True
