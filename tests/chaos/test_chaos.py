"""A fixed few of the seeds, and that the machinery around them means what it says. Thousands: `make chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.chaos.__main__ import summary
from tests.chaos.scenario import CALM_H, Scenario, Trouble, scenario_of
from tests.chaos.shrink import shrunk
from tests.chaos.world import Outcome, World, play

LOTS, IN_A_LOT, DAYS = 2, 20, 1.25
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lot", range(LOTS))
def test_all_holds_in_a_few_seeds(lot: int) -> None:
    seeds = range(lot * IN_A_LOT, (lot + 1) * IN_A_LOT)
    outcomes = [play(scenario_of(seed, DAYS)) for seed in seeds]
    failed = [f"python -m tests.chaos --seed {o.seed} --days {DAYS}: {o.problem}" for o in outcomes if o.problem]
    assert not failed, "\n".join(failed)
    print(summary(outcomes, 1.0))


def test_the_same_seed_is_the_same_bytes_whatever_the_hashes() -> None:
    told = set()
    for hashes in ("1", "2"):
        command = [sys.executable, "-m", "tests.chaos", "--seed", "1", "--days", "2"]
        environment = {**os.environ, "PYTHONHASHSEED": hashes, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told.add(ended.stdout)
    assert len(told) == 1, told
    assert "sha256" in told.pop()


def test_another_seed_is_another_run() -> None:
    assert play(scenario_of(1, DAYS)).digest != play(scenario_of(2, DAYS)).digest


def test_leaving_a_trouble_out_changes_no_other_one() -> None:
    scenario = scenario_of(1)
    numbers = {0, len(scenario.troubles) - 1}
    assert scenario.only(numbers).troubles == (scenario.troubles[0], scenario.troubles[-1])


def test_all_troubles_are_over_before_the_calm() -> None:
    for seed in range(200):
        scenario = scenario_of(seed)
        assert all(each.until <= scenario.days * 24 - CALM_H + 1e-9 for each in scenario.troubles), seed


# ---- what must hold is noticed where it does not ----


def refusing_exits() -> Scenario:
    """Nothing is wrong but that the venue takes no exit for an hour."""
    trouble = Trouble(what="submit refuse exit", at=3.0, hours=6.0, value="403 40310000")
    quiet = replace(scenario_of(3, DAYS), symbols=("BTC/USD",), appetite=1.0, hold="carry", accept_s=0.0)
    return replace(quiet, troubles=(trouble,), gates=())


def test_exits_that_are_refused_are_told_of() -> None:
    outcome = play(refusing_exits())
    assert not outcome.problem
    assert outcome.counts["alert"]


def test_it_is_noticed_that_nobody_was_told() -> None:
    world = World(refusing_exits())
    world.watcher.alert = lambda kind, severity, text: None  # type: ignore[method-assign]
    assert "nobody was told" in world.play().problem


def test_a_late_list_of_positions_excuses_no_more_than_a_fee() -> None:
    world = World(refusing_exits())
    world.watcher.hides = lambda symbol: True
    world.watcher.alert = lambda kind, severity, text: None  # type: ignore[method-assign]
    assert "nobody was told" in world.play().problem


def test_it_is_noticed_that_a_fill_was_booked_twice() -> None:
    world = World(replace(refusing_exits(), troubles=()))
    world.play()
    world.journal.fills.append(world.journal.fills[0])
    world.venue.now = world.end  # over already: only the last checks are left
    assert "too many" in world.play().problem


def test_a_gate_that_is_told_ends_entries_and_one_that_does_not_hold_is_noticed() -> None:
    shut = replace(refusing_exits(), troubles=(), gates=(("max_day_orders", "1"),))
    world = World(shut)
    assert not world.play().problem
    assert world.watcher.counts["alert"]
    world.scenario = replace(shut, gates=(("max_day_orders", "0"),))
    world.venue.now = world.end
    assert "entries on" in world.play().problem


def test_a_clock_that_is_set_back_or_on_moves_no_second_of_what_is_counted() -> None:
    for seconds in ("-3600", "3600"):
        step = Trouble(what="clock step", at=3.0, hours=2.0, value=seconds)
        world = World(replace(refusing_exits(), troubles=(step,)))
        world.venue.now = world.start + timedelta(hours=4)
        assert world.clock.now() - world.venue.now == timedelta(seconds=float(seconds))
        assert world.clock.monotonic() == 4 * 3600


def test_a_failing_seed_is_shrunk_to_what_it_takes() -> None:
    scenario = scenario_of(1)
    guilty = {scenario.troubles[1], scenario.troubles[3]}

    def again(tried: Scenario) -> Outcome:
        fails = guilty <= set(tried.troubles)
        return Outcome(seed=1, days=1.0, digest="", problem=f"BTC/USD: {len(tried.troubles)} held" if fails else "")

    outcome, left = shrunk(scenario, again(scenario), again)
    assert left == [1, 3]
    assert outcome.problem == "BTC/USD: 2 held"
