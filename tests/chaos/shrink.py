"""The fewest troubles with which a seed still fails."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.chaos.scenario import Scenario
from tests.chaos.world import Outcome, play

_FIGURES = re.compile(r"[0-9][0-9.:\-T+]*")
_NAMES = re.compile(r"\S*trd-\S+|[A-Z]{2,5}(?:/USD)?")


def shrunk(
    scenario: Scenario, failed: Outcome, again: Callable[[Scenario], Outcome] = play
) -> tuple[Outcome, list[int]]:
    """One after another is left out, as long as it fails in the same way. Returns that outcome, and what is left."""
    kept, outcome = list(range(len(scenario.troubles))), failed
    for number in reversed(range(len(scenario.troubles))):
        fewer = [each for each in kept if each != number]
        found = again(scenario.only(fewer))
        if found.problem and kind_of(found.problem) == kind_of(failed.problem):
            kept, outcome = fewer, found
    return outcome, kept


def kind_of(problem: str) -> str:
    """A problem without its figures and names."""
    return _NAMES.sub("", _FIGURES.sub("", problem.strip().splitlines()[-1]))[:80]
