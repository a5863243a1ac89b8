"""How alike what two arms answered is, in words too. Every forecast by itself, and the worst decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forecasters.compiled.likeness import Likeness, Tolerance, likeness
from forecasters.types import TAG, Forecast
from trader.research.compare.rivals import Rival
from trader.research.forecasts.key import Question


def alike(reference: Rival, candidate: Rival, tolerance: Tolerance) -> Likeness:
    """Every question that both answered by itself, and the sampled steps of each series together; how many are missing
    is judged elsewhere."""
    questions = [question for question in reference.answers if question in candidate.answers]
    candidate_answers = _tagged(candidate, questions)
    found = likeness(candidate_answers, _tagged(reference, questions), tolerance, lambda key: key.partition(TAG)[0])
    if not found.outside:
        return found
    many = f"{found.outside} of {len(questions)} are out of tolerance and none may be; first {found.problem}"
    return replace(found, problem=many)


def in_words(found: Likeness) -> str:
    if found.steps:
        return f"{found.agreement:.3%} of {found.steps} sampled steps, {found.outside} forecasts out"
    apart = (
        "quantiles are equal" if found.difference == 0 else f"quantiles within {found.difference:.1e} of their width"
    )
    return f"{apart}, {found.outside} forecasts out"


def asked(found: Likeness, tolerance: Tolerance) -> str:
    limit = f"{tolerance.agreement:.1%}" if found.steps else f"within {tolerance.difference:g}"
    return f"{limit}, none out"


def _tagged(rival: Rival, questions: Sequence[Question]) -> dict[str, Forecast]:
    return {f"{question.series}{TAG}{number}": rival.answers[question] for number, question in enumerate(questions)}
