"""What a verdict is made from: one line of the rule, measured and answered."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """Of one finding. The first is no evidence, the second speaks against compiling, the third may be either."""

    INVALID = "no evidence"
    AGAINST = "no"
    UNCLEAR = "unclear"
    WARNING = "warning"
    FOR = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the rule: what was measured, what is asked, whether it holds, and why not, a line each."""

    name: str
    measured: str
    asked: str
    answer: Answer
    reasons: tuple[str, ...] = ()


def finding(name: str, figures: str, limits: str, reasons: Iterable[str], otherwise: Answer) -> Finding:
    """It holds where there is no reason why not."""
    against = tuple(reasons)
    answer = otherwise if against else Answer.FOR
    return Finding(name=name, measured=figures, asked=limits, answer=answer, reasons=against)


def are_finite(*figures: float) -> bool:
    return all(math.isfinite(figure) and figure >= 0 for figure in figures)
