"""The decision about compiling: what is not good evidence never says COMPILED."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters.compiled.compile_report import CompileReport
from settings.research import Compare
from trader.research.compare.enough import cycles_for_speed
from trader.research.compare.findings import Answer
from trader.research.compare.fresh import Fresh
from trader.research.compare.speed import Speed
from trader.research.compare.verdict import ArmEvidence, Evidence, Outcome, decide
from trader.research.intervals import Ratio

RULE = Compare()
EAGER = ArmEvidence(
    name="kronos",
    model="kronos-nano@1",
    key="a",
    inputs="same",
    asked=200,
    given=200,
    failures=(),
    served_eager=0,
    misplaced=0,
    report=CompileReport(),
    mae=0.010,
    trades=40,
    total_return=0.02,
    memory_mb=600.0,
)
COMPILED = replace(EAGER, name="kronos-compiled", key="b", report=CompileReport(frames=2, warm_up_s=20.0))


def faster(middle: float, reach: float = 0.1) -> Ratio:
    return Ratio(middle=middle, low=middle - reach, high=middle + reach)


SPEED = Speed(
    questions=100,
    sums=faster(1.6),
    medians=faster(1.6),
    first_sums=faster(1.6, 0.2),
    first_medians=faster(1.6, 0.2),
    tail=faster(1.3, 0.4),
)
FRESH = Fresh(questions=48, seed=1, problems=(), unlike="", speed=SPEED, slowest_s=0.1)
GOOD = Evidence(
    reference=EAGER,
    candidate=COMPILED,
    questions=100,
    alike="100.000% of 800 sampled steps",
    alike_asked="99.5%",
    unlike="",
    outputs="1.0e-06 (s1 logits)",
    outputs_asked="within 0.001",
    outputs_unlike="",
    outputs_failure="",
    speed=SPEED,
    slowest_s=0.1,
    deadline_s=60.0,
    fresh=FRESH,
)
Break = Callable[[Evidence], Evidence]


def candidate(**changes: object) -> Break:
    return lambda evidence: replace(evidence, candidate=replace(evidence.candidate, **changes))  # type: ignore[arg-type]


def reference(**changes: object) -> Break:
    return lambda evidence: replace(evidence, reference=replace(evidence.reference, **changes))  # type: ignore[arg-type]


def reported(**changes: object) -> Break:
    return candidate(report=replace(CompileReport(frames=2), **changes))  # type: ignore[arg-type]


def timed(**changes: Ratio) -> Break:
    return lambda evidence: replace(evidence, speed=replace(evidence.speed, **changes))


def afresh(**changes: object) -> Break:
    return lambda evidence: replace(evidence, fresh=replace(evidence.fresh, **changes))  # type: ignore[arg-type]


def afresh_timed(ratio: Ratio) -> Break:
    return afresh(speed=replace(SPEED, first_medians=ratio))


INVALID: dict[str, Break] = {
    "the compiled arm fails": candidate(failures=("it ended",)),
    "the eager arm fails": reference(failures=("it ended",)),
    "a forecast is missing": candidate(given=199),
    "eager answered in its place": candidate(served_eager=1),
    "an answer is of other bars": candidate(misplaced=1),
    "too few forecasts": lambda e: candidate(asked=99, given=99)(reference(asked=99, given=99)(e)),
    "too few trades": candidate(trades=4),
    "one key": candidate(key="a"),
    "other inputs": candidate(inputs="other"),
    "other models": candidate(model="toto@1"),
    "nothing was compiled": reported(frames=0),
    "the eager arm compiled": reference(report=CompileReport(frames=1)),
    "no word of the compiler": candidate(report=None),
    "no error figure": candidate(mae=math.nan),
    "no speed": timed(sums=faster(math.nan)),
    "no speed of the medians": timed(medians=faster(math.nan)),
    "no speed where asked first": timed(first_medians=faster(math.nan)),
    "no tail": timed(tail=faster(math.nan)),
    "an infinite speed": timed(sums=Ratio(middle=1.6, low=1.5, high=math.inf)),
    "asked anew, an arm fails": afresh(problems=("kronos failed",)),
    "asked anew, no speed": afresh_timed(faster(math.nan)),
    "asked anew, perhaps no faster": afresh_timed(faster(1.3, 0.35)),
    "a longer tail, perhaps": timed(tail=faster(0.9, 0.4)),
    "asked first, perhaps no faster": timed(first_sums=faster(1.15, 0.2)),
    "no finite return": candidate(total_return=math.nan),
    "raw outputs of one arm alone": lambda e: replace(e, outputs_failure="kronos-compiled shows no raw outputs"),
    "unclear speed in sum": timed(sums=faster(1.25, 0.15)),
    "unclear speed of the medians": timed(medians=faster(1.25, 0.15)),
}
WORSE: dict[str, Break] = {
    "other forecasts": lambda e: replace(e, unlike="quantiles differ by 0.01"),
    "other raw outputs": lambda e: replace(e, outputs_unlike="given the same past, the networks differ"),
    "worse by a twentieth": candidate(mae=0.0105),
    "better by a tenth": candidate(mae=0.009),
    "another return": candidate(total_return=0.08),
    "no faster in sum": timed(sums=faster(1.1, 0.09)),
    "no faster in the middle": timed(medians=faster(1.1, 0.09)),
    "no faster where asked first": timed(first_medians=faster(1.0)),
    "a longer tail": timed(tail=faster(0.8, 0.1)),
    "an answer after the deadline": lambda e: replace(e, slowest_s=60.1),
    "asked anew, other forecasts": afresh(unlike="quantiles differ by 0.01"),
    "asked anew, no faster": afresh_timed(faster(1.1, 0.05)),
    "a recompile": reported(recompiles=1),
    "a graph break": reported(graph_breaks=1),
    "a CUDA graph skipped": reported(cudagraph_skips=1),
}


def test_the_same_forecasts_half_as_fast_again_are_worth_compiling() -> None:
    verdict = decide(GOOD, RULE)
    assert verdict.outcome is Outcome.COMPILED
    assert "1.60 times as fast" in verdict.reasons[0]
    assert not verdict.warnings


@pytest.mark.parametrize("kind", INVALID)
def test_what_is_no_evidence_decides_nothing(kind: str) -> None:
    verdict = decide(INVALID[kind](GOOD), RULE)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons


@pytest.mark.parametrize("kind", WORSE)
def test_a_compiled_arm_that_is_worse_stays_uncompiled(kind: str) -> None:
    verdict = decide(WORSE[kind](GOOD), RULE)
    assert verdict.outcome is Outcome.EAGER
    assert verdict.reasons


def test_a_return_that_moves_a_little_is_a_warning() -> None:
    verdict = decide(candidate(total_return=0.045)(GOOD), RULE)
    assert (verdict.outcome, len(verdict.warnings)) == (Outcome.COMPILED, 1)
    assert "+2.5%" in verdict.warnings[0]


def test_without_a_backtest_nothing_is_known_of_the_returns() -> None:
    bare = {"trades": None, "total_return": None}
    verdict = decide(reference(**bare)(candidate(**bare)(GOOD)), RULE)
    assert verdict.outcome is Outcome.COMPILED
    assert "no backtest" in verdict.warnings[0]


def test_without_raw_outputs_the_forecasts_alone_are_judged_and_it_says_so() -> None:
    verdict = decide(replace(GOOD, outputs=""), RULE)
    assert verdict.outcome is Outcome.COMPILED
    assert "no logits" in verdict.warnings[0]


def test_what_is_unclear_says_how_many_cycles_would_tell() -> None:
    """A reach of 0.15 around 1.25, and 0.05 away from what is asked: nine times as many, and some more."""
    verdict = decide(timed(sums=faster(1.25, 0.15))(GOOD), RULE)
    assert verdict.reasons[0].endswith("about 1200 cycles instead of 100 would tell")
    hopeless = decide(timed(sums=faster(1.2001, 0.2))(GOOD), RULE)
    assert "no number of cycles would tell" in hopeless.reasons[0]
    few = decide(candidate(asked=40, given=40)(reference(asked=40, given=40)(GOOD)), RULE)
    assert "about 250 cycles would do" in few.reasons[0]
    idle = decide(candidate(trades=0)(reference(trades=0)(GOOD)), RULE)
    assert "another span or strategy would do" in idle.reasons[0]


@given(st.floats(1.0, 1.5), st.floats(0.01, 0.5), st.integers(2, 5000))
def test_as_many_cycles_as_it_says_narrow_the_interval_past_the_rule(middle: float, reach: float, asked: int) -> None:
    needed = cycles_for_speed(middle, middle - reach, middle + reach, 1.2, asked)
    away = abs(middle - 1.2)
    if needed is None:
        assert away == 0 or reach > 7 * away
    else:
        assert needed > asked
        assert reach < away or reach * (asked / needed) ** 0.5 < away


def test_every_line_of_the_rule_is_shown_with_its_answer() -> None:
    verdict = decide(GOOD, RULE)
    assert [finding.answer for finding in verdict.findings] == [Answer.FOR] * 15
    assert all(finding.measured and finding.asked for finding in verdict.findings)


@pytest.mark.parametrize("kind", [*INVALID, *WORSE])
def test_what_decided_is_among_the_lines(kind: str) -> None:
    verdict = decide({**INVALID, **WORSE}[kind](GOOD), RULE)
    said = [reason for finding in verdict.findings for reason in finding.reasons]
    assert set(verdict.reasons) <= set(said)
    assert {finding.answer for finding in verdict.findings} - {Answer.FOR, Answer.WARNING}


@given(st.lists(st.sampled_from([*INVALID.values(), *WORSE.values()]), min_size=1, max_size=6))
def test_no_mixture_of_faults_is_worth_compiling(faults: list[Break]) -> None:
    broken = GOOD
    for fault in faults:
        broken = fault(broken)
    one_undoes_another = broken == GOOD
    assert one_undoes_another or decide(broken, RULE).outcome is not Outcome.COMPILED


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0, 20))
def test_compiled_only_ever_with_a_speed_up_that_is_sure(middle: float, low: float, high: float) -> None:
    ratio = Ratio(middle=middle, low=low, high=high)
    for changed in (timed(sums=ratio), timed(medians=ratio)):
        assert decide(changed(GOOD), RULE).outcome is not Outcome.COMPILED or low > RULE.speed_up
