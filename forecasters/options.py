"""What backends' options have in common."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _increasing(levels: tuple[float, ...]) -> tuple[float, ...]:
    inside = bool(levels) and levels[0] > 0 and levels[-1] < 1
    if not inside or any(b <= a for a, b in itertools.pairwise(levels)):
        raise ValueError("levels must increase within (0, 1)")
    return levels


Levels = Annotated[tuple[float, ...], AfterValidator(_increasing)]
LEVELS: Levels = tuple(round(0.05 * i, 2) for i in range(1, 20))  # 5% to 95%


def missing_packages(names: Sequence[str]) -> list[str]:
    """Those that are not installed, each with how to. Looked for, not imported."""
    return [f"the package {name} (pip install '.[models]')" for name in names if importlib.util.find_spec(name) is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a backend's forecasts come from: `label` is name@revision, `files` hold the weights and their shapes."""

    label: str
    files: tuple[Path, ...]
