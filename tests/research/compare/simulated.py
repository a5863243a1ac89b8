"""Times of two arms as machines make them, and what the rule about speed says of many such comparisons.

python -m tests.research.compare.simulated      # the tables of docs/compare.md; some minutes
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from settings.research import Compare
from trader.research import intervals
from trader.research.compare.findings import Answer
from trader.research.compare.speed import speed_findings, speed_of
from trader.research.intervals import ratio_of_quantiles, ratio_of_sums

Floats = NDArray[np.float64]
Times = tuple[Floats, Floats]
Kind = Callable[[np.random.Generator, int, float], Times]

EAGER_S = 0.05
COUNTS = (25, 50, 100, 200, 400, 800)
_BEFORE = 200  # values that are thrown away, until nothing is left of the start


def remembering(random: np.random.Generator, count: int, share: float, step: float) -> Floats:
    """Each is `share` of the one before, and a step of its own."""
    values = random.normal(0, step, count + _BEFORE)
    for place in range(1, len(values)):
        values[place] += share * values[place - 1]
    return values[_BEFORE:]


def white(random: np.random.Generator, count: int, faster: float, noise: float = 0.1) -> Times:
    first, second = random.normal(0, noise, (2, count))
    return EAGER_S * faster * np.exp(first), EAGER_S * np.exp(second)


def autoregressive(random: np.random.Generator, count: int, faster: float) -> Times:
    """What slows an arm lasts for some questions, in each by itself."""
    first, second = (remembering(random, count, 0.7, 0.1) for _ in range(2))
    return EAGER_S * faster * np.exp(first), EAGER_S * np.exp(second)


def drifting(random: np.random.Generator, count: int, faster: float) -> Times:
    """The machine becomes half as fast over the run."""
    drift = np.linspace(0, np.log(2), count) + remembering(random, count, 0.97, 0.02)
    first, second = random.normal(0, 0.07, (2, count))
    return EAGER_S * faster * np.exp(drift + first), EAGER_S * np.exp(drift + second)


def drifting_apart(random: np.random.Generator, count: int, faster: float) -> Times:
    """Each drifts for itself, slowly to and fro."""
    first, second = (remembering(random, count, 0.9, 0.05) + random.normal(0, 0.05, count) for _ in range(2))
    return EAGER_S * faster * np.exp(first), EAGER_S * np.exp(second)


def stalling(random: np.random.Generator, count: int, faster: float) -> Times:
    """One answer in a hundred of either takes up to five times as long."""
    first, second = white(random, count, faster, 0.05)
    stalls = np.where(random.random((2, count)) < 0.01, random.uniform(1, 5, (2, count)), 1.0)
    return first * stalls[0], second * stalls[1]


KINDS: dict[str, Kind] = {
    "white": white,
    "autoregressive, 0.7": autoregressive,
    "drifting together": drifting,
    "drifting apart": drifting_apart,
}


def coverage(kind: Kind, count: int, runs: int, faster: float = 1.25) -> tuple[float, float]:
    """How often the intervals hold what is true: of the ratio of sums, and of medians."""
    held = np.zeros(2)
    for seed in range(runs):
        times = kind(np.random.default_rng([seed, count]), count, faster)
        for place, ratio in enumerate((ratio_of_sums(*times), ratio_of_quantiles(*times, 0.5))):
            held[place] += ratio.low <= faster <= ratio.high
    sums, medians = held / runs
    return float(sums), float(medians)


def told_faster(times: Times, rule: Compare) -> bool:
    """Whether every line of the rule about speed holds."""
    reference, candidate = (dict(enumerate(each.tolist())) for each in times)
    found = speed_findings(speed_of(reference, candidate), rule)
    return {each.answer for each in found} == {Answer.FOR}


def power(kind: Kind, faster: float, count: int, runs: int = 100) -> float:
    """How often so much is told faster than the rule asks."""
    times = (kind(np.random.default_rng([seed, count]), count, faster) for seed in range(runs))
    return sum(told_faster(each, Compare()) for each in times) / runs


def main() -> None:
    intervals.RESAMPLES = 400  # enough for shares, and five times as fast
    print("share of 95% intervals that hold the true ratio: of sums, of medians")
    for name, kind in KINDS.items():
        for count in (200, 400):
            sums, medians = coverage(kind, count, 300)
            print(f"  {name}, {count} cycles: {sums:.3f}, {medians:.3f}", flush=True)
    print("share of comparisons that tell a true speed-up to be more than 1.2, by cycles")
    for faster, noise in ((1.2, 0.05), (1.25, 0.02), (1.25, 0.05), (1.25, 0.1), (1.25, 0.2)):
        told = [f"{count}: {power(partial(white, noise=noise), faster, count):.2f}" for count in COUNTS]
        print(f"  {faster}, each time off by {noise:.0%}: {', '.join(told)}", flush=True)
    told = [f"{count}: {power(stalling, 1.5, count):.2f}" for count in COUNTS]
    print(f"  1.5, each time off by 5%, and both stall: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
