"""What backends' options have in common."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from forecasters.base import ForecastError, Notice
from forecasters.card import UNKNOWN
from settings.extras import to_install


def _increasing(levels: tuple[float, ...]) -> tuple[float, ...]:
    inside = bool(levels) and levels[0] > 0 and levels[-1] < 1
    if not inside or any(b <= a for a, b in itertools.pairwise(levels)):
        raise ValueError("levels must increase within (0, 1)")
    return levels


Levels = Annotated[tuple[float, ...], AfterValidator(_increasing)]
LEVELS: Levels = tuple(round(0.05 * i, 2) for i in range(1, 20))  # 5% to 95%


MODELS = ("torch", "safetensors", "huggingface_hub")  # the extra `models`


def missing_packages(names: Sequence[str]) -> list[str]:
    """Those that are not installed and what installs them, as one thing that is missing. Looked for, not imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return []
    return [f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} not installed; right: {to_install('models')}"]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a backend's forecasts come from.

    label       name@revision
    files       hold the weights and their shapes
    learned_to  when the newest bar that it was trained or chosen by had closed, aware UTC, by symbol, `*` for all
                others; None there where that is not known, empty where it has learned of no recorded bars
    """

    label: str
    files: tuple[Path, ...]
    learned_to: Mapping[str, datetime | None] = field(default_factory=lambda: UNKNOWN)


def chosen_device(wanted: str, *, torch_has_gpu: bool, setting: str) -> tuple[str, list[Notice]]:
    """cuda or cpu, and what there is to say about it: a GPU that is there and not used is never passed over in silence.

    wanted   auto, cpu or cuda; ForecastError where that can't be
    setting  its name, for the message
    """
    if wanted == "cuda" and not torch_has_gpu:
        raise ForecastError(f"{setting} is cuda, but torch sees no GPU: set it to auto or cpu")
    if wanted == "auto" and not torch_has_gpu and Path("/dev/nvidia0").exists():
        text = f"this machine has a GPU that torch can't use, so it runs on the CPU; {setting}=cpu says that it should"
        return "cpu", [Notice(severity="warning", text=text)]
    return ("cuda" if torch_has_gpu and wanted != "cpu" else "cpu"), []


def compile_label(*, compile: bool, mode: str, backend: str) -> str:
    """A forecast's `compile_mode`: eager, or the compiler's mode; other compilers than the usual one by their name."""
    if not compile:
        return "eager"
    return mode if backend == "inductor" else f"compiled ({backend})"
