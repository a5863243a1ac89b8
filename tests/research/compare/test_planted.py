"""Arms that were made to look good: none of them is compiled, and one that is truly faster is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from forecasters.compiled.likeness import Tolerance
from forecasters.types import Context
from settings.load import load
from settings.research import Compare
from tests.research.compare import arms
from trader.research.backtest.simulate import Setup, market_options
from trader.research.compare.compare import Comparison, compare
from trader.research.compare.rivals import Rival
from trader.research.compare.verdict import Outcome
from trader.research.forecasts.key import Question, question_of

RULE = Compare(least_forecasts=40, least_trades=1)
SYMBOLS = "BTC/USD,ETH/USD"
FAST_S, SLOW_S = 0.05, 0.1


def compared(
    reference: Rival, candidate: Rival, state: Path, cycles: int = 66, symbols: str = SYMBOLS, horizon: int = 4
) -> Comparison:
    flags = {"trading_mode": "sim", "state_dir": str(state), "symbols": symbols, "context": 120, "horizon": horizon}
    settings = load(flags, environ={"HOME": str(state)}, folder=state).settings
    setup = Setup(settings=settings, market=market_options(settings), cycles=cycles)
    return compare(setup, reference, candidate, RULE, tolerance=Tolerance())


def reasons_against(found: Comparison) -> str:
    assert found.verdict.outcome is not Outcome.COMPILED
    return "\n".join(found.verdict.reasons)


# ---- wrong now and then ----

WRONG: dict[str, tuple[arms.Tampering, int, str]] = {
    "late: the last 3 of 200": (arms.wrong_in(lambda call: 197 < call <= 200), 200, "6 of 400 are out of tolerance"),
    "late: from the middle on": (arms.wrong_in(lambda call: call > 33), 66, "66 of 132 are out of tolerance"),
    "rare: 1 in 10": (arms.off_by(0.01, every=10), 66, "12 of 132 are out of tolerance"),
    "rare: 1 in 66": (arms.off_by(0.01, every=66), 66, "2 of 132 are out of tolerance"),
    "one symbol": (arms.wrong_in(lambda call: True, symbol="ETH/USD"), 66, "66 of 132 .* first ETH/USD"),
    "one symbol, once": (arms.wrong_in(lambda call: call == 40, symbol="ETH/USD"), 66, "1 of 132 .* first ETH/USD"),
    "one step": (arms.wrong_in(lambda call: True, step=3), 66, "132 of 132 .* at step 4"),
    "one step of one symbol, once": (
        arms.wrong_in(lambda call: call == 40, symbol="ETH/USD", step=3),
        66,
        "1 of 132 .* first ETH/USD.* at step 4",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_no_cycle_may_be_out_of_tolerance(kind: str, tmp_path: Path) -> None:
    tampering, cycles, why = WRONG[kind]
    found = compared(arms.eager(), arms.compiled(tampering), tmp_path, cycles)
    assert re.search(why, reasons_against(found)), found.verdict.reasons


@pytest.mark.parametrize("every", [10, 66])
def test_one_bad_step_of_a_long_horizon_is_not_lost_in_the_many(every: int, tmp_path: Path) -> None:
    tampering = arms.wrong_in(lambda call: call % every == 0, symbol="BTC/USD", step=23)
    found = compared(arms.eager(), arms.compiled(tampering), tmp_path, 66, "BTC/USD", horizon=24)
    assert f"{66 // every} of 66 are out of tolerance" in reasons_against(found)


# ---- slow now and then ----


def stalling(every: int, seconds: float, usual_s: float = FAST_S) -> arms.Cost:
    usual = arms.steady(usual_s)
    return lambda call, contexts: seconds if call % every == 0 else usual(call, contexts)


STALLS: dict[str, tuple[arms.Cost, str]] = {
    "one in 12 for 3 s": (stalling(12, 3.0), r"speed-up in sum: 0\.\d+ times as fast"),
    "one in 30 for half a second": (stalling(30, 0.5), "its 99th percentile is longer"),
    "once, longer than the deadline": (stalling(66, 61.0, 0.001), "an answer took 61.0 s; after 60 s"),
    "once, when asked anew": (stalling(80, 61.0), "an answer took 61.0 s; after 60 s"),
}


@pytest.mark.parametrize("kind", STALLS)
def test_an_arm_that_stalls_is_not_faster(kind: str, tmp_path: Path) -> None:
    cost, why = STALLS[kind]
    found = compared(arms.eager(arms.steady(SLOW_S)), arms.compiled(cost=cost), tmp_path)
    assert re.search(why, reasons_against(found)), found.verdict.reasons


def test_a_sum_that_a_few_slow_answers_of_the_other_made_is_no_speed_up(tmp_path: Path) -> None:
    found = compared(arms.eager(stalling(6, 1.0, FAST_S)), arms.compiled(cost=arms.steady(FAST_S)), tmp_path)
    assert found.speed.sums.middle > 2
    assert "speed-up of the medians: 1.0" in reasons_against(found) or "0.99" in reasons_against(found)


# ---- who is asked first, and what was asked before ----


def quick_on(known: set[Question], cost_s: float = SLOW_S) -> arms.Cost:
    """As slow as the other one, unless the question is in a memory, into which all that is answered goes."""
    usual, quick = arms.steady(cost_s), arms.steady(cost_s / 10)

    def cost(call: int, contexts: Sequence[Context]) -> float:
        asked = {question_of(context) for context in contexts}
        seconds = quick(call, contexts) if asked <= known else usual(call, contexts)
        known.update(asked)
        return seconds

    return cost


def telling(known: set[Question], cost_s: float = SLOW_S) -> arms.Cost:
    usual = arms.steady(cost_s, seed=1)

    def cost(call: int, contexts: Sequence[Context]) -> float:
        known.update(question_of(context) for context in contexts)
        return usual(call, contexts)

    return cost


def test_an_arm_that_lives_on_what_the_other_one_just_computed_is_not_faster(tmp_path: Path) -> None:
    shared: set[Question] = set()
    found = compared(arms.eager(telling(shared)), arms.compiled(cost=quick_on(shared)), tmp_path)
    assert found.speed.sums.low > 1.2
    assert re.search(r"where it was asked first, it is (1\.0|0\.9)", reasons_against(found)), found.verdict.reasons


def test_an_arm_that_remembers_another_comparison_is_not_faster(tmp_path: Path) -> None:
    file: set[Question] = set()
    compared(arms.eager(arms.steady(SLOW_S)), arms.compiled(cost=quick_on(file)), tmp_path)
    again = compared(arms.eager(arms.steady(SLOW_S, seed=1)), arms.compiled(cost=quick_on(file)), tmp_path)
    assert again.speed.sums.low > 5
    assert re.search(r"nobody asked before, it is (1\.0|0\.9).*memory", reasons_against(again)), again.verdict.reasons


def test_an_arm_that_knows_right_answers_of_one_run_only_is_wrong_afterwards(tmp_path: Path) -> None:
    """Fast everywhere, and right wherever the comparison itself asked."""
    found = compared(arms.eager(), arms.compiled(arms.wrong_in(lambda call: call > 66)), tmp_path)
    assert "asked what nobody asked before, the forecasts differ" in reasons_against(found)


def test_an_arm_that_fails_of_what_it_was_not_prepared_for_is_no_evidence(tmp_path: Path) -> None:
    found = compared(arms.eager(), arms.compiled(lambda answer, call: answer if call <= 66 else {}), tmp_path)
    assert "asked what nobody asked before, compiled" in reasons_against(found)
    assert found.verdict.outcome is Outcome.INCONCLUSIVE


def test_whoever_was_asked_first_is_asked_second_the_next_time(tmp_path: Path) -> None:
    order: list[str] = []

    def noted(name: str) -> arms.Cost:
        usual = arms.steady(FAST_S)
        return lambda call, contexts: (order.append(name), usual(call, contexts))[1]

    compared(arms.eager(noted("e")), arms.compiled(cost=noted("c")), tmp_path, 24)
    assert "".join(order[: 2 * 24]) == "ecce" * 12


def test_what_is_asked_twice_is_timed_once(tmp_path: Path) -> None:
    rival = arms.compiled()
    contexts: list[Sequence[Context]] = []
    compared(arms.eager(lambda call, asked: (contexts.append(asked), FAST_S)[1]), arms.compiled(), tmp_path, 24)
    for number in range(3):
        rival.ask(number, contexts[0])
    assert list(rival.seconds) == [0]


# ---- drift, and what is true ----


def drifting(start_s: float, end_s: float, seed: int) -> Callable[[], arms.Cost]:
    usual = arms.steady(1.0, seed=seed)
    return lambda: lambda call, contexts: usual(call, contexts) * float(np.interp(call, [0, 114], [start_s, end_s]))


@pytest.mark.parametrize(("start_s", "end_s"), [(0.05, 0.5), (0.5, 0.05)])
def test_equal_arms_on_a_machine_that_drifts_are_equal(start_s: float, end_s: float, tmp_path: Path) -> None:
    reference, candidate = (drifting(start_s, end_s, seed)() for seed in (1, 2))
    found = compared(arms.eager(reference), arms.compiled(cost=candidate), tmp_path)
    assert "speed-up in sum: " in reasons_against(found)
    assert found.speed.sums.low < 1 < found.speed.sums.high


def test_a_true_speed_up_of_1_25_is_compiled_after_100_cycles(tmp_path: Path) -> None:
    reference, candidate = arms.steady(1.25 * SLOW_S), arms.steady(SLOW_S)
    found = compared(arms.eager(reference), arms.compiled(cost=candidate), tmp_path, 100)
    assert found.verdict.outcome is Outcome.COMPILED, found.verdict.reasons
    assert found.speed.sums.middle == pytest.approx(1.25, rel=0.02)
