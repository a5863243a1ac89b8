"""Questions that nobody can have asked before: an arm that looks its answers up is slow there, or wrong.

They are some of the comparison's own, each bar of them moved by a little that is drawn anew in each comparison. So no
earlier run, no other arm and no file can have the answers.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forecasters.compiled.likeness import Tolerance
from forecasters.types import Context
from settings.research import Compare
from trader.research.compare.agreement import alike
from trader.research.compare.findings import Answer, Finding, finding
from trader.research.compare.rivals import InTurns, Rival
from trader.research.compare.speed import Speed, in_short, in_words, is_known, speed_of, unknown

FRESH_QUESTIONS = 48
_MOVED = 0.1  # of how far prices usually move from bar to bar
_CLOSE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What came of them.

    seed      of what they were moved by
    problems  what either arm did that a sound one does not, a line each
    unlike    why the answers are not the same, "" where they are
    slowest_s  the candidate's longest answer
    """

    questions: int
    seed: int
    problems: tuple[str, ...]
    unlike: str
    speed: Speed
    slowest_s: float


def ask_afresh(
    reference: Rival, candidate: Rival, questions: Sequence[Sequence[Context]], tolerance: Tolerance
) -> Fresh:
    """Both asked in turns, as if they were new."""
    seed = secrets.randbits(64)
    random = np.random.default_rng(seed)
    pair = InTurns(reference.anew(), candidate.anew())
    for number in range(FRESH_QUESTIONS if questions else 0):
        pair.forecast([_moved(context, random) for context in questions[number % len(questions)]])
    return Fresh(
        questions=pair.reference.asked,
        seed=seed,
        problems=tuple(problem for rival in (pair.reference, pair.candidate) for problem in _problems(rival)),
        unlike=alike(pair.reference, pair.candidate, tolerance).problem,
        speed=speed_of(pair.reference.seconds, pair.candidate.seconds),
        slowest_s=pair.candidate.slowest_s,
    )


def _moved(context: Context, random: np.random.Generator) -> Context:
    """Each bar as a whole, so that it stays a bar."""
    usual = float(np.std(np.diff(np.log(context.values[:, _CLOSE])))) or 1e-4
    values = context.values.copy()
    values[:, : _CLOSE + 1] *= np.exp(random.normal(0, _MOVED * usual, len(values)))[:, None]
    return Context(symbol=context.symbol, times=context.times, values=values, future_times=context.future_times)


def _problems(rival: Rival) -> Iterator[str]:
    for count, what in (
        (rival.failed, f"failed, first: {(rival.failures or ['?'])[0]}"),
        (rival.asked - len(rival.answers), "gave no forecast"),
        (rival.misplaced, "answered with a forecast of other bars"),
        (rival.served_eager, "was served by its eager fallback"),
    ):
        if count:
            yield f"asked what nobody asked before, {rival.name} {what} ({count} times)"


def fresh_findings(fresh: Fresh, rule: Compare) -> Iterator[Finding]:
    unlike = [f"asked what nobody asked before, the forecasts differ: {fresh.unlike}"] if fresh.unlike else []
    answer = Answer.INVALID if fresh.problems else Answer.AGAINST
    name, measured = "the same, asked anew", f"{fresh.questions} forecasts"
    yield finding(name, measured, "as those above", [*fresh.problems, *unlike], answer)
    yield _speed(fresh.speed, rule)


def _speed(speed: Speed, rule: Compare) -> Finding:
    """So few can't be as sure as all are: they must not contradict them, and the candidate must surely be faster. Where
    each was asked first, for the other arm's answer is one that somebody asked for."""
    name, limits, ratio = "speed-up, asked anew", f"above 1, {rule.speed_up:g} within", speed.first_medians
    if not is_known(ratio):
        return unknown(name, limits)
    told = f"asked what nobody asked before, it is {in_words(ratio)}"
    if ratio.high <= rule.speed_up:
        return finding(name, in_short(ratio), limits, [f"{told}; it may answer from memory"], Answer.AGAINST)
    unclear = f"{told}: too unsure to tell that it does not answer from memory. A quieter machine would tell"
    return finding(name, in_short(ratio), limits, [unclear] if ratio.low <= 1 else [], Answer.UNCLEAR)
