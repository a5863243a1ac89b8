"""How a program of ours starts another. The one place that does, so that each child starts the same way:

- with `-P`: a module that somebody planted in the working folder is not imported;
- with an environment of allowed names: no keys, no journal, no webhook, nothing that is not known to be harmless;
- with what it is told on a descriptor, not in its arguments: `ps` shows those to every user;
- with a temporary folder that nobody else can enter, and a umask that keeps what it writes to its owner.

tests/test_child_starts.py finds any other start.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, NoReturn

from settings.own_memory import close_memory

Sink = int | IO[Any] | None

PRIVATE = 0o077
_ALLOWED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR"),
        *("LD_LIBRARY_PATH", "CC", "CXX", "CPATH", "LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "ROCM_HOME"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONUTF8"),
        *("PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONPYCACHEPREFIX"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"),
    )
)
_FAMILIES = re.compile(
    r"(LC|OMP|KMP|MKL|CUDA|NVIDIA|HIP|ROCR|HSA|MIOPEN|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|HF|ATEN|ONEDNN|DNNL)_\w+"
)
# Lists of folders, and one of compiled modules: what lies there is run, or loaded.
_PLACES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "CPATH", "LIBRARY_PATH", "PYTHONPYCACHEPREFIX")
_PROXIES = frozenset(("http_proxy", "https_proxy", "no_proxy", "all_proxy"))
_NAMES_A_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)

_lock = threading.Lock()
_umask = PRIVATE
_temporary: Path | None = None


def set_umask(mask: int) -> None:
    """For this process and those that it starts: what `--umask` says."""
    global _umask
    _umask = mask
    os.umask(mask)


def python(module: str, *arguments: str, interpreter: str = sys.executable) -> list[str]:
    """The command line that runs a module."""
    return [interpreter, "-P", "-m", module, *arguments]


def script(code: str, *arguments: str, interpreter: str = sys.executable) -> list[str]:
    """The command line that runs a text."""
    return [interpreter, "-P", "-c", code, *arguments]


def environment(more: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child gets of ours, and what its parent adds.

    more   names that the parent sets itself
    given  the environment to choose from, this process's where None
    """
    ours = os.environ if given is None else given
    kept = {name: value for name, value in ours.items() if _allowed(name, value)}
    for name in _PLACES:
        kept.pop(name, None)
        if path := _absolute_only(ours.get(name, "")):
            kept[name] = path
    # -P is for one interpreter. This is for those that the child starts itself, as compilers and pools do.
    added = {"PYTHONSAFEPATH": "1", **(more or {})}
    return kept | added | {"TMPDIR": added.get("TMPDIR") or str(temporary_folder())}


def start(
    command: Sequence[str],
    *,
    given: bytes | None = None,
    more: Mapping[str, str] | None = None,
    stdin: Sink = subprocess.DEVNULL,
    stdout: Sink = None,
    stderr: Sink = None,
    text: bool = False,
    own_group: bool = False,
    own_session: bool = False,
    umask: int | None = None,
) -> subprocess.Popen[Any]:
    """Raises OSError.

    given  what it is to read on its standard input, to the end
    more   variables besides the allowed ones
    umask  another than ours, for what is to be everybody's to read
    """
    handed = stdin if given is None else _handed(given)
    try:
        return subprocess.Popen(
            command,
            stdin=handed,
            stdout=stdout,
            stderr=stderr,
            text=text,
            errors="replace" if text else None,
            env=environment(more),
            umask=_umask if umask is None else umask,
            process_group=0 if own_group else None,
            start_new_session=own_session,
        )
    finally:
        if given is not None and isinstance(handed, int):
            os.close(handed)


def run(
    command: Sequence[str],
    *,
    given: bytes | None = None,
    more: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    umask: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """To its end, with all that it says as text. Raises OSError, subprocess.TimeoutExpired."""
    pipe = subprocess.PIPE
    process = start(command, given=given, more=more, stdout=pipe, stderr=pipe, text=True, umask=umask)
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def become(command: Sequence[str], *, given: bytes | None = None, more: Mapping[str, str] | None = None) -> NoReturn:
    """This process goes on as another program, under the same number. Its standard input stays, unless `given`."""
    if given is not None:
        handed = _handed(given)
        os.dup2(handed, 0)
        os.close(handed)
    os.umask(_umask)
    os.execve(command[0], list(command), environment(more))


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for functions of ours. They start as `python -c`, from our own environment: meanwhile it is what any
    child gets, and it is put back after. Their memory is closed as ours is."""
    before, allowed = dict(os.environ), environment()
    for name in before.keys() - allowed.keys():
        del os.environ[name]
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=close_memory) as executor:
            yield executor
    finally:
        os.environ.pop("PYTHONSAFEPATH", None)
        os.environ.update(before)


def temporary_folder() -> Path:
    """This process's own, for itself and what it starts; gone with it."""
    global _temporary
    with _lock:
        if _temporary is None or not _is_ours(_temporary):  # what tidies /tmp may have been there, and others after it
            _temporary = Path(tempfile.mkdtemp(prefix="trader-"))
            atexit.register(_forget, _temporary, os.getpid())
        return _temporary


def _is_ours(folder: Path) -> bool:
    """Once it is gone its name is anybody's."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _forget(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


def _allowed(name: str, value: str) -> bool:
    if name in _ALLOWED:
        return True
    if name.lower() in _PROXIES:
        return "@" not in value  # a password, most likely
    return _FAMILIES.fullmatch(name) is not None and _NAMES_A_SECRET.search(name) is None


def _absolute_only(path: str) -> str:
    """An empty or a relative part of such a list is the working folder again."""
    return os.pathsep.join(part for part in path.split(os.pathsep) if os.path.isabs(part))


def _handed(given: bytes) -> int:
    """A descriptor to read it from: memory that has no name, so that nothing of it lies on a disk."""
    memory = os.memfd_create("given", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(memory), "wb") as file:
        file.write(given)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory
