"""Forecasts asked again: a share of those that a run used, by a backend that has been asked nothing else.

A forecast is of its context alone. A backend that remembers what it was shown looks brilliant: in a batch, and where
later moments are asked first, it has seen the bars that it forecasts. So some contexts are asked once more in a fresh
worker: each alone and in the order of time, in which no bar has been shown that a forecast is of, and then all together
in another order. Whatever comes out otherwise is no forecast, and the run has no figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from forecasters.base import Forecaster, ForecastError
from forecasters.compiled.likeness import Tolerance, likeness
from forecasters.types import CHANNELS, TAG, Context, Forecast, renamed
from trader.errors import ConfigurationError
from trader.research.forecasts.sweep import OriginAnswer

SHARE = 0.02  # of the contexts: alone a forecast takes up to ten times as long as in a batch
LEAST, LEAST_EACH = 12, 4  # contexts, in all and of each symbol, however small the share
_BATCH = 32
_RANKS = 2.0**64


class Depends(ConfigurationError):
    """A backend's answer is not of its context alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A context, under the plain symbol, and the forecast of it that was used; None where there was none."""

    context: Context
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What came of asking again.

    asked, of  how many contexts, and of how many
    differing  of them, those with another answer
    worst      the largest difference of a quantile, as a share of the forecast's own width there
    problem    the first difference as one line, empty where there is none
    exact      whether the answers had to be the same to the last bit; else within what the backend says of its rounding
    """

    asked: int
    of: int
    differing: int = 0
    worst: float = 0.0
    problem: str = ""
    exact: bool = True
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """One line."""
        if not self.asked:
            return "no forecast was asked again: whether they depend on what else was asked is not known"
        alike = (
            "the same to the last bit"
            if self.exact or not self.worst
            else f"the same but for rounding (at most {self.worst:.1e})"
        )
        outcome = self.problem or alike
        what = f"{self.asked} of {self.of} forecasts, alone, of a fresh backend, and in another order"
        return f"asked again: {what}: {outcome} ({self.seconds:.1f} s)"


_Place = tuple[float, str, int, int]  # rank, series, start of the last bar, bars


class Sample:
    """Keeps what is asked again of all that goes by. The choice follows from the contexts and the seed alone."""

    def __init__(self, share: float = SHARE, seed: int = 0) -> None:
        self.share = share
        self.seen = 0
        self._seed = seed
        self._of_share: dict[_Place, Answered] = {}
        self._lowest: dict[str, dict[_Place, Answered]] = {}  # LEAST of each series

    def see(self, context: Context, forecast: Forecast | None) -> None:
        """An answer that was used; of a question that comes twice the first one."""
        self.seen += 1
        if not self.share:
            return
        place = self._place(context)
        lowest = self._lowest.setdefault(place[1], {})
        among = place not in lowest and (len(lowest) < LEAST or place < max(lowest))
        if not among and (place[0] >= self.share or place in self._of_share):
            return
        answered = _plain(context, forecast)
        if place[0] < self.share:
            self._of_share.setdefault(place, answered)
        if among:
            lowest[place] = answered
            if len(lowest) > LEAST:
                del lowest[max(lowest)]

    def watching(self, answers: Iterator[OriginAnswer]) -> Iterator[OriginAnswer]:
        """The same answers."""
        for answer in answers:
            self.see(answer.context, answer.kept.forecast)
            yield answer

    def chosen(self) -> list[Answered]:
        """In the order of time."""
        each = {
            place: answered for low in self._lowest.values() for place, answered in sorted(low.items())[:LEAST_EACH]
        }
        ranked = sorted((entry for low in self._lowest.values() for entry in low.items()), key=lambda entry: entry[0])
        found = {**dict(ranked[:LEAST]), **each, **self._of_share}
        return [found[place] for place in sorted(found, key=lambda place: (place[2], place[1:]))]

    def _place(self, context: Context) -> _Place:
        series, last = context.series, int(context.times[-1].astype(np.int64))
        digest = blake2b(f"{self._seed}|{series}|{last}|{len(context)}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") / _RANKS, series, last, len(context)


def _plain(context: Context, forecast: Forecast | None) -> Answered:
    return Answered(
        context=renamed(context, context.series),
        forecast=None if forecast is None else renamed(forecast, context.series),
    )


class Watched:
    """A Forecaster whose answers go by a sample."""

    def __init__(self, inner: Forecaster, sample: Sample) -> None:
        self.name = inner.name
        self.warm_up = inner.warm_up
        self.close = inner.close
        self._inner = inner
        self._sample = sample

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        answer = self._inner.forecast(contexts)
        for context in contexts:
            self._sample.see(context, answer.get(context.symbol))
        return answer


def ask_again(
    sample: Sample, fresh: Callable[[], Forecaster], rounding: Tolerance | None = None, *, seed: int = 0
) -> Again:
    """Of a sample. Raises ForecastError where the backend fails.

    fresh     makes the backend anew, in a process of its own where it can keep anything
    rounding  how far its answers may differ with the size of a batch; None: not at all
    """
    used = sample.chosen()
    if not used:
        return Again(asked=0, of=sample.seen, exact=rounding is None)
    started = time.perf_counter()
    forecaster = fresh()
    try:
        forecaster.warm_up()
        alone = [_answers(forecaster, [each.context])[0] for each in used]
        order = np.random.default_rng(seed).permutation(len(used)).tolist()
        mixed: dict[int, Forecast | None] = {}
        for first in range(0, len(order), _BATCH):
            part = order[first : first + _BATCH]
            mixed |= zip(part, _answers(forecaster, [used[place].context for place in part]), strict=True)
    finally:
        forecaster.close()
    found = [_compared(each, alone[place], mixed[place], rounding) for place, each in enumerate(used)]
    problems = [problem for problem, _ in found if problem]
    return Again(
        asked=len(used),
        of=sample.seen,
        differing=len(problems),
        worst=max(worst for _, worst in found),
        problem=problems[0] if problems else "",
        exact=rounding is None,
        seconds=time.perf_counter() - started,
    )


def demand(name: str, again: Again) -> Again:
    """The same, or Depends where the answers are not of their contexts alone."""
    if again.problem:
        raise Depends(
            f"{name}'s answer depends on what else it was asked: {again.problem}; {again.differing} of {again.asked} "
            "that were asked again differ, so there are no figures; see `trader backends check`"
        )
    return again


def _answers(forecaster: Forecaster, contexts: Sequence[Context]) -> list[Forecast | None]:
    """One for each, under the plain symbol. A refusal is an answer."""
    plain = len({context.series for context in contexts}) == len(contexts)
    asked = contexts if plain else [renamed(c, f"{c.series}{TAG}{n}") for n, c in enumerate(contexts)]
    try:
        answer = forecaster.forecast(asked)
    except ForecastError:
        refusals: Mapping[str, str] = getattr(forecaster, "refusals", {})
        if not all(context.symbol in refusals for context in asked):
            raise
        answer = {}
    found = [answer.get(context.symbol) for context in asked]
    return [
        None if forecast is None else renamed(forecast, context.series)
        for context, forecast in zip(contexts, found, strict=True)
    ]


def _compared(
    used: Answered, alone: Forecast | None, mixed: Forecast | None, rounding: Tolerance | None
) -> tuple[str, float]:
    """What is otherwise, as one line, and the largest difference of a quantile."""
    apart = [apart_by(used.forecast, other, rounding) for other in (alone, mixed)]
    worst = max(by for _, by in apart)
    if not any(differs for differs, _ in apart):
        return "", worst
    where = _widest(used.forecast, alone if apart[0][0] else mixed)
    at = f"{used.context.symbol} at {used.context.asof:%Y-%m-%d %H:%M}Z"
    told = ", ".join(
        f"{how} {_told(forecast, where)}"
        for how, forecast in (("alone", alone), ("in another order", mixed), ("among others", used.forecast))
    )
    return f"{at} {told}{_named(used.forecast or alone or mixed, where)}", worst


def apart_by(used: Forecast | None, other: Forecast | None, rounding: Tolerance | None) -> tuple[bool, float]:
    """Whether they differ, and by how much of the forecast's width; where only one has paths those do not count."""
    if used is None or other is None:
        return (used is None) != (other is None), 0.0
    if used.quantiles.shape != other.quantiles.shape or not np.array_equal(used.levels, other.levels):
        return True, float("inf")
    width = np.maximum(used.quantiles[-1] - used.quantiles[0], np.finfo(np.float64).tiny)
    by = float((np.abs(used.quantiles - other.quantiles) / width).max())
    both = used.paths is not None and other.paths is not None
    if rounding is None:
        same = by == 0 and (not both or np.array_equal(used.paths, other.paths))  # type: ignore[arg-type]
        return not same, by
    ours, theirs = (each if both else replace(each, paths=None) for each in (used, other))
    return bool(likeness({"": other if both else theirs}, {"": ours}, rounding).problem), by


_Where = tuple[int, int, int] | None  # level, step, channel


def _widest(used: Forecast | None, other: Forecast | None) -> _Where:
    if used is None or other is None or used.quantiles.shape != other.quantiles.shape:
        return None
    place = np.unravel_index(np.abs(used.quantiles - other.quantiles).argmax(), used.quantiles.shape)
    level, step, channel = (int(each) for each in place)
    return level, step, channel


def _told(forecast: Forecast | None, where: _Where) -> str:
    if forecast is None:
        return "no forecast"
    return "a forecast" if where is None else f"{forecast.quantiles[where]:.6g}"


def _named(forecast: Forecast | None, where: _Where) -> str:
    if forecast is None or where is None:
        return ""
    level, step, channel = where
    return f" (the {forecast.levels[level]:.0%} quantile of the {CHANNELS[channel]}, bar {step + 1})"
