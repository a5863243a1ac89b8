"""A guarded backend whose compiled twin misbehaves in its second forecast, the first after its warm-up.

Where `compiles` says so, its compilation misbehaves: the first, or those after the first.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path

from oddities._common import Flat, nothing, once
from pydantic import BaseModel, ConfigDict, Field

from forecasters.compiled.guard import Guarded, GuardOptions
from forecasters.compiled.toolchain import CacheFolder
from forecasters.compiled.trial import trial_contexts


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    marker: str = ""
    bytes: int = 0
    how: str = Field(default="raises", pattern="raises|waits|hangs|crashes|behaves")
    compiles: str = Field(default="quickly", pattern="quickly|hangs_once|slowly_again")
    eager_s: float = 0.0
    folder: str = "/nonexistent"
    retry_s: float = 3600.0


def requires() -> list[str]:
    return []


class Compiled(Flat):
    """Compiles something, so that it counts as compiled."""

    def __init__(self, options: Options) -> None:
        import torch

        super().__init__()
        code = _double.__code__.replace()  # of its own, or the compiler would know it already
        self._double = torch.compile(type(_double)(code, globals()), backend="eager", fullgraph=True)
        self._zeros = torch.zeros(2)
        self._misbehave = once(options.marker, MISDEEDS[options.how])
        self._at_compile = {
            "quickly": nothing,
            "hangs_once": once(options.marker, _wait),
            "slowly_again": _slowly_again,
        }[options.compiles]
        self._asked = 0

    def warm_up(self) -> None:
        self._at_compile()
        self._double(self._zeros)

    def forecast(self, contexts):
        self._asked += 1
        if self._asked == 2:
            self._misbehave()
        return super().forecast(contexts)


def _double(rows):
    return rows * 2


def _raise() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def _wait() -> None:
    """As a compiler does for its helpers."""
    threading.Event().wait()


def _hang() -> None:
    """In code that never returns to the interpreter, whatever signal comes: a lock that is taken twice."""
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(lock)


_compiled_before = []


def _slowly_again() -> None:
    _compiled_before.append(None)
    if len(_compiled_before) > 1:
        _wait()


MISDEEDS = {"raises": _raise, "waits": _wait, "hangs": _hang, "crashes": os.abort, "behaves": nothing}


def build(options: Options) -> Guarded:
    return Guarded(
        name="guarded",
        eager=Flat(at_forecast=lambda: time.sleep(options.eager_s)),
        compile=lambda: Compiled(options),
        trial=lambda: trial_contexts(bars=20, horizons=(1,)),
        options=GuardOptions(retry_s=options.retry_s),
        cache=CacheFolder(path=Path(options.folder), problem=""),
    )
