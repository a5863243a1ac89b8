"""Plots as SVG texts, to stand inside a page: no window system, no file. Needs matplotlib, from the extra `research`.

N steps, R quantile levels. Equal figures make equal texts, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from settings.extras import to_install
from trader.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

COLOURS = ("#1f5fa8", "#c8501e", "#2c7a43", "#7a4fa3", "#8a6d1f", "#a8325e")
MEDIAN, CAME, PAST = COLOURS[0], COLOURS[1], "#333840"  # of a fan
_GREY = "#8a8f98"
_WIDTH, _HEIGHT = 4.4, 3.3  # inches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fan:
    """One forecast and what came.

    past   [P] closes before, the last one last        came [H] closes that came
    bands  [R, H] quantiles of the close at `levels`, symmetric about the middle one
    """

    title: str
    past: Floats
    came: Floats
    levels: Floats
    bands: Floats


def require_matplotlib() -> None:
    """Raises ConfigurationError where it is not installed."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        right = to_install("research")
        raise ConfigurationError(f"--report draws with matplotlib, which is not installed; right: {right}")


def reliability(title: str, levels: Floats, below: Mapping[str, Floats]) -> str:
    """Share of outcomes at or below each quantile, [R] by name; on the diagonal where calibrated."""
    figure, axes = _empty(title)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    for colour, (name, shares) in zip(_colours(len(below)), below.items(), strict=True):
        axes.plot(levels, shares, marker="o", markersize=3, linewidth=1.2, color=colour, label=name)
    axes.set_xlabel("quantile that was forecast")
    axes.set_ylabel("share that came at or below it")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def pit(title: str, levels: Floats, counts: Mapping[str, NDArray[np.int64]]) -> str:
    """Where the outcomes fell, [R + 1] by name, as density; flat where calibrated, a bowl where too sure."""
    figure, axes = _empty(title)
    edges = np.concatenate([[0.0], levels, [1.0]])
    axes.axhline(1.0, color=_GREY, linewidth=0.8)
    for colour, (name, each) in zip(_colours(len(counts)), counts.items(), strict=True):
        density = each / max(each.sum(), 1) / np.diff(edges)
        axes.stairs(density, edges, color=colour, linewidth=1.4, label=name)
    axes.set_xlabel("place in the forecast distribution (PIT)")
    axes.set_ylabel("density")
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])  # the names stand above, on one line
    axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=min(len(counts), 4), columnspacing=1.0)
    return _svg(figure)


def fan(case: Fan) -> str:
    """The past closes, the fan from the darkest middle to its outermost quantiles, and what came: PAST, MEDIAN, CAME.

    Without names of the lines, which would lie upon them: the page has them once for all.
    """
    figure, axes = _empty(case.title)
    past = np.arange(-len(case.past) + 1, 1)
    ahead = np.arange(len(case.came) + 1)
    start = case.past[-1]
    bands = np.concatenate([np.full((len(case.levels), 1), start), case.bands], axis=1)
    half = len(case.levels) // 2
    for outer in range(half):
        axes.fill_between(ahead, bands[outer], bands[-1 - outer], color=MEDIAN, alpha=0.14, linewidth=0)
    axes.plot(ahead, bands[half], color=MEDIAN, linewidth=1.2)
    axes.plot(past, case.past, color=PAST, linewidth=1.0)
    axes.plot(ahead, np.concatenate([[start], case.came]), color=CAME, linewidth=1.4)
    axes.set_xlabel("bars from the origin")
    return _svg(figure)


def skill_bars(title: str, names: Sequence[str], means: Floats, lows: Floats, highs: Floats) -> str:
    """Differences with their intervals, one line each; left of zero is better."""
    figure, axes = _empty(title, width=6.4, height=0.9 + 0.28 * len(names))
    places = np.arange(len(names))[::-1]
    axes.axvline(0.0, color=_GREY, linewidth=0.8)
    axes.errorbar(
        means, places, xerr=np.stack([means - lows, highs - means]), fmt="o", color=COLOURS[0], markersize=4, capsize=3
    )
    axes.set_yticks(places, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("difference of the CRPS")
    return _svg(figure)


def _colours(count: int) -> list[str]:
    return [COLOURS[n % len(COLOURS)] for n in range(count)]


def figure_class() -> type[Figure]:
    """Matplotlib takes the settings that lie in the folder where it is first imported: not in the working folder, which
    may be another user's."""
    with chdir("/"):
        from matplotlib.figure import Figure
    return Figure


def _empty(title: str, *, width: float = _WIDTH, height: float = _HEIGHT) -> tuple[Figure, Axes]:
    """Without pyplot: it would keep every figure, and look for a screen."""
    figure = figure_class()(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.ticklabel_format(useOffset=False)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The element alone. Its ids are made unlike those of any other picture: they share one page."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "trader"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    element = text[text.index("<svg") :]
    unique = hashlib.blake2b(element.encode(), digest_size=4).hexdigest()
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>i{unique}-", element)
    for size in ("width", "height"):  # the page decides
        element = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", element, count=1)
    return element
