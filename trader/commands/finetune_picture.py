"""The curves of a training as a picture: what was learned from, and what was not, which is the line to look at."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader.research.report.pictures import figure_class

if TYPE_CHECKING:
    from forecasters.kronos.training.stage import Point

_PANELS = {
    "tokenizer": (
        ("coarse", "full"),
        "mean squared error (standard deviations²)",
        "tokenizer: bars put together again",
    ),
    "network": (("s1", "s2"), "cross entropy (nats a token)", "network: the next token"),
}
_COLOURS = ("#1f77b4", "#d95f02")


def draw(curve: Sequence[Point], file: Path) -> Path | None:
    """The file that was written; None without a curve, or without matplotlib."""
    stages = [stage for stage in _PANELS if any(point.stage == stage and point.step for point in curve)]
    if not stages or find_spec("matplotlib") is None:
        return None
    figure = figure_class()(figsize=(5.5 * len(stages), 3.8), layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        _panel(axes, stage, [point for point in curve if point.stage == stage])
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    return file


def _panel(axes: Any, stage: str, points: Sequence[Point]) -> None:
    names, unit, title = _PANELS[stage]
    for name, colour in zip(names, _COLOURS, strict=True):
        for label, width, alpha in ((name, 0.8, 0.45), (f"validation {name}", 2.0, 1.0)):
            known = [(point.step, point.figures[label]) for point in points if label in point.figures]
            if known:
                axes.plot(*zip(*known, strict=True), color=colour, linewidth=width, alpha=alpha, label=label)
    axes.set(title=title, xlabel="step", ylabel=unit)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
