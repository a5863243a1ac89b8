"""Which files a backend's process needs: interpreter, packages, compilers, devices; and what it may keep.

Landlock has no way to take something out of a folder that it allows. So where something hidden lies in one, the
folder's other contents are allowed one by one, as they are at the start. The names in such a folder can be read, hidden
ones too.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from forecasters.worker.sandbox.landlock import KEEP, LIST, READ, RUN, USE, Right
from forecasters.worker.sandbox.policy import Policy
from settings.trust import steps

_PROGRAMS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *("/run/opengl-driver", "/opt/rocm", "/opt/nvidia", "/opt/intel"),
)
_FACTS = ("/proc", "/sys", "/run/systemd/resolve")  # of other processes Landlock leaves what everybody may know
_SETTINGS = tuple(
    f"/etc/{name}"
    for name in (
        *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "alternatives", "localtime", "timezone"),
        *("locale.alias", "passwd", "group", "nsswitch.conf", "hosts", "host.conf", "resolv.conf", "gai.conf"),
        *("services", "protocols", "ssl", "pki", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
        *("os-release", "lsb-release", "debian_version", "mime.types", "fonts", "OpenCL", "nvidia", "glvnd", "vulkan"),
    )
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ACCELERATORS = ("nvidia*", "kfd", "dri", "dxg", "accel")
_SHARED_MEMORY = "/dev/shm"  # locks of Python's process pools, which compile
_TOOLS = ("g++", "gcc", "c++", "cc", "clang++", "clang", "ld", "nvcc", "ptxas")
_TOOL_FOLDERS = ("CUDA_HOME", "CUDA_PATH", "ROCM_HOME")
_TOOL_PATHS = ("LD_LIBRARY_PATH", "CPATH", "LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_METADATA = (".dist-info", ".egg-info", ".egg-link")
_SOURCES = (".py", ".pyc", ".so", ".pth")


def rules(policy: Policy, *, network: bool, environ: Mapping[str, str] = os.environ) -> dict[Path, Right]:
    """Every path that may be reached, with what may be done there."""
    hidden = tuple(Path(path).resolve() for path in policy.hidden)
    found: dict[Path, Right] = {}

    def allow(paths: Iterable[str | Path], rights: Right) -> None:
        for path in paths:
            for part, of_part in _around(Path(path).resolve(), rights, hidden):
                found[part] = found.get(part, Right(0)) | of_part

    allow((*_PROGRAMS, *_interpreter(), *_tools(environ)), RUN)
    for part, rights in _packages():
        allow([part], rights)
    folders, hub = kept(policy, environ), hub_folders(environ)
    allow((*_FACTS, *_SETTINGS, *outside(policy.readable, (*folders, *hub))), READ)
    allow((*_DEVICES, *(path for name in _ACCELERATORS for path in Path("/dev").glob(name))), USE)
    allow([_SHARED_MEMORY, *folders], KEEP)
    allow(outside(hub, folders), KEEP if network else READ)
    return found


def kept(policy: Policy, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Folders that outlive the process, and its temporary one. Not those that lie in another of them."""
    temporary = [Path(environ["TMPDIR"])] if "TMPDIR" in environ else []
    folders = list(dict.fromkeys([*temporary, *own_cache(environ), *map(Path, policy.writable)]))
    tops = [each for each in folders if not any(other in each.parents for other in folders)]
    return [each for each in tops if outside([each], [other for other in tops if other != each])]


def outside(paths: Iterable[str | Path], folders: Sequence[Path]) -> list[Path]:
    """Those that lie in none of the folders. What lies in one that may be written is allowed with it, and has no rule
    of its own: an earlier backend may have put a link there, and a rule is for the place that a link leads to."""
    places = {*folders, *(folder.resolve() for folder in folders)}
    return [path for path in map(Path, paths) if places.isdisjoint(_way(path))]


def _way(path: Path) -> Iterator[Path]:
    """All folders that it lies in, as it is written and as the links there lead, one by one."""
    for above in path.parents:
        real = above.resolve()
        yield from (above, real, *real.parents)
    with suppress(OSError):  # what can't be looked at can't be reached either
        for step in steps(path):
            yield from step.parents


def own_cache(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where compiled code is kept, whatever the settings say."""
    return [cache / "trader/compiled"] if (cache := _cache(environ)) else []


def hub_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The hub's cache, and that of its transfers; not what lies beside them, its token."""
    cache = _cache(environ)
    home = environ.get("HF_HOME") or (cache and cache / "huggingface")
    if not home:
        return []
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub"
    return [Path(folder).expanduser() for folder in (hub, environ.get("HF_XET_CACHE") or Path(home) / "xet")]


def _cache(environ: Mapping[str, str]) -> Path | None:
    base, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    return Path(base) if base.startswith("/") else Path(home) / ".cache" if home else None


def _around(path: Path, rights: Right, hidden: tuple[Path, ...]) -> Iterator[tuple[Path, Right]]:
    """The path, or, where something hidden lies in it, all else that does."""
    if path in hidden:
        return
    if not any(path in each.parents for each in hidden):
        yield path, rights
        return
    yield path, rights & LIST
    try:
        inside = sorted(path.iterdir())
    except OSError:
        return
    for each in inside:
        if not each.is_symlink():  # where it leads is allowed for its own sake, or not
            yield from _around(each, rights, hidden)


def _interpreter() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix)
    yield str(Path(sys.executable).resolve().parent)


def _packages() -> Iterator[tuple[Path, Right]]:
    """What can be imported. A folder on the path that is no folder of packages, a checkout, is not read as a whole:
    settings and state may lie in it."""
    for entry in {os.path.abspath(entry) for entry in sys.path if entry}:
        path = Path(entry)
        if path.name in ("site-packages", "dist-packages", "lib-dynload") or not path.is_dir():
            yield path, RUN
            continue
        yield path, LIST
        yield from ((each, RUN) for each in _scanned(path) if _is_importable(each))
    for name, module in list(sys.modules.items()):  # what setuptools' editable installs name instead
        if name.startswith("__editable__"):
            yield from ((Path(place), RUN) for place in getattr(module, "MAPPING", {}).values())


def _scanned(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_importable(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if not path.is_dir():
        return path.suffix in _SOURCES
    return path.suffix in _METADATA or (path.name.isidentifier() and any(path.glob("*.py")))


def _tools(environ: Mapping[str, str]) -> Iterator[str]:
    """Compilers that lie elsewhere than in /usr, with what lies beside them."""
    named = (environ.get(name, "").partition(" ")[0] for name in ("CC", "CXX"))
    found = (shutil.which(tool, path=environ.get("PATH")) for tool in (*filter(None, named), *_TOOLS))
    home = Path(environ.get("HOME") or "/")
    for tool in filter(None, found):
        folder = Path(tool).resolve().parent
        yield str(folder if folder.parent in (home, *home.parents) else folder.parent)
    yield from (environ[name] for name in _TOOL_FOLDERS if environ.get(name))
    for name in _TOOL_PATHS:
        yield from (part for part in environ.get(name, "").split(os.pathsep) if os.path.isabs(part))
