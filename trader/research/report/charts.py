"""Charts as SVG that stretches to any width: shapes scale, text does not.

The SVG holds shapes only, in a field of 1000 by 1000 that is stretched to its box; lines keep their width. Labels and
marks are HTML over it, placed in percent, so that they are legible on a phone and on paper alike. Colours are classes:
the page's style sheet knows light, dark and print. Everything here is text in, text out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.datetime64]
Floats = NDArray[np.float64]

FIELD = 1000.0
_MOST_POINTS = 700  # of a line: more than a wide screen has columns to show
_HOUR, _DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of values, from one edge of the field to the other."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def x(self, value: float) -> float:
        return FIELD * self.share(value)

    def y(self, value: float) -> float:
        """Upwards."""
        return FIELD * (1 - self.share(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float  # in the axis' own unit
    label: str


def axis_of(values: Iterable[float], *, margin: float = 0.06, include: Sequence[float] = ()) -> Axis:
    """A range with some room around; never empty."""
    known = [value for value in (*values, *include) if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    room = (high - low) * margin or max(abs(high), 1.0) * margin
    return Axis(low=low - room, high=high + room)


# ---- ticks ----


def value_ticks(axis: Axis, *, percent: bool = False, most: int = 5) -> list[Tick]:
    """At round numbers, at most `most` of them."""
    span = axis.high - axis.low
    step = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
    first = math.ceil(axis.low / step - 1e-9)
    found = []
    while first * step <= axis.high + step * 1e-9:
        value = first * step + 0.0
        found.append(Tick(at=value, label=_percent(value, step) if percent else _plain(value, step)))
        first += 1
    return found


def time_ticks(start: np.datetime64, end: np.datetime64, most: int = 7) -> list[Tick]:
    """At the starts of hours, days, months or years; `at` is seconds since the epoch."""
    first, last = start.astype("datetime64[s]"), end.astype("datetime64[s]")
    moments = list[np.datetime64]()
    unit = "Y"
    for unit, step in _TIME_STEPS:
        whole = np.arange(first.astype(f"datetime64[{unit}]"), last.astype(f"datetime64[{unit}]") + 1)
        on_step = whole[whole.astype(np.int64) % step == 0]
        moments = [moment for moment in on_step if first <= moment.astype("datetime64[s]") <= last]
        if len(moments) <= most:
            break
    return [
        Tick(at=float(moment.astype("datetime64[s]").astype(np.int64)), label=_moment(moment, unit))
        for moment in moments
    ]


_TIME_STEPS = (
    *(("h", step) for step in (1, 2, 3, 6, 12)),
    *(("D", step) for step in (1, 2, 4, 7, 14)),
    *(("M", step) for step in (1, 2, 3, 6)),
    *(("Y", step) for step in (1, 2, 5, 10)),
)


def _moment(at: np.datetime64, unit: str) -> str:
    moment = at.astype("datetime64[s]").item()
    if unit == "h":
        return f"{moment:%-d %b}" if moment.hour == 0 else f"{moment:%H:%M}"
    return f"{moment:%Y}" if unit == "Y" else f"{moment:%-d %b}" if unit == "D" else f"{moment:%b %Y}"


def _percent(value: float, step: float) -> str:
    return _minus(f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9) - 2)}%}")


def _plain(value: float, step: float) -> str:
    return _minus(f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")


# ---- shapes ----


def line(xs: Floats, ys: Floats, x_axis: Axis, y_axis: Axis, kind: str) -> str:
    """A line; where there are more points than columns, each column keeps its lowest and highest."""
    keep = thinned(ys)
    points = " ".join(
        f"{x_axis.x(float(x)):.1f},{y_axis.y(float(y)):.1f}" for x, y in zip(xs[keep], ys[keep], strict=True)
    )
    return f'<polyline class="{kind}" points="{points}"/>'


def area(xs: Floats, upper: Floats, lower: Floats, x_axis: Axis, y_axis: Axis, kind: str) -> str:
    """Filled between two lines."""
    keep = thinned(upper) if len(upper) > _MOST_POINTS else np.arange(len(upper))
    there = [f"{x_axis.x(float(xs[i])):.1f},{y_axis.y(float(upper[i])):.1f}" for i in keep]
    back = [f"{x_axis.x(float(xs[i])):.1f},{y_axis.y(float(lower[i])):.1f}" for i in keep[::-1]]
    return f'<polygon class="{kind}" points="{" ".join((*there, *back))}"/>'


def candles(bars: Floats, x_axis: Axis, y_axis: Axis) -> str:
    """bars [N, 4]: open, high, low, close; the first is centred on 0.5, each is one unit wide."""
    shapes = []
    for place, (opened, high, low, close) in enumerate(bars):
        kind = "up" if close >= opened else "down"
        middle, half = x_axis.x(place + 0.5), (x_axis.x(1) - x_axis.x(0)) * 0.34
        top, bottom = y_axis.y(max(opened, close)), y_axis.y(min(opened, close))
        shapes.append(f'<path class="wick {kind}" d="M{middle:.1f} {y_axis.y(high):.1f}V{y_axis.y(low):.1f}"/>')
        size = f'width="{2 * half:.1f}" height="{max(bottom - top, 1.5):.1f}"'
        shapes.append(f'<rect class="body {kind}" x="{middle - half:.1f}" y="{top:.1f}" {size}/>')
    return "".join(shapes)


def level(value: float, y_axis: Axis, kind: str, start: float = 0.0, end: float = FIELD) -> str:
    """A horizontal line, from `start` to `end` of the field."""
    return f'<path class="{kind}" d="M{start:.1f} {y_axis.y(value):.1f}H{end:.1f}"/>'


def thinned(values: Floats) -> NDArray[np.intp]:
    """Indices to draw: all, or the lowest and the highest of each of some hundred stretches, and both ends."""
    count = len(values)
    if count <= _MOST_POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, _MOST_POINTS // 2 + 1).astype(np.intp)
    kept = {0, count - 1}
    for first, last in pairwise(edges):
        stretch = values[first:last]
        kept.update((int(first + stretch.argmin()), int(first + stretch.argmax())))
    return np.array(sorted(kept), dtype=np.intp)


def seconds(times: Times) -> Floats:
    """Since the epoch."""
    return times.astype("datetime64[us]").astype(np.int64) / 1e6


# ---- the whole ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A sign over the plot: at a place in shares of it, from the left and from the bottom."""

    x: float
    y: float
    text: str
    kind: str
    title: str = ""


def plot(
    shapes: Sequence[str],
    *,
    label: str,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    height: str = "tall",
    marks: Sequence[Mark] = (),
) -> str:
    """Grid, shapes, labels, marks. Ticks are (share of the axis, label); `label` is what a screen reader says."""
    grid = "".join(f'<path class="grid" d="M0 {FIELD * (1 - at):.1f}H{FIELD:.0f}"/>' for at, _ in y_ticks)
    body = f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{grid}{"".join(shapes)}</svg>'
    ys = "".join(f'<span class="y" style="bottom:{100 * at:.2f}%">{escape(text)}</span>' for at, text in y_ticks)
    crowded = len(x_ticks) > 4  # then a narrow screen leaves out every other one
    xs = "".join(
        f'<span class="x{_edge(at)}{" odd" if crowded and place % 2 else ""}" style="left:{100 * at:.2f}%">'
        f"{escape(text)}</span>"
        for place, (at, text) in enumerate(x_ticks)
    )
    signs = "".join(
        f'<span class="mark {mark.kind}" style="left:{100 * mark.x:.2f}%;bottom:{100 * mark.y:.2f}%"'
        f' title="{escape(mark.title)}">{escape(mark.text)}</span>'
        for mark in marks
    )
    return f'<div class="plot {height}" role="img" aria-label="{escape(label)}">{body}{ys}{xs}{signs}</div>'


def _edge(at: float) -> str:
    """Labels near an edge are not centred on their tick: they would stick out."""
    return " first" if at < 0.04 else " last" if at > 0.96 else ""


def placed_times(start: np.datetime64, end: np.datetime64, x_axis: Axis) -> list[tuple[float, str]]:
    return [(x_axis.share(tick.at), tick.label) for tick in time_ticks(start, end)]


def placed_values(axis: Axis, *, percent: bool = False, most: int = 5) -> list[tuple[float, str]]:
    return [(axis.share(tick.at), tick.label) for tick in value_ticks(axis, percent=percent, most=most)]
