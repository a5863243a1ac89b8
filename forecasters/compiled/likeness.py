"""How alike two forecasts of the same bars and the same seed are: a compiled model's and its eager twin's.

Sampled paths are compared step by step. Until a path takes another turn both were given the same past, so that these
steps are teacher-forced; from there on they have nothing to say. A turn is a token drawn differently. So what is judged
is the share of the steps with the same past that came out the same: rounding turns one in a hundred thousand, a wrong
weight every tenth. Quantiles that a model gives without sampling are compared as they are.

S samples, H horizon, C channels, Q levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Forecast

Floats = NDArray[np.float64]

_SHIFTS = 8  # paths left out in one of the two only move the others' places by so much at most
_ROUNDING = 2e-6  # of the last close: prices come out of float32, however narrow the forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """difference   of a price, as a share of the distance between the forecast's outermost quantiles there
    agreement    least share of the comparable sampled steps that must be the same
    outputs      of what the network says of a step when the past is given: see forecasters.compiled.forced.Apart
    """

    difference: float = 2e-3
    agreement: float = 0.995
    outputs: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """difference  the largest one of a quantile, as a share of the forecast's own width there
    steps       sampled steps that could be compared, 0 where nothing is sampled
    same        of them, those that were the same
    problem     why the two are not alike, one line; empty where they are
    """

    difference: float
    steps: int
    same: int
    problem: str

    @property
    def agreement(self) -> float:
        return self.same / self.steps if self.steps else 1.0

    @property
    def summary(self) -> str:
        """One line."""
        apart = f"quantiles at most {self.difference:.1e} of the forecast's width apart"
        return f"{apart}, {self.same} of {self.steps} sampled steps the same" if self.steps else apart


def likeness(compiled: Mapping[str, Forecast], eager: Mapping[str, Forecast], tolerance: Tolerance) -> Likeness:
    """What the compiled model says against what the eager one does, of the same contexts, judged together."""
    one_sided = sorted(compiled.keys() ^ eager.keys())
    if one_sided:
        where = "the compiled model" if one_sided[0] in eager else "the eager model"
        return Likeness(difference=np.inf, steps=0, same=0, problem=f"{where} gave no forecast of {one_sided[0]}")
    differences, steps, matches = [0.0], 0, 0
    for symbol, theirs in eager.items():
        ours = compiled[symbol]
        if ours.quantiles.shape != theirs.quantiles.shape or (ours.paths is None) != (theirs.paths is None):
            return Likeness(difference=np.inf, steps=0, same=0, problem=f"{symbol}: the forecasts differ in shape")
        differences.append(_difference(ours, theirs))
        if ours.paths is not None and theirs.paths is not None:
            compared_steps, equal = _steps(ours.paths, theirs.paths, _allowed(theirs, tolerance.difference))
            steps, matches = steps + compared_steps, matches + equal
    difference = max(differences)
    return Likeness(
        difference=difference, steps=steps, same=matches, problem=_problem(difference, steps, matches, tolerance)
    )


def _problem(difference: float, steps: int, same: int, tolerance: Tolerance) -> str:
    if steps == 0:
        if difference > tolerance.difference:
            return f"quantiles differ by {difference:.3g} of the forecast's width, {tolerance.difference:g} is allowed"
        return ""
    if same < tolerance.agreement * steps:
        return f"{same} of {steps} sampled steps are the same, {tolerance.agreement:.1%} must be"
    return ""


def _width(forecast: Forecast) -> Floats:
    """[H, C] quote currency, never 0."""
    narrowest = _ROUNDING * forecast.last_close
    width: Floats = np.maximum(forecast.quantiles[-1] - forecast.quantiles[0], narrowest)
    return width


def _allowed(forecast: Forecast, difference: float) -> Floats:
    """[H, C] quote currency."""
    return difference * _width(forecast) + _ROUNDING * forecast.last_close


def _difference(compiled: Forecast, eager: Forecast) -> float:
    apart = np.abs(compiled.quantiles - eager.quantiles) - _ROUNDING * eager.last_close
    return float(np.maximum(apart / _width(eager), 0.0).max())


def _steps(compiled: Floats, eager: Floats, limits: Floats) -> tuple[int, int]:
    """Comparable steps, and those of them that are the same. Paths are in the order in which they were drawn."""
    horizon = eager.shape[1]
    leading = _leading(compiled, eager, limits, 0)
    if len(compiled) != len(eager):
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            leading = np.maximum(leading, _leading(compiled, eager, limits, shift))
    partings = leading < horizon
    return int(leading.sum() + partings.sum()), int(leading.sum())


def _leading(compiled: Floats, eager: Floats, limits: Floats, shift: int) -> NDArray[np.intp]:
    """[S of eager] how many first steps of each path are those of the compiled path `shift` places further."""
    result = np.zeros(len(eager), dtype=np.intp)
    first, last = max(0, -shift), min(len(eager), len(compiled) - shift)
    if last <= first:
        return result
    apart: Floats = np.abs(compiled[first + shift : last + shift] - eager[first:last])
    close: NDArray[np.bool_] = np.all(apart <= limits, axis=-1)  # [S, H]
    result[first:last] = np.where(np.all(close, axis=1), close.shape[1], np.argmin(close, axis=1))
    return result
