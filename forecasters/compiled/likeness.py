"""How alike two forecasts of the same bars and the same seed are: a compiled model's and its eager twin's.

Each forecast is judged by itself, and each of its steps, and the worst counts: a model that is wrong of one symbol
alone is wrong. Sampled paths are compared step by step. Until a path takes another turn both were given the same past;
a turn is a token drawn differently, and from there on the path is another one. Two things are judged of it: of the
steps with the same past, the share that came out the same; and at each step, how many paths are others by then.
Rounding turns one step in a hundred thousand, a wrong weight every tenth. Quantiles are compared as they are, and where
they come of samples, in units of their own sampling error.

S samples, H horizon, C channels, Q levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Forecast

Floats = NDArray[np.float64]

_SHIFTS = 8  # paths left out in one of the two only move the others' places by so much at most
_ROUNDING = 2e-6  # of the last close: prices come out of float32, however narrow the forecast


_BY_CHANCE = 1e-6  # how seldom a forecast that is as good as the tolerance may be taken for a worse one, at a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """difference   of a price, as a share of the distance between the forecast's outermost quantiles there
    agreement    least share of the comparable sampled steps that must be the same
    sampling     of a quantile that comes of samples, in units of its sampling error
    outputs      of what the network says of a step when the past is given: see forecasters.compiled.forced.Apart
    """

    difference: float = 2e-3
    agreement: float = 0.995
    sampling: float = 4.0
    outputs: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """difference  the largest one of a quantile, as a share of the forecast's own width there
    steps       sampled steps that could be compared, 0 where nothing is sampled
    same        of them, those that were the same
    turned      keys of the forecasts in which a path turned
    worst       the forecast in which most was otherwise, and what; empty where nothing was
    problem     why the two are not alike, one line; empty where they are
    outside     forecasts that are not alike by themselves
    """

    difference: float
    steps: int
    same: int
    problem: str
    worst: str = ""
    turned: tuple[str, ...] = ()
    outside: int = 0

    @property
    def agreement(self) -> float:
        return self.same / self.steps if self.steps else 1.0

    @property
    def summary(self) -> str:
        """One line."""
        apart = f"quantiles at most {self.difference:.1e} of the forecast's width apart"
        told = f"{apart}, {self.same} of {self.steps} sampled steps the same" if self.steps else apart
        return f"{told}, the worst {self.worst}" if self.worst else told


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    """Of one forecast. `others` [H]: paths that are another's by then, of `paths`."""

    key: str
    difference: float
    sampling: float
    steps: int
    same: int
    paths: int
    others: NDArray[np.intp]

    @property
    def turned(self) -> int:
        return self.steps - self.same

    @property
    def told(self) -> str:
        if self.turned:
            return f"{self.key}: {self.turned} of {self.paths} paths turned"
        return f"{self.key}: quantiles {self.difference:.1e} apart"


def likeness(
    compiled: Mapping[str, Forecast],
    eager: Mapping[str, Forecast],
    tolerance: Tolerance,
    group: Callable[[str], str] = str,
) -> Likeness:
    """What the compiled model says against what the eager one does, of the same contexts, by the same keys.

    group  of keys whose sampled steps are counted together; each key by itself where none is given
    """
    if not compiled and not eager:
        return _unlike("neither model gave a forecast: nothing was compared")
    one_sided = sorted(compiled.keys() ^ eager.keys())
    if one_sided:
        where = "the compiled model" if one_sided[0] in eager else "the eager model"
        return _unlike(f"{where} gave no forecast of {one_sided[0]}")
    found = list[_One]()
    for key, theirs in eager.items():
        ours = compiled[key]
        if ours.quantiles.shape != theirs.quantiles.shape or (ours.paths is None) != (theirs.paths is None):
            return _unlike(f"{key}: the forecasts differ in shape")
        found.append(_compared(key, ours, theirs, tolerance))
    problems = [problem for one in found if (problem := _problem(one, tolerance))]
    worst = max(found, key=lambda one: (one.turned / max(one.paths, 1), one.difference))
    return Likeness(
        difference=max(one.difference for one in found),
        steps=sum(one.steps for one in found),
        same=sum(one.same for one in found),
        turned=tuple(one.key for one in found if one.turned),
        worst=worst.told if worst.turned or worst.difference > 0 else "",
        outside=len(problems),
        problem=problems[0] if problems else _of_groups(found, tolerance, group),
    )


def _unlike(problem: str) -> Likeness:
    return Likeness(difference=np.inf, steps=0, same=0, problem=problem)


def _compared(key: str, ours: Forecast, theirs: Forecast, tolerance: Tolerance) -> _One:
    difference, horizon = _difference(ours, theirs), len(theirs.times)
    if ours.paths is None or theirs.paths is None:
        nothing = np.zeros(horizon, dtype=np.intp)
        return _One(key=key, difference=difference, sampling=0.0, steps=0, same=0, paths=0, others=nothing)
    leading = _all_leading(ours.paths, theirs.paths, _allowed(theirs, tolerance.difference))
    return _One(
        key=key,
        difference=difference,
        sampling=_sampling(ours, theirs, theirs.paths),
        steps=int(leading.sum() + (leading < horizon).sum()),
        same=int(leading.sum()),
        paths=len(leading),
        others=(leading[:, None] <= np.arange(horizon)).sum(axis=0),
    )


def _problem(one: _One, tolerance: Tolerance) -> str:
    """Of one forecast by itself, step by step."""
    if not one.paths:
        if one.difference > tolerance.difference:
            return (
                f"{one.key}: quantiles differ by {one.difference:.3g} of the forecast's width, "
                f"{tolerance.difference:g} is allowed"
            )
        return ""
    before = 0
    for step, others in enumerate(int(count) for count in one.others):
        new, left = others - before, one.paths - before
        most_new = _most_by_chance(left, 1 - tolerance.agreement)
        if new > most_new:
            return f"{one.key}: at step {step + 1} {new} of {left} paths are not the same any more, {most_new} may be"
        most = _most_by_chance(one.paths, 1 - tolerance.agreement ** (step + 1))
        if others > most:
            return f"{one.key}: by step {step + 1} {others} of {one.paths} paths are not the same, {most} may be"
        before = others
    if one.sampling > tolerance.sampling:
        return (
            f"{one.key}: a quantile differs by {one.sampling:.3g} times its sampling error, "
            f"{tolerance.sampling:g} is allowed"
        )
    return ""


def _of_groups(found: list[_One], tolerance: Tolerance, group: Callable[[str], str]) -> str:
    steps, same = dict[str, int](), dict[str, int]()
    for one in found:
        name = group(one.key)
        steps[name], same[name] = steps.get(name, 0) + one.steps, same.get(name, 0) + one.same
    for name, count in steps.items():
        if same[name] < tolerance.agreement * count:
            return f"{name}: {same[name]} of {count} sampled steps are the same, {tolerance.agreement:.1%} must be"
    return ""


@lru_cache(maxsize=4096)
def _most_by_chance(count: int, rate: float) -> int:
    """Of `count`, if each is otherwise with this probability: more than so many are so less than once in a million."""
    if rate >= 1:
        return count
    up_to = 0.0
    for others in range(count + 1):
        ways = math.lgamma(count + 1) - math.lgamma(others + 1) - math.lgamma(count - others + 1)
        up_to += math.exp(ways + others * math.log(rate) + (count - others) * math.log1p(-rate)) if rate else 1.0
        if 1 - up_to < _BY_CHANCE:
            return others
    return count


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


def _sampling(compiled: Forecast, eager: Forecast, paths: Floats) -> float:
    """The largest difference of a quantile in units of its sampling error: half the distance between the quantiles one
    standard error of the level to both sides, and no less than a fiftieth of the forecast's width."""
    levels = eager.levels
    aside = np.sqrt(levels * (1 - levels) / len(paths))
    low, high = (np.quantile(paths, np.clip(levels + by * aside, 0, 1), axis=0) for by in (-1, 1))
    error = np.maximum((high - low) / 2, _width(eager) / 50)
    apart = np.abs(compiled.quantiles - eager.quantiles) - _ROUNDING * eager.last_close
    return float(np.maximum(apart / error, 0.0).max())


def _all_leading(compiled: Floats, eager: Floats, limits: Floats) -> NDArray[np.intp]:
    """[S of eager] first steps of each path that are the same. Paths are in the order in which they were drawn."""
    leading = _leading(compiled, eager, limits, 0)
    if len(compiled) != len(eager):
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            leading = np.maximum(leading, _leading(compiled, eager, limits, shift))
    return leading


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
