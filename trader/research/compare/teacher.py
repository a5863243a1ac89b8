"""The arms' networks given the same past, and what they say of the next steps held against each other.

Forecasts hide a little: a path that took another turn is no longer comparable, and quantiles of a few samples are
coarse. What the networks say before anything is drawn hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from forecasters.base import ForecastError
from forecasters.compiled.forced import Forced, OutputDistance, output_distances
from forecasters.types import TAG, Context
from trader.research.compare.rivals import Rival

MOST_QUESTIONS = 12  # of a run, evenly spread: the figures are of the largest difference, and each costs a pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """What came of it.

    contexts  both were asked for
    outputs   how far each kind is apart, by what it is; empty where the model has none
    allowed   the most that is the same
    unlike    why they are not the same, one line; "" where they are
    failure   why nothing could be compared though there is something, one line
    """

    contexts: int
    outputs: Mapping[str, OutputDistance]
    allowed: float
    unlike: str = ""
    failure: str = ""

    @property
    def summary(self) -> str:
        """One line: the worst figure, or that there is none."""
        if self.failure or not self.outputs:
            return self.failure or "no logits, nor any other raw outputs"
        worst = max(self.outputs, key=lambda name: self.outputs[name].worst)
        return f"{self.outputs[worst].worst:.1e} ({worst})"


def compare_raw_outputs(
    reference: Rival, candidate: Rival, questions: Sequence[Sequence[Context]], limit: float
) -> Teaching:
    """Both asked for their raw outputs in some of the questions, each in its own process."""
    contexts = _tagged(questions)
    forced_outputs: list[Forced] = []
    for rival in (reference, candidate):
        try:
            forced_outputs.append(rival.teacher_forced(contexts) if contexts else {})
        except ForecastError as error:
            return _none(limit, f"{rival.name} shows no raw outputs: {error.reason}")
    of_reference, of_candidate = forced_outputs
    if of_reference.keys() != of_candidate.keys():
        lacking = candidate if of_reference.keys() - of_candidate.keys() else reference
        return _none(
            limit,
            f"{lacking.name} shows no raw outputs of {len(of_reference.keys() ^ of_candidate.keys())} contexts",
        )
    try:
        outputs = output_distances([of_candidate[symbol] for symbol in of_reference], list(of_reference.values()))
    except ForecastError as error:
        return _none(limit, f"the raw outputs are of different networks: {error.reason}")
    off = [f"{name} by {distance.worst:.2g}" for name, distance in outputs.items() if not distance.worst <= limit]
    unlike = f"given the same past, the networks differ in {', '.join(off)}; {limit:g} is allowed" if off else ""
    return Teaching(contexts=len(of_reference), outputs=MappingProxyType(outputs), allowed=limit, unlike=unlike)


def _none(allowed: float, failure: str) -> Teaching:
    return Teaching(contexts=0, outputs=MappingProxyType({}), allowed=allowed, failure=failure)


def _tagged(questions: Sequence[Sequence[Context]]) -> list[Context]:
    """Each context under a name of its own, of so many questions at most, first and last among them."""
    count = len(questions)
    numbers = sorted({round(place * (count - 1) / max(MOST_QUESTIONS - 1, 1)) for place in range(MOST_QUESTIONS)})
    return [
        Context(
            symbol=f"{context.series}{TAG}{number}",
            times=context.times,
            values=context.values,
            future_times=context.future_times,
        )
        for number in numbers
        if number < count
        for context in questions[number]
    ]
