"""Whether a model should be compiled: from the evidence of two arms to COMPILED, EAGER or INCONCLUSIVE. Pure.

Three questions in this order, and the first that is answered badly ends it:
valid   did both arms run, without a failure, on the same bars, as two different things, often enough? INCONCLUSIVE
        where not.
alike   does the compiled arm give the same forecasts, recompiling nothing? EAGER where not.
faster  by more than the rule asks, with 95% confidence? EAGER where it is surely not, INCONCLUSIVE where it is unclear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from forecasters.compile_report import CompileReport
from settings.research import Compare


class Outcome(StrEnum):
    COMPILED = "COMPILED"
    EAGER = "EAGER"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEvidence:
    """One arm.

    name          the backend, with the settings that are its own
    model         name@revision of what answered, "" where nothing did
    key           of its forecasts in a store: two arms of one key would be one arm
    inputs        hash of all that it was asked
    asked         forecasts asked for
    given         forecasts that came
    failures      what went wrong, a line each
    served_eager  forecasts that a fallback gave
    misplaced     forecasts that were of other bars than those asked about, or one answer to different questions
    report        what the compiler did; None where the arm can't tell
    mae           mean absolute error of the close as a share of the last close
    trades        round trips of its backtest; None where none was run
    total_return  of its backtest, as a share of the cash at the start
    memory_mb     peak of its process; None where unknown
    """

    name: str
    model: str
    key: str
    inputs: str
    asked: int
    given: int
    failures: tuple[str, ...]
    served_eager: int
    misplaced: int
    report: CompileReport | None
    mae: float
    trades: int | None
    total_return: float | None
    memory_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Two arms on the same questions. `reference` is the eager one.

    unlike     what the comparison of the forecasts themselves found; "" where they are alike
    speed_up   median over the questions of the reference's time by the candidate's
    speed_low, speed_high   its 95% interval
    """

    reference: ArmEvidence
    candidate: ArmEvidence
    unlike: str
    speed_up: float
    speed_low: float
    speed_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def decide(evidence: Evidence, rule: Compare) -> Verdict:
    """What the rule says of this evidence, with every reason for it."""
    invalid = tuple(_invalid(evidence, rule))
    if invalid:
        return Verdict(outcome=Outcome.INCONCLUSIVE, reasons=invalid)
    warnings = tuple(_warnings(evidence, rule))
    against = tuple(_unlike(evidence, rule))
    if against or evidence.speed_high <= rule.speed_up:
        slow = (
            ()
            if evidence.speed_high > rule.speed_up
            else (f"{_speed(evidence)}, more than {rule.speed_up:g} is asked",)
        )
        return Verdict(outcome=Outcome.EAGER, reasons=(*against, *slow), warnings=warnings)
    if evidence.speed_low <= rule.speed_up:
        unclear = f"{_speed(evidence)}: it is unclear whether that is more than {rule.speed_up:g}, ask more forecasts"
        return Verdict(outcome=Outcome.INCONCLUSIVE, reasons=(unclear,), warnings=warnings)
    return Verdict(outcome=Outcome.COMPILED, reasons=tuple(_for(evidence)), warnings=warnings)


# ---- is it evidence at all? ----


def _invalid(evidence: Evidence, rule: Compare) -> Iterator[str]:
    reference, candidate = evidence.reference, evidence.candidate
    for arm in (reference, candidate):
        yield from _arm_problems(arm, rule)
    yield from _same_arms(reference, candidate)
    if reference.inputs != candidate.inputs:
        yield "the arms were not asked the same"
    figures = (evidence.speed_up, evidence.speed_low, evidence.speed_high, reference.mae, candidate.mae)
    if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
        yield "a figure is missing or not finite"


def _arm_problems(arm: ArmEvidence, rule: Compare) -> Iterator[str]:
    if arm.failures:
        yield f"{arm.name} failed {len(arm.failures)} times, first: {arm.failures[0]}"
    if arm.given < arm.asked:
        yield f"{arm.name} gave {arm.given} of {arm.asked} forecasts"
    if arm.misplaced:
        yield f"{arm.name} answered {arm.misplaced} times with a forecast of other bars"
    if arm.served_eager:
        yield f"{arm.name} was served {arm.served_eager} times by its eager fallback"
    if arm.asked < rule.least_forecasts:
        yield f"{arm.name} was asked for {arm.asked} forecasts; at least {rule.least_forecasts} decide anything"
    if arm.trades is not None and arm.trades < rule.least_trades:
        yield f"{arm.name} made {arm.trades} round trips in its backtest; at least {rule.least_trades} decide anything"
    if arm.total_return is not None and not math.isfinite(arm.total_return):
        yield f"{arm.name}'s backtest has no finite return"


def _same_arms(reference: ArmEvidence, candidate: ArmEvidence) -> Iterator[str]:
    """Whether one of them is really compiled, the other really not, and both are one model."""
    if reference.model != candidate.model:
        models = f"{reference.model or 'nothing'} and {candidate.model or 'nothing'}"
        yield f"{models} are different models, which says nothing about compiling"
    if reference.key == candidate.key:
        yield "both arms have the same forecast key: they are one and the same"
    if reference.report is None or candidate.report is None:
        yield "an arm does not tell what its compiler did"
        return
    if reference.report.frames:
        yield f"{reference.name} is to be eager, and compiled {reference.report.frames} graphs"
    if not candidate.report.frames:
        yield f"{candidate.name} compiled nothing"


# ---- is it the same, and good? ----


def _unlike(evidence: Evidence, rule: Compare) -> Iterator[str]:
    reference, candidate = evidence.reference, evidence.candidate
    if evidence.unlike:
        yield f"the forecasts differ: {evidence.unlike}"
    change = _change(candidate.mae, reference.mae)
    if abs(change) >= rule.accuracy:
        yield f"the mean absolute error changes by {change:+.1%}, less than {rule.accuracy:.0%} is allowed"
    moved = _return_change(evidence)
    if moved is not None and abs(moved) > rule.returns_fail:
        yield f"the backtest's return changes by {moved:+.1%}, at most {rule.returns_fail:.0%} is allowed"
    report = candidate.report
    assert report is not None
    if report.recompiles > rule.recompiles:
        yield f"{report.recompiles} graphs were made after the warm-up, {rule.recompiles} are allowed"
    if report.graph_breaks:
        yield f"its graph is broken in {report.graph_breaks} places"
    if report.cudagraph_skips:
        yield f"CUDA graphs were skipped {report.cudagraph_skips} times"


def _warnings(evidence: Evidence, rule: Compare) -> Iterator[str]:
    moved = _return_change(evidence)
    if moved is None:
        yield "no backtest was run: nothing is known of the returns"
    elif rule.returns_pass < abs(moved) <= rule.returns_fail:
        yield f"the backtest's return changes by {moved:+.1%}"


def _for(evidence: Evidence) -> Iterator[str]:
    yield _speed(evidence)
    yield f"the forecasts are the same, the mean absolute error changes by {_mae_change(evidence):+.2%}"
    moved = _return_change(evidence)
    if moved is not None:
        yield f"the backtest's return changes by {moved:+.2%}"


def _speed(evidence: Evidence) -> str:
    return f"{evidence.speed_up:.2f} times as fast (95%: {evidence.speed_low:.2f} to {evidence.speed_high:.2f})"


def _mae_change(evidence: Evidence) -> float:
    return _change(evidence.candidate.mae, evidence.reference.mae)


def _change(after: float, before: float) -> float:
    if before == 0:
        return 0.0 if after == 0 else math.inf
    return after / before - 1


def _return_change(evidence: Evidence) -> float | None:
    """In shares of the cash at the start, so that a return near nought does not make any change look large."""
    before, after = evidence.reference.total_return, evidence.candidate.total_return
    return None if before is None or after is None else after - before
