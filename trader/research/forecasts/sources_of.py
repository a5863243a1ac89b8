"""What decides a backend's forecasts besides its options' values: its code, what that imports, and files it is given.

Nothing is imported for it: sources are read, and versions are those of the installed packages' metadata.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import platform
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from forecasters import registry
from forecasters.base import ForecastError

NUMERIC_PACKAGES = ("numpy", "torch", "triton")
MOST_FILES = 10_000  # in a folder that an option names: a larger one is none of weights
MOST_BYTES = 2**38  # of all that is hashed at once: a file of holes takes no room, and as long as a full one
_PART = 2**20
_OURS = "forecasters"
_COMPILED = (".pyc", ".pyo")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class TooMuch(Exception):
    """A folder that can't be hashed as a whole; the message says which."""


def source_files(backend: str, module: str) -> list[Path]:
    """The code that makes a backend's forecasts: its module, and all of the package around it, data too.

    Of our own, all that is not another backend's: what a family shares with the rest may be anywhere in there. With
    another package's what it imports from beside it, where no version says when that changes, and ours.
    """
    top = module.partition(".")[0]
    files = _files_of(module if top == module else top)
    if not files:
        raise ForecastError(f"the code of backend {backend!r} ({module}) can't be found: install it again")
    if top == _OURS:
        return _shared(files, set(registry.names()) - {backend})
    found, waiting = {top: files}, [top]
    while waiting:
        for name in _imported(found[waiting.pop()]):
            if name not in found and (name == _OURS or _is_of_its_own(name, top)):
                found[name] = _shared(_files_of(name), set(registry.names())) if name == _OURS else _files_of(name)
                waiting += [] if name == _OURS else [name]
    return sorted({file for each in found.values() for file in each})


def libraries_of(files: Sequence[Path], module: str) -> dict[str, str]:
    """By name the versions of what the code imports. Of another package's also what that needs, as it says itself."""
    top = module.partition(".")[0]
    owners = _owners()
    direct = {owner for name in (*_imported(files), top) for owner in owners.get(name, ())}
    wanted = (set(NUMERIC_PACKAGES) | direct) - set(owners.get(_OURS, ()))  # ours is known by its code
    waiting = [] if top == _OURS else list(wanted)
    while waiting:
        needed = set(_needed(waiting.pop())) - wanted
        wanted |= needed
        waiting += needed
    versions = {name: version_of(name) for name in sorted(wanted)}
    known = {name: text for name, text in versions.items() if text != "none" or name in NUMERIC_PACKAGES}
    return {**known, "python": platform.python_version()}


def named_files(value: object) -> dict[str, list[Path]]:
    """By the text of each option that is the path of something that is there, its files: it, or all below it.

    Raises TooMuch.
    """
    return {text: _below(Path(os.path.expanduser(text))) for text in sorted(set(_paths(value)))}


def hash_of_files(files: Iterable[Path]) -> str:
    """Over names and contents. Raises ForecastError where one can't be read, or would cost time without end: it is a
    backend that says which files its weights are, and what its options name."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        found = [(file, file.stat()) for file in sorted(files)]
        _refuse_endless(found)
        for file, about in found:
            digest.update(file.name.encode() + b"\0" + _content(file, about))
    except OSError as error:
        raise ForecastError(f"{error.filename or 'a file'} can't be read: {error.strerror}") from error
    return digest.hexdigest()


def _refuse_endless(found: Sequence[tuple[Path, os.stat_result]]) -> None:
    """Raises ForecastError."""
    for file, about in found:
        if not stat.S_ISREG(about.st_mode):
            raise ForecastError(f"{file} can't be read: it is no file")
    if found and sum(about.st_size for _, about in found) > MOST_BYTES:
        raise ForecastError(f"{found[0][0].parent} can't be read: its files have more than {MOST_BYTES} bytes in all")


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _content(file: Path, about: os.stat_result) -> bytes:
    """Weights are large, and asked about by each arm: read again only where the file system knows of a change."""
    return _read(file, about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns)


@lru_cache(maxsize=65_536)
def _read(file: Path, size: int, *_about: int) -> bytes:
    """No more than its size: some of /proc has none, and no end."""
    digest = hashlib.sha256()
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as opened:
        while part := opened.read(min(size, _PART)):
            digest.update(part)
            size -= len(part)
    return digest.digest()


def _files_of(module: str) -> list[Path]:
    """Of a package all but what Python compiled; of a single module its file."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    of_folders = [file for folder in folders for file in folder.rglob("*") if _counts(file)]
    alone = Path(spec.origin or "")
    return sorted(of_folders) or ([alone] if alone.is_file() else [])


def _counts(file: Path) -> bool:
    return file.is_file() and file.suffix not in _COMPILED and "__pycache__" not in file.parts


def _shared(files: Sequence[Path], other_backends: set[str]) -> list[Path]:
    """Of our own package the sources: weights that come with it are a checkpoint's."""
    root = next(file.parent for file in sorted(files, key=lambda file: len(file.parts)) if file.name == "__init__.py")
    sources = (file for file in files if file.suffix in (".py", ".cpp"))
    return sorted(file for file in sources if not _is_of(file.relative_to(root), other_backends))


def _is_of(file: Path, names: Iterable[str]) -> bool:
    """Whether a file below `forecasters` is one backend's own: backends/NAME.py, or in the folder NAME."""
    own = file.parts[0] if len(file.parts) > 1 and file.parts[0] != "backends" else file.stem
    return own in names


def _is_of_its_own(name: str, top: str) -> bool:
    """Whether a module has no version by which its changes would be known, or comes with the backend itself."""
    owners = _owners()
    return name not in owners or bool(set(owners[name]) & set(owners.get(top, ())))


def _imported(files: Sequence[Path]) -> set[str]:
    """The modules that the sources name, wherever in them, by their first part; Python's own are left out."""
    return {name for file in files if file.suffix == ".py" for name in _imports(file)}


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # whatever another package's may be
        return
    for node in ast.walk(tree):
        names: Sequence[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        tops = (name.partition(".")[0] for name in names)
        yield from (top for top in tops if top not in sys.stdlib_module_names)


def _owners() -> Mapping[str, list[str]]:
    """The distributions that each module comes from."""
    return _owners_on(tuple(sys.path))


@lru_cache(maxsize=8)
def _owners_on(_path: tuple[str, ...]) -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _needed(distribution: str) -> tuple[str, ...]:
    """What an installed one says it needs, without its extras."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return ()
    plain = (line for line in lines if "extra ==" not in line)
    return tuple(found[0].lower().replace("_", "-") for line in plain if (found := _REQUIREMENT.match(line)))


def _paths(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths(each)
    elif isinstance(value, str | Path) and str(value) and "\0" not in str(value):
        try:
            if os.path.exists(os.path.expanduser(value)):
                yield str(value)
        except (OSError, ValueError):  # far too long to be one
            return


def _below(path: Path) -> list[Path]:
    """The file, or all files below the folder; links are followed, but not in a circle."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    found: list[Path] = []
    seen: set[str] = set()
    for folder, inside, names in os.walk(path, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            inside.clear()
            continue
        seen.add(real)
        found += [file for name in names if (file := Path(folder, name)).is_file()]
        if len(found) > MOST_FILES:
            raise TooMuch(f"{path} is a folder of more than {MOST_FILES} files")
    return found
