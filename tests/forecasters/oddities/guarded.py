"""A guarded backend whose compiled twin misbehaves in its second forecast, the first after its warm-up."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from oddities._common import Flat, nothing, once
from pydantic import BaseModel, ConfigDict, Field

from forecasters.guard import Guarded, GuardOptions
from forecasters.toolchain import CacheFolder
from forecasters.trial import trial_contexts


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    marker: str = ""
    bytes: int = 0
    how: str = Field(default="raises", pattern="raises|hangs|crashes")
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
        self._misbehave = once(options.marker, {"raises": _raise, "hangs": _hang, "crashes": os.abort}[options.how])
        self._asked = 0

    def warm_up(self) -> None:
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


def _hang() -> None:
    threading.Event().wait()


def build(options: Options) -> Guarded:
    return Guarded(
        name="guarded",
        eager=Flat(at_forecast=nothing),
        compile=lambda: Compiled(options),
        trial=lambda: trial_contexts(bars=20, horizons=(1,)),
        options=GuardOptions(retry_s=options.retry_s),
        cache=CacheFolder(path=Path(options.folder), problem=""),
    )
