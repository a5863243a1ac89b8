"""Many seeds: `python -m tests.chaos --seeds 100`. One again: `python -m tests.chaos --seed 7 --only 2,5 --trace`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

from loguru import logger

from tests.chaos.scenario import Scenario, scenario_of
from tests.chaos.shrink import shrunk
from tests.chaos.world import Outcome, play

_SHRINK_AT_MOST = 5  # of the failing seeds: the others are named


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    logger.remove()
    if given.seed is not None:
        return _one(_scenario(given.seed, given.days, given.only), given)
    return _many(range(given.first, given.first + given.seeds), given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--seeds", type=int, default=100, help="so many, from --first on (default %(default)s)")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--days", type=float, help="market days of each (default: drawn, 2 to 7)")
    parser.add_argument("--only", help="these of its troubles alone, by number: 0,3 (none: all of them, -: none)")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no seed after so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser


def _scenario(seed: int, days: float | None, only: str | None) -> Scenario:
    scenario = scenario_of(seed, days)
    if only is None:
        return scenario
    return scenario.only({int(each) for each in only.split(",") if each.strip("-")})


def _one(scenario: Scenario, given: argparse.Namespace) -> int:
    """With its troubles listed."""
    print(_described(scenario))
    outcome = play(scenario, print if given.trace else None)
    print(f"sha256 {outcome.digest}")
    print(outcome.problem or "all of it holds")
    if outcome.problem and given.only is None and not given.no_shrink:
        _show_shrunk(outcome, given)
    return 1 if outcome.problem else 0


def _described(scenario: Scenario) -> str:
    known = scenario_of(scenario.seed, scenario.days).troubles
    lines = [f"{known.index(each):3d}  {each}" for each in scenario.troubles]
    market = f"{scenario.days:g} days of {', '.join(scenario.symbols)} in {scenario.timeframe}"
    wants = "; targets" if scenario.targets else ""
    return "\n".join(
        [f"seed {scenario.seed}: {market}; EXIT_RESTS={scenario.exit_rests} HOLD={scenario.hold}{wants}", *lines]
    )


def _many(seeds: Iterable[int], given: argparse.Namespace) -> int:
    began, outcomes = time.monotonic(), list[Outcome]()
    for outcome in _played_in_turn(seeds, given.days, given.jobs, began + given.seconds):
        outcomes.append(outcome)
        if outcome.problem:
            print(f"seed {outcome.seed}: {outcome.problem}", flush=True)
    print(summary(outcomes, time.monotonic() - began))
    failed = [each for each in outcomes if each.problem]
    for outcome in failed[:_SHRINK_AT_MOST] if not given.no_shrink else ():
        _show_shrunk(outcome, given)
    return 1 if failed else 0


def _played_in_turn(seeds: Iterable[int], days: float | None, jobs: int, until: float) -> Iterator[Outcome]:
    """In the order of the seeds; none is begun after `until`."""
    waiting: deque[Future[Outcome]] = deque()
    with ProcessPoolExecutor(jobs) as pool:
        for seed in seeds:
            if time.monotonic() >= until:
                break
            waiting.append(pool.submit(_played, seed, days))
            if len(waiting) >= 4 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _played(seed: int, days: float | None) -> Outcome:
    logger.remove()
    return play(scenario_of(seed, days))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    days, failed = sum(each.days for each in outcomes), sum(bool(each.problem) for each in outcomes)
    faults, restarts = sum(each.faults for each in outcomes), sum(each.restarts for each in outcomes)
    return (
        f"{len(outcomes)} seeds, {days:.0f} market days, {faults} faults, {restarts} restarts in {seconds:.1f} s: "
        f"{days / seconds:.1f} market days, {faults / seconds:.1f} faults, {restarts / seconds:.1f} restarts a second; "
        f"{failed} failed"
    )


def _show_shrunk(outcome: Outcome, given: argparse.Namespace) -> None:
    days = f" --days {given.days:g}" if given.days is not None else ""
    least, left = shrunk(scenario_of(outcome.seed, given.days), outcome)
    only = ",".join(map(str, left)) or "-"
    print(f"again: python -m tests.chaos --seed {outcome.seed}{days} --only {only} --trace\n  {least.problem}")


if __name__ == "__main__":
    sys.exit(main())
