"""kernels/ as a library for this processor, built by the compiler and the flags that torch.compile uses."""

from __future__ import annotations

from ctypes import CDLL, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch

from forecasters.compiled.toolchain import processor

_FOLDER = Path(__file__).with_name("kernels")
_FILES = ("lanes.cpp", "attention.cpp", "products.cpp", "network.cpp")  # one source, in this order
_POINTER, _COUNT = c_void_p, c_int64
_ARGUMENTS = {
    "attend": [*[_POINTER] * 8, *[_COUNT] * 8],
    "attend_causally": [*[_POINTER] * 4, *[_COUNT] * 5],
}
_OF_BOTH_DTYPES = {
    "normalise": [*[_POINTER] * 2, *[_COUNT] * 2, c_float, _COUNT],
    "gate": [*[_POINTER] * 2, *[_COUNT] * 3],
    "split": [*[_POINTER] * 6, *[_COUNT] * 4],
    "apply": [*[_POINTER] * 4, *[_COUNT] * 4],
    "read": [*[_POINTER] * 6, *[_COUNT] * 5],
    "follow": [*[_POINTER] * 3, _COUNT, *[_POINTER] * 3, *[_COUNT] * 6],
    "step": [*[_POINTER] * 5, _COUNT],
    "first": [*[_POINTER] * 3, _COUNT],
    "second": [*[_POINTER] * 5, _COUNT],
}


class KernelsUnavailable(RuntimeError):
    """Our own kernels can't be built or loaded here; the message says why."""


@cache
def library() -> CDLL:
    """Raises KernelsUnavailable."""
    from torch._inductor import exc
    from torch._inductor.codecache import CppCodeCache

    load: Any = CppCodeCache.load  # without types in torch
    try:
        built: CDLL = load(source(), needs_vec_isa=True)
    except (exc.CppCompileError, exc.InvalidCxxCompiler, OSError, ImportError) as error:
        said = str(error).strip().splitlines()
        raise KernelsUnavailable(f"{type(error).__name__}: {said[0] if said else 'nothing more is known'}") from error
    named = _ARGUMENTS | {
        f"{name}_{dtype}": arguments for name, arguments in _OF_BOTH_DTYPES.items() for dtype in ("float32", "bfloat16")
    }
    for name, arguments in named.items():
        function = getattr(built, name, None)  # products need AVX-512, of bfloat16 its own
        if function is not None:
            function.argtypes, function.restype = arguments, None
    return built


def kernel(name: str, dtype: torch.dtype) -> Any:
    """None where the library has none of this dtype, since the processor lacks what it takes."""
    return getattr(library(), f"{name}_{'bfloat16' if dtype == torch.bfloat16 else 'float32'}", None)


def source() -> str:
    """Its first line names the processor: the compiler's flags say `native`, and a cache folder may be shared."""
    return "\n".join([f"// for {processor()}", *((_FOLDER / name).read_text(encoding="utf-8") for name in _FILES)])
