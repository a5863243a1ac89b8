"""kernels/ as a library for this processor, built by the compiler and the flags that torch.compile uses."""

from __future__ import annotations

import logging
from ctypes import CDLL, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from forecasters.compiled.toolchain import missing_tools, processor
from forecasters.kronos.paths import KernelPath, allowed, for_want_of, said_of

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).with_name("kernels")
_FILES = ("lanes.cpp", "panels.cpp", "attention.cpp", "products.cpp", "network.cpp")  # one source, in this order
_POINTER, _COUNT = c_void_p, c_int64
_ARGUMENTS: dict[str, list[Any]] = {
    "attend": [*[_POINTER] * 8, *[_COUNT] * 8],
    "attend_causally": [*[_POINTER] * 4, *[_COUNT] * 5],
}
_OF_BOTH_DTYPES: dict[str, list[Any]] = {
    "normalise": [*[_POINTER] * 2, *[_COUNT] * 2, c_float, _COUNT],
    "gate": [*[_POINTER] * 2, *[_COUNT] * 3],
    "split": [*[_POINTER] * 6, *[_COUNT] * 4],
    "suits": [_COUNT, _COUNT],
    "place": [_COUNT, _COUNT, _COUNT],
    "pack": [_POINTER, _POINTER, _COUNT, _COUNT],
    "unpack": [_POINTER, _POINTER, _COUNT, _COUNT],
    "apply": [*[_POINTER] * 4, *[_COUNT] * 4],
    "read": [*[_POINTER] * 6, *[_COUNT] * 5],
    "follow": [*[_POINTER] * 3, _COUNT, *[_POINTER] * 3, *[_COUNT] * 6],
    "step": [*[_POINTER] * 5, _COUNT],
    "first": [*[_POINTER] * 3, _COUNT],
    "second": [*[_POINTER] * 5, _COUNT],
}


_RETURN_A_NUMBER = ("suits", "place")


class KernelsUnavailable(RuntimeError):
    """Our own kernels can't be built or loaded here; the message says why."""


class _Refused(KernelsUnavailable):
    """By the compiler, which may take the source of a lower path."""


class Built(NamedTuple):
    library: CDLL
    path: KernelPath
    said: str  # one sentence: which path, and why no better one


@cache
def built() -> Built:
    """For the best path that the compiler can build. The log says which. Raises KernelsUnavailable."""
    if lacks := missing_tools():
        raise KernelsUnavailable(for_want_of(lacks))
    refusal = ""
    for path in allowed():
        try:
            handle = _load(path)
        except _Refused as error:
            refusal = refusal or f"{path.name} can't be built: {error}"
            continue
        sentence = said_of(path, refusal)
        _log.info("%s", sentence)
        return Built(_declared(handle), path, sentence)
    raise KernelsUnavailable(refusal)


def library() -> CDLL:
    """Raises KernelsUnavailable."""
    return built().library


def kernel(name: str, dtype: torch.dtype) -> Any:
    return getattr(library(), f"{name}_{_name_of(dtype)}")


def source(path: KernelPath) -> str:
    """Its first line names the processor: the compiler's flags say `native`, and a cache folder may be shared."""
    defines = [f"#define {each}" for each in path.defines]
    files = [(_FOLDER / name).read_text(encoding="utf-8") for name in _FILES]
    return "\n".join([f"// for {processor()}", *defines, *files])


def _load(path: KernelPath) -> CDLL:
    """Raises KernelsUnavailable, of which _Refused."""
    from torch._inductor import exc
    from torch._inductor.codecache import CppCodeCache

    load: Any = CppCodeCache.load  # without types in torch
    try:
        made: CDLL = load(source(path), needs_vec_isa=False, extra_flags=path.flags)  # the path says what is needed
    except exc.CppCompileError as error:
        raise _Refused(_first_line(error)) from error
    except (exc.InvalidCxxCompiler, OSError, ImportError) as error:
        raise KernelsUnavailable(_first_line(error)) from error
    return made


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'nothing more is known'}"


def _declared(made: CDLL) -> CDLL:
    """With the types of what its functions take and return."""
    for name, arguments in _ARGUMENTS.items():
        function = getattr(made, name)
        function.argtypes, function.restype = arguments, None
    for name, arguments in _OF_BOTH_DTYPES.items():
        for dtype in (torch.float32, torch.bfloat16):
            function = getattr(made, f"{name}_{_name_of(dtype)}")
            function.argtypes, function.restype = arguments, _COUNT if name in _RETURN_A_NUMBER else None
    return made


def _name_of(dtype: torch.dtype) -> str:
    return "bfloat16" if dtype == torch.bfloat16 else "float32"
