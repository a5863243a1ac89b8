"""Which kind of failure an exception is, where the answer decides what to do. Torch is read where it is loaded."""

from __future__ import annotations

import sys
from contextlib import suppress

_CPU_ALLOCATOR = "DefaultCPUAllocator: "  # torch has no class of its own for it


def is_out_of_memory(error: BaseException) -> bool:
    """Memory was asked for and not to be had, on a GPU or not. No other error of a GPU is one."""
    if isinstance(error, MemoryError):
        return True
    kind = getattr(sys.modules.get("torch"), "OutOfMemoryError", None)
    if kind is not None and isinstance(error, kind):
        return True
    return type(error) is RuntimeError and _CPU_ALLOCATOR in str(error)


def breaks_the_device(error: BaseException) -> bool:
    """An error of the GPU after which this process can't use it any more: an illegal access, a failed assertion."""
    kind = getattr(sys.modules.get("torch"), "AcceleratorError", None)
    return kind is not None and isinstance(error, kind) and not is_out_of_memory(error)


def in_words(error: BaseException) -> str:
    """One line for a person: the last line of a compiler's message is seldom the one that says what it was."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if is_out_of_memory(error):
        return f"out of memory: {text or type(error).__name__}"[:400]
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__


def free_device_memory() -> None:
    """Give back what torch keeps for later use on a GPU. Nothing where there is none, or it is out of order."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        with suppress(RuntimeError):
            cuda.empty_cache()
