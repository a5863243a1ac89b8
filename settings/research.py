"""The settings of what is measured rather than traded."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from settings.kinds import Group, Unit

Change = Annotated[float, Field(gt=0, lt=1), Unit("share")]


class Compare(Group):
    """The rule by which `trader compare` decides whether a model should be compiled."""

    prefix: ClassVar[str] = "COMPARE_"

    accuracy: Change = Field(
        default=0.05, description="By how much the mean absolute error may change, in either direction."
    )
    teacher_forced: Change = Field(
        default=0.001,
        description="How far the networks' raw outputs may differ given the same past, as a share of their spread; and "
        "how far the odds that follow from logits may, as a share of the draws. In bfloat16 fifty times as "
        "far, because its rounding alone moves them by 2%. A thousandth is about a thousand times what "
        "float32 rounds to, and a tenth of what a weight that is off by 1% does.",
    )
    speed_up: Annotated[float, Field(gt=0, le=1000), Unit("ratio")] = Field(
        default=1.2,
        description="Compiled must be faster than eager by more than this, surely (95%), in sum and in the median.",
    )
    returns_pass: Change = Field(
        default=0.01, description="By how much a backtest's return may change before it is mentioned."
    )
    returns_fail: Change = Field(
        default=0.05,
        description="By how much it may change before compiled has failed. Between the two: a warning.",
    )
    recompiles: Annotated[int, Field(ge=0, le=100), Unit("graphs")] = Field(
        default=0, description="How many graphs may be made after the warm-up."
    )
    least_forecasts: Annotated[int, Field(ge=2, le=1_000_000), Unit("forecasts")] = Field(
        default=100, description="With fewer forecasts by each arm nothing is decided."
    )
    least_trades: Annotated[int, Field(ge=0, le=1_000_000), Unit("trades")] = Field(
        default=5, description="With fewer round trips in either arm's backtest nothing is decided."
    )
