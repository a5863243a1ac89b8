"""A strategy in a file of one's own. Its name in the records is `path@hash`: a changed file is another strategy.

The file is read once: what is hashed is what runs. Whoever may write to it decides what the daemon does, and nothing
here looks at who that is: the settings do, and each command that is given a name otherwise.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

from trader.strategies._faults import described

_DIGITS = 16  # of SHA-256, hexadecimal
_MARK = "@"


def file_of(name: str) -> str:
    """The path in a name, with or without its hash."""
    return _split(name)[0]


def load(name: str) -> tuple[str, ModuleType]:
    """(name with its hash, module). Raises ValueError, one line, also where the file is not the one that was meant."""
    path, wanted = _split(name)
    if wanted and (known := sys.modules.get(_module_name(wanted))) is not None:
        return name, known
    try:
        source = SourceFileLoader("", path).get_data(path)
    except OSError as error:
        raise ValueError(f"strategy {path}: {error.strerror}") from None
    digest = hashlib.sha256(source).hexdigest()[:_DIGITS]
    if wanted and digest != wanted:
        raise ValueError(
            f"strategy {path} is not the file that decided then: its hash is {digest} now and was {wanted}; "
            "put that version back to decide the same again"
        )
    return f"{path}{_MARK}{digest}", _module(path, source, digest)


class _Given(SourceFileLoader):
    """Of the source that was read, and of no cached bytecode."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return self.source_to_code(self._source, self.path)


def _module(path: str, source: bytes, digest: str) -> ModuleType:
    name = _module_name(digest)
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_loader(name, _Given(name, path, source), origin=path)
    assert spec is not None
    assert spec.loader is not None
    spec.has_location = True  # its module says where it is: for tracebacks, and for whoever reads its source
    module = module_from_spec(spec)
    sys.modules[name] = module  # before it runs: a dataclass looks its own module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"strategy {path} can't be loaded: {described(error, path)}") from error
    return module


def _module_name(digest: str) -> str:
    return f"strategy_file_{digest}"


def _split(name: str) -> tuple[str, str]:
    """(path, hash); the hash empty where the name has none."""
    path, mark, digest = name.rpartition(_MARK)
    if mark and len(digest) == _DIGITS and path.endswith(".py"):
        return path, digest
    return name, ""
