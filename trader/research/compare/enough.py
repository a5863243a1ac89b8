"""How many cycles more would settle what a comparison left open. Pure."""

from __future__ import annotations

import math

_MARGIN = 1.3  # the next interval is as uncertain as this one
_MOST = 50  # times as many as were asked: nobody will


def cycles_for_rows(count: int, least: int, questions: int) -> int | None:
    """For `least` of what there were `count` of in so many questions; None where there were none."""
    return _round_up(questions * least / count) if count and questions else None


def cycles_for_speed(middle: float, low: float, high: float, threshold: float, questions: int) -> int | None:
    """Until an interval from `low` to `high` is on one side of `threshold`: it narrows with the root of their number.

    None where it would take more than anybody asks.
    """
    away = abs(middle - threshold)
    reach = middle - low if middle > threshold else high - middle
    if away == 0 or reach / away > math.sqrt(_MOST):
        return None
    return max(questions + 1, _round_up(questions * _MARGIN * (reach / away) ** 2))


def _round_up(cycles: float) -> int:
    """To two figures."""
    step = int(10 ** max(0, math.floor(math.log10(max(cycles, 1))) - 1))
    return math.ceil(cycles / step) * step
