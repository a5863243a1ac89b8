"""Whether a model should be compiled: from the evidence of two arms to COMPILED, EAGER or INCONCLUSIVE. Pure.

Three questions in this order, and the first that is answered badly ends it:
valid   did both arms run, without a failure, on the same bars, as two different things, often enough? INCONCLUSIVE
        where not.
alike   does the compiled arm give the same forecasts, recompiling nothing? EAGER where not.
faster  by more than the rule asks, with 95% confidence, in sum and in the middle, with no longer tail, no answer too
        late, whoever is asked first and whatever was asked before? EAGER where it is surely not, INCONCLUSIVE where it
        is unclear.

Every question is a few findings, which are all that the verdict is made from: what is shown is what decided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from forecasters.compiled.compile_report import CompileReport
from settings.research import Compare
from trader.research.compare.enough import cycles_for_rows
from trader.research.compare.findings import Answer, Finding, are_finite, finding
from trader.research.compare.fresh import Fresh, fresh_findings
from trader.research.compare.speed import Speed, in_short, in_words, slowest_finding, speed_findings


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

    questions  cycles at which both were asked
    alike      how alike the forecasts themselves are, in words; `alike_asked` how alike they must be; `unlike` why
               that is not enough, "" where it is
    outputs    the same of the networks' raw outputs, "" where they have none; `outputs_asked`, `outputs_unlike` too
    outputs_failure  why those could not be compared, "" where they could or there are none
    speed      how many times as fast the candidate is, in each way that counts
    slowest_s  the candidate's longest answer; `deadline_s`: after so long a daemon takes none
    fresh      what both said to questions that nobody can have asked before
    """

    reference: ArmEvidence
    candidate: ArmEvidence
    questions: int
    alike: str
    alike_asked: str
    unlike: str
    outputs: str
    outputs_asked: str
    outputs_unlike: str
    outputs_failure: str
    speed: Speed
    slowest_s: float
    deadline_s: float
    fresh: Fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def decide(evidence: Evidence, rule: Compare) -> Verdict:
    """What the rule says of this evidence, with every reason for it."""
    findings = (
        _ran(evidence),
        _sample(evidence, rule),
        _two_arms(evidence),
        _forecasts(evidence),
        _outputs(evidence),
        _errors(evidence, rule),
        _returns(evidence, rule),
        _compiler(evidence, rule),
        *speed_findings(evidence.speed, rule),
        slowest_finding(evidence.slowest_s, evidence.deadline_s),
        *fresh_findings(evidence.fresh, rule),
    )
    outcome, decisive = _outcome({each.answer for each in findings})
    decisive_reasons = [reason for each in findings if each.answer is decisive for reason in each.reasons]
    warnings = [reason for each in findings if each.answer is Answer.WARNING for reason in each.reasons]
    return Verdict(
        outcome=outcome,
        reasons=tuple(_for(evidence) if outcome is Outcome.COMPILED else decisive_reasons),
        warnings=() if decisive is Answer.INVALID else tuple(warnings),
        findings=findings,
    )


def _outcome(answers: set[Answer]) -> tuple[Outcome, Answer]:
    """And which answers are the reason for it."""
    if Answer.INVALID in answers:
        return Outcome.INCONCLUSIVE, Answer.INVALID
    if Answer.AGAINST in answers:
        return Outcome.EAGER, Answer.AGAINST
    if Answer.UNCLEAR in answers:
        return Outcome.INCONCLUSIVE, Answer.UNCLEAR
    return Outcome.COMPILED, Answer.FOR


# ---- is it evidence at all? ----


def _ran(evidence: Evidence) -> Finding:
    arms = (evidence.reference, evidence.candidate)
    answered = " and ".join(f"{arm.given} of {arm.asked}" for arm in arms)
    problems = [problem for arm in arms for problem in _arm_problems(arm)]
    return finding("both arms answered", answered, "all, no failure", problems, Answer.INVALID)


def _arm_problems(arm: ArmEvidence) -> Iterator[str]:
    if arm.failures:
        yield f"{arm.name} failed {len(arm.failures)} times, first: {arm.failures[0]}"
    if arm.given < arm.asked:
        yield f"{arm.name} gave {arm.given} of {arm.asked} forecasts"
    if arm.misplaced:
        yield f"{arm.name} answered {arm.misplaced} times with a forecast of other bars"
    if arm.served_eager:
        yield f"{arm.name} was served {arm.served_eager} times by its eager fallback"


def _sample(evidence: Evidence, rule: Compare) -> Finding:
    arms = (evidence.reference, evidence.candidate)
    forecast_count = min(arm.asked for arm in arms)
    trades = [arm.trades for arm in arms if arm.trades is not None]
    figures = f"{forecast_count} forecasts" + (f", {min(trades)} round trips" if trades else "")
    problems = [problem for arm in arms for problem in _too_few(arm, evidence.questions, rule)]
    least = f"{rule.least_forecasts} and {rule.least_trades}"
    return finding("enough of them", figures, least, problems, Answer.INVALID)


def _too_few(arm: ArmEvidence, questions: int, rule: Compare) -> Iterator[str]:
    for what, count, least in (
        ("was asked for {} forecasts", arm.asked, rule.least_forecasts),
        ("made {} round trips in its backtest", arm.trades, rule.least_trades),
    ):
        if count is not None and count < least:
            cycles = cycles_for_rows(count, least, questions)
            instead = "another span or strategy" if cycles is None else f"about {cycles} cycles"
            yield f"{arm.name} {what.format(count)}; at least {least} decide anything: {instead} would do"
    if arm.total_return is not None and not math.isfinite(arm.total_return):
        yield f"{arm.name}'s backtest has no finite return"


def _two_arms(evidence: Evidence) -> Finding:
    reports = [arm.report for arm in (evidence.reference, evidence.candidate)]
    counts = " and ".join("?" if report is None else str(report.frames) for report in reports)
    return finding("graphs compiled", counts, "0 and more", _same_arms(evidence), Answer.INVALID)


def _same_arms(evidence: Evidence) -> Iterator[str]:
    """Whether one of them is really compiled, the other really not, and both are one model."""
    reference, candidate = evidence.reference, evidence.candidate
    if reference.model != candidate.model:
        models = f"{reference.model or 'nothing'} and {candidate.model or 'nothing'}"
        yield f"{models} are different models, which says nothing about compiling"
    if reference.key == candidate.key:
        yield "both arms have the same forecast key: they are one and the same"
    if reference.inputs != candidate.inputs:
        yield "the arms were not asked the same"
    if reference.report is None or candidate.report is None:
        yield "an arm does not tell what its compiler did"
        return
    if reference.report.frames:
        yield f"{reference.name} is to be eager, and compiled {reference.report.frames} graphs"
    if not candidate.report.frames:
        yield f"{candidate.name} compiled nothing"


# ---- is it the same, and good? ----


def _forecasts(evidence: Evidence) -> Finding:
    unlike = [f"the forecasts differ: {evidence.unlike}"] if evidence.unlike else []
    return finding("the same forecasts", evidence.alike, evidence.alike_asked, unlike, Answer.AGAINST)


def _outputs(evidence: Evidence) -> Finding:
    name, asked = "the same raw outputs", evidence.outputs_asked
    if evidence.outputs_failure:
        return finding(name, "?", asked, [evidence.outputs_failure], Answer.INVALID)
    if not evidence.outputs:
        reason = "the model shows no logits: it was judged by its forecasts alone"
        return finding(name, "no logits", asked, [reason], Answer.WARNING)
    unlike = [evidence.outputs_unlike] if evidence.outputs_unlike else []
    return finding(name, evidence.outputs, asked, unlike, Answer.AGAINST)


def _errors(evidence: Evidence, rule: Compare) -> Finding:
    name, asked = "error of the close", f"within {rule.accuracy:.0%}"
    if not are_finite(evidence.reference.mae, evidence.candidate.mae):
        missing = "a figure is missing or not finite: the error of the close"
        return finding(name, "?", asked, [missing], Answer.INVALID)
    change = _mae_change(evidence)
    reasons = [f"the mean absolute error changes by {change:+.1%}, less than {rule.accuracy:.0%} is allowed"]
    return finding(name, _moved(change), asked, reasons if abs(change) >= rule.accuracy else [], Answer.AGAINST)


def _returns(evidence: Evidence, rule: Compare) -> Finding:
    name, bound = "return of the backtest", f"within {rule.returns_pass:.0%}, {rule.returns_fail:.0%} at most"
    change = _return_change(evidence)
    if change is None:
        reason = "no backtest was run: nothing is known of the returns"
        return finding(name, "?", bound, [reason], Answer.WARNING)
    figure = _moved(change)
    if abs(change) > rule.returns_fail:
        reason = f"the backtest's return changes by {change:+.1%}, at most {rule.returns_fail:.0%} is allowed"
        return finding(name, figure, bound, [reason], Answer.AGAINST)
    moves = abs(change) > rule.returns_pass
    warnings = [f"the backtest's return changes by {change:+.1%}"] if moves else []
    return finding(name, figure, bound, warnings, Answer.WARNING)


def _compiler(evidence: Evidence, rule: Compare) -> Finding:
    name, limits = "recompiles, breaks, skips", f"{rule.recompiles}, 0, 0"
    report = evidence.candidate.report
    if report is None:  # which is no evidence, and said elsewhere
        return Finding(name=name, measured="?", asked=limits, answer=Answer.INVALID)
    against = []
    if report.recompiles > rule.recompiles:
        against.append(f"{report.recompiles} graphs were made after the warm-up, {rule.recompiles} are allowed")
    if report.graph_breaks:
        against.append(f"its graph is broken in {report.graph_breaks} places")
    if report.cudagraph_skips:
        against.append(f"CUDA graphs were skipped {report.cudagraph_skips} times")
    figures = f"{report.recompiles}, {report.graph_breaks}, {report.cudagraph_skips}"
    return finding(name, figures, limits, against, Answer.AGAINST)


# ---- in words ----


def _for(evidence: Evidence) -> Iterator[str]:
    yield f"{in_words(evidence.speed.sums)} in sum, of the medians {in_short(evidence.speed.medians)}"
    yield f"the forecasts are the same, the mean absolute error changes by {_moved(_mae_change(evidence))}"
    if evidence.outputs:
        yield f"given the same past, the networks say the same: they differ by {evidence.outputs}"
    moved = _return_change(evidence)
    if moved is not None:
        yield f"the backtest's return changes by {_moved(moved)}"


def _moved(change: float) -> str:
    """Never less than nothing by nothing."""
    return f"{round(change, 4) + 0.0:+.2%}"


def _mae_change(evidence: Evidence) -> float:
    before, after = evidence.reference.mae, evidence.candidate.mae
    if before == 0:
        return 0.0 if after == 0 else math.inf
    return after / before - 1


def _return_change(evidence: Evidence) -> float | None:
    """In shares of the cash at the start, so that a return near nought does not make any change look large."""
    before, after = evidence.reference.total_return, evidence.candidate.total_return
    return None if before is None or after is None else after - before
