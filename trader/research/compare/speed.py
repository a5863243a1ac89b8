"""How fast one arm answers against another: the times of the same questions, and what they say. Pure.

Which arm is asked first changes from question to question (see `InTurns`). Whoever is asked first was also the last to
be asked before, as it is in a daemon, where it is alone; whoever is asked second comes to what the other one warmed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from settings.research import Compare
from trader.research.compare.enough import cycles_for_speed
from trader.research.compare.findings import Answer, Finding, are_finite, finding
from trader.research.intervals import Ratio, ratio_of_quantiles, ratio_of_sums

TAIL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How many times as fast the candidate is.

    sums, medians              over all questions that both answered
    first_sums, first_medians  where each was asked first: pairs of neighbouring questions
    tail                       of their 99th percentiles
    """

    questions: int
    sums: Ratio
    medians: Ratio
    first_sums: Ratio
    first_medians: Ratio
    tail: Ratio


def speed_of(reference: Mapping[int, float], candidate: Mapping[int, float]) -> Speed:
    """From the seconds of each question, by its number: the reference was asked first where that is even."""
    both = sorted(reference.keys() & candidate.keys())
    theirs, ours = (np.array([max(each[number], 1e-9) for number in both]) for each in (reference, candidate))
    pairs = [number for number in both if number % 2 == 0 and number + 1 in candidate and number + 1 in reference]
    theirs_first = np.array([max(reference[number], 1e-9) for number in pairs])
    ours_first = np.array([max(candidate[number + 1], 1e-9) for number in pairs])
    return Speed(
        questions=len(both),
        sums=ratio_of_sums(theirs, ours),
        medians=ratio_of_quantiles(theirs, ours, 0.5),
        first_sums=ratio_of_sums(theirs_first, ours_first),
        first_medians=ratio_of_quantiles(theirs_first, ours_first, 0.5),
        tail=ratio_of_quantiles(theirs, ours, TAIL),
    )


def speed_findings(speed: Speed, rule: Compare) -> Iterator[Finding]:
    """The rule about speed, line by line. Every line must hold."""
    yield _surely_above("speed-up in sum", speed.sums, speed.questions, rule)
    yield _surely_above("speed-up of the medians", speed.medians, speed.questions, rule)
    yield _asked_first(speed, rule)
    yield _tail(speed.tail)


def in_words(ratio: Ratio) -> str:
    return f"{ratio.middle:.2f} times as fast (95%: {ratio.low:.2f} to {ratio.high:.2f})"


def in_short(ratio: Ratio) -> str:
    return f"{ratio.middle:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def is_known(ratio: Ratio) -> bool:
    return are_finite(ratio.middle, ratio.low, ratio.high)


def unknown(name: str, limits: str) -> Finding:
    return finding(name, "?", limits, [f"a figure is missing or not finite: {name}"], Answer.INVALID)


def _surely_above(name: str, ratio: Ratio, questions: int, rule: Compare) -> Finding:
    """The whole interval, so that neither a few fast answers nor a few slow ones are overlooked."""
    limits = f"more than {rule.speed_up:g}, surely"
    if not is_known(ratio):
        return unknown(name, limits)
    if ratio.high <= rule.speed_up:
        reason = f"{name}: {in_words(ratio)}, more than {rule.speed_up:g} is asked"
        return finding(name, in_short(ratio), limits, [reason], Answer.AGAINST)
    unclear = f"{name}: {in_words(ratio)}: it is unclear whether that is more than {rule.speed_up:g}."
    reasons = [f"{unclear} {_what_would_tell(ratio, questions, rule)}"] if ratio.low <= rule.speed_up else []
    return finding(name, in_short(ratio), limits, reasons, Answer.UNCLEAR)


def _what_would_tell(ratio: Ratio, questions: int, rule: Compare) -> str:
    needed = cycles_for_speed(ratio.middle, ratio.low, ratio.high, rule.speed_up, questions)
    if needed is None:
        return "So near to it no number of cycles would tell: for this model on this machine it hardly matters"
    return f"If the middle stays where it is, about {needed} cycles instead of {questions} would tell"


def _asked_first(speed: Speed, rule: Compare) -> Finding:
    """An arm that lives on what the other one left behind is as slow as ever where it is asked first. Half as many
    cycles can't be as sure as all are, so that here the middle is to be above the rule."""
    name, limits = "speed-up where asked first", f"more than {rule.speed_up:g}"
    ratio = min(speed.first_sums, speed.first_medians, key=lambda each: each.middle)
    if not is_known(speed.first_sums) or not is_known(speed.first_medians):
        return unknown(name, limits)
    reasons = (
        [f"where it was asked first, it is {in_words(ratio)}; it may profit from being asked second"]
        if ratio.middle <= rule.speed_up
        else []
    )
    answer = Answer.AGAINST if ratio.high <= rule.speed_up else Answer.UNCLEAR
    return finding(name, in_short(ratio), limits, reasons, answer)


def _tail(ratio: Ratio) -> Finding:
    """No allowance is added for noise: a model that is as much faster as the rule asks has that much to spare. What is
    longer by chance decides nothing, and is never taken for as good."""
    name, limits = "speed-up of the 99th percentile", "1 or more"
    if not is_known(ratio):
        return unknown(name, limits)
    told = f"its 99th percentile is longer: {in_words(ratio)}"
    if ratio.high < 1:
        return finding(name, in_short(ratio), limits, [told], Answer.AGAINST)
    chance = f"{told}, perhaps by chance. A quieter machine or more cycles would tell"
    return finding(name, in_short(ratio), limits, [chance] if ratio.middle < 1 else [], Answer.UNCLEAR)


def slowest_finding(slowest_s: float, deadline_s: float) -> Finding:
    reason = f"an answer took {slowest_s:.1f} s; after {deadline_s:g} s (FORECAST_DEADLINE_S) a daemon kills the worker"
    late = [] if slowest_s <= deadline_s else [reason]
    return finding("slowest answer", f"{slowest_s:.3g} s", f"{deadline_s:g} s at most", late, Answer.AGAINST)
