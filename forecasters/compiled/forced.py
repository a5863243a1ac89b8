"""What a network says of each next step when it is told what really came before it: its raw outputs, teacher-forced.

Nothing is drawn, so that nothing depends on luck, and a wrong step can't hide behind the one before it: two copies of
one model are compared number by number.

N steps, K outputs of each: logits of K tokens, the quantiles of a step, the parameters of its K components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from forecasters.base import InvalidForecast
from forecasters.types import Context

COARSER = 50  # bfloat16's rounding moves kronos-nano's logits by up to 1.7% of their spread: 1% off can't be told there
Floats = NDArray[np.float64]
Kind = Literal["numbers", "logits", "odds"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """values [N, K], finite. Logits and odds are of K things of which one comes; odds sum to 1."""

    values: Floats
    kind: Kind

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise InvalidForecast(f"teacher-forced outputs have the shape {self.values.shape}, must have [N, K]")
        if not np.isfinite(self.values).all():
            raise InvalidForecast("a teacher-forced output is not finite")
        if self.kind not in get_args(Kind):
            raise InvalidForecast(f"teacher-forced outputs are {self.kind!r}, must be of {get_args(Kind)}")


Forced = Mapping[str, Mapping[str, Outputs]]  # by symbol, then by what it is: "s1 logits"


@runtime_checkable
class TeacherForced(Protocol):
    """A forecaster that can show what its network says before anything is drawn from it."""

    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        """By the same code that forecasts; a symbol that can't be asked is absent. Raises ForecastError."""


def teacher_forced_of(forecaster: object, contexts: Sequence[Context]) -> Forced:
    """Nothing where the forecaster has no such outputs."""
    return forecaster.teacher_forced(contexts) if isinstance(forecaster, TeacherForced) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDistance:
    """How far one kind of output of two networks is apart, over all steps that both were asked for.

    steps      compared
    largest    difference of an output, absolute
    relative   of a step, the largest: root mean square of the differences, by the outputs' standard deviation
    variation  of a step, the largest: total variation between the odds, which is the least share of the draws that
               turn out otherwise; None for numbers
    """

    steps: int
    largest: float
    relative: float
    variation: float | None

    @property
    def worst(self) -> float:
        """What a tolerance is held against."""
        return max(self.relative, self.variation or 0.0)


def output_distances(
    first: Sequence[Mapping[str, Outputs]], second: Sequence[Mapping[str, Outputs]]
) -> dict[str, OutputDistance]:
    """By kind of output. Both in the same order of contexts. Raises InvalidForecast where they are not of one shape."""
    parts: dict[str, list[OutputDistance]] = {}
    for first_outputs, second_outputs in zip(first, second, strict=True):
        if first_outputs.keys() != second_outputs.keys():
            raise InvalidForecast(f"one network shows {sorted(first_outputs)}, the other {sorted(second_outputs)}")
        for name, outputs in second_outputs.items():
            parts.setdefault(name, []).append(_apart(first_outputs[name], outputs, name))
    return {name: _worst(measured) for name, measured in parts.items()}


def _apart(first: Outputs, second: Outputs, name: str) -> OutputDistance:
    if first.values.shape != second.values.shape or first.kind != second.kind:
        raise InvalidForecast(
            f"{name}: {first.values.shape} outputs of one network, {second.values.shape} of the other"
        )
    off = np.abs(first.values - second.values)
    spread = float(second.values.std()) or float(np.abs(second.values).max()) or 1.0
    variation = None
    if second.kind != "numbers":
        variation = float((np.abs(_shares(first) - _shares(second)).sum(axis=1) / 2).max())
    return OutputDistance(
        steps=len(off),
        largest=float(off.max()),
        relative=float(np.sqrt((off**2).mean(axis=1)).max()) / spread,
        variation=variation,
    )


def _shares(outputs: Outputs) -> Floats:
    """[N, K] that sum to 1."""
    if outputs.kind == "odds":
        return outputs.values
    raised: Floats = np.exp(outputs.values - outputs.values.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _worst(distances: Sequence[OutputDistance]) -> OutputDistance:
    variations = [distance.variation for distance in distances if distance.variation is not None]
    return OutputDistance(
        steps=sum(distance.steps for distance in distances),
        largest=max(distance.largest for distance in distances),
        relative=max(distance.relative for distance in distances),
        variation=max(variations) if variations else None,
    )
