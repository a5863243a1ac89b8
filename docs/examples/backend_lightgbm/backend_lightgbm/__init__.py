"""LightGBM quantile regression as a forecaster: one small model for each quantile and price, trained on the context.

Nothing is kept from one forecast to the next: the bars that it is given are the bars that it learns from. So it never
looks ahead, and the same question has the same answer, alone or in a batch. This module is what the registry imports:
the options and what is missing; LightGBM itself is imported when the backend is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from forecasters.options import Levels

if TYPE_CHECKING:
    from forecasters.base import Forecaster

DESCRIPTION = "LightGBM quantile regression, trained on each context"


class Options(BaseModel):
    """Each is a setting: OPTIONS__LIGHTGBM__TREES=50. A name that is not here ends the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trees: int = Field(default=25, ge=1, le=1000, description="Boosting rounds of each model.")
    leaves: int = Field(default=7, ge=2, le=256, description="Most leaves of a tree.")
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    levels: Levels = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    min_bars: int = Field(default=100, ge=60, description="Shorter contexts have no forecast.")


def requires() -> Sequence[str]:
    """Looked for, not imported: the menu is shown without loading anything."""
    from importlib.util import find_spec

    return () if find_spec("lightgbm") else ("the package lightgbm (pip install lightgbm)",)


def checkpoint(options: Options) -> None:
    """No files: its forecasts come of this package, LightGBM and the options alone."""


def build(options: Options) -> Forecaster:
    from backend_lightgbm.model import LightGBM

    return LightGBM(options)
