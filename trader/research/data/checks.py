"""What is noticed in a series: gaps, splits, another scale, bad ticks. Said, never repaired: a person decides.

Gaps of a stock are counted in the time that its market was open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from trader.core.bars import missing_between
from trader.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, to_datetime
from trader.core.types import AssetClass
from trader.exchange.market.sessions import Sessions, as_datetimes

JUMP = 1.4  # a bar's open over the close before, or its inverse, as the daemon judges it
SCALE = 1.25  # one series over another of the same symbol
_SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
_UNITS = (100.0, 1000.0, 10_000.0, 1_000_000.0)
_NEAR_SPLIT = 0.08  # relative: the market moves overnight as well
_NEAR_UNIT = 0.2
_TICK = 1.5  # an extreme beyond this, that neither neighbour knows, is no price
_FROZEN = 12  # bars in a row without a move
_SHOWN = 5


class Kind(StrEnum):
    GAP = "gap"
    SPLIT = "split"
    SCALE = "scale"
    JUMP = "jump"
    TICK = "bad tick"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`at` is the start of the first bar concerned."""

    kind: Kind
    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`missing` counts bars that an open market could have had; `longest_gap` is the most of them in a row."""

    bars: int
    missing: int
    gaps: int
    longest_gap: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Nothing but gaps was noticed."""
        return all(finding.kind is Kind.GAP for finding in self.findings)


def examine(bars: Bars, sessions: Sessions | None = None) -> Health:
    """All that is noticed, by time. `sessions` None: a stock's calendar is looked up."""
    absent = missing_between(bars.symbol, bars.times, bars.timeframe, _sessions_of(bars, sessions))
    found = [*_gaps(bars, absent), *_jumps(bars), *_ticks(bars), *_frozen(bars)]
    return Health(
        bars=len(bars),
        missing=int(absent.sum()),
        gaps=int((absent > 0).sum()),
        longest_gap=int(absent.max(initial=0)),
        findings=tuple(sorted(found, key=lambda finding: finding.at)),
    )


def scale_against(bars: Bars, other: Bars) -> Finding | None:
    """Whether two series of one symbol are of the same price, judged where they overlap: closes by day."""
    days, ours, theirs = np.intersect1d(
        bars.times.astype("datetime64[D]"), other.times.astype("datetime64[D]"), return_indices=True
    )
    if not len(days):
        return None
    ratio = float(np.median(bars.values[ours, CLOSE] / other.values[theirs, CLOSE]))
    if 1 / SCALE <= ratio <= SCALE:
        return None
    text = f"its prices are {ratio:.4g} times those of the stored {other.timeframe} bars{_unit_hint(ratio)}"
    return Finding(kind=Kind.SCALE, at=to_datetime(bars.times[ours[0]]), text=text)


def _sessions_of(bars: Bars, sessions: Sessions | None) -> list[tuple[datetime, datetime]] | None:
    if bars.symbol.asset_class is AssetClass.CRYPTO:
        return None
    start, end = (int(bars.times[n].astype("datetime64[us]").astype(np.int64)) for n in (0, -1))
    return as_datetimes(*(sessions or Sessions()).between(start, end))


def _gaps(bars: Bars, absent: NDArray[np.int64]) -> list[Finding]:
    """The longest ones; the rest are in the count."""
    worst = np.argsort(-absent, kind="stable")[:_SHOWN]
    return [
        Finding(kind=Kind.GAP, at=to_datetime(bars.times[n + 1]), text=f"{absent[n]} bars are missing before it")
        for n in sorted(worst.tolist())
        if absent[n] > 0
    ]


def _jumps(bars: Bars) -> list[Finding]:
    ratio = bars.values[1:, OPEN] / bars.values[:-1, CLOSE]
    found = []
    for n in np.flatnonzero(np.maximum(ratio, 1 / ratio) > JUMP).tolist():
        kind, text = _jump_meaning(float(ratio[n]), bars.symbol.asset_class)
        found.append(Finding(kind=kind, at=to_datetime(bars.times[n + 1]), text=text))
    return found


def _jump_meaning(ratio: float, asset_class: AssetClass) -> tuple[Kind, str]:
    """The open over the close before: near 1/2 is a split of 2 for 1, near 10 a reverse one of 1 for 10."""
    size, what = max(ratio, 1 / ratio), f"opens at {ratio:.4g} times the close before"
    split = min(_SPLITS, key=lambda each: abs(size / each - 1))
    if asset_class is AssetClass.STOCK and abs(size / split - 1) <= _NEAR_SPLIT:
        name = f"1:{split:g} reverse split" if ratio > 1 else f"{split:g}:1 split"
        return Kind.SPLIT, f"{what}: a {name}, if the series is not adjusted for splits"
    hint = _unit_hint(ratio)
    if hint:
        return Kind.SCALE, what + hint
    return Kind.JUMP, f"{what}: another instrument's bars, an outage, or news"


def _unit_hint(ratio: float) -> str:
    size = max(ratio, 1 / ratio)
    unit = min(_UNITS, key=lambda each: abs(size / each - 1))
    return f", near {unit:g}: another unit (cents?) or another instrument" if abs(size / unit - 1) <= _NEAR_UNIT else ""


def _ticks(bars: Bars) -> list[Finding]:
    """A high or low that is far from its own bar's body and from both neighbours."""
    values = bars.values
    body_top, body_bottom = values[:, [OPEN, CLOSE]].max(axis=1), values[:, [OPEN, CLOSE]].min(axis=1)
    around_top = np.maximum(np.roll(values[:, HIGH], 1), np.roll(values[:, HIGH], -1))
    around_bottom = np.minimum(np.roll(values[:, LOW], 1), np.roll(values[:, LOW], -1))
    high = values[:, HIGH] > _TICK * np.maximum(body_top, around_top)
    low = values[:, LOW] * _TICK < np.minimum(body_bottom, around_bottom)
    return [
        Finding(
            kind=Kind.TICK,
            at=to_datetime(bars.times[n]),
            text=f"from {values[n, LOW]:g} to {values[n, HIGH]:g} in one bar, which no bar beside it reaches",
        )
        for n in np.flatnonzero(high | low).tolist()
    ]


def _frozen(bars: Bars) -> list[Finding]:
    """Stretches without any move although something traded: a feed that repeats itself."""
    flat = (bars.values[1:, : CLOSE + 1] == bars.values[:-1, : CLOSE + 1]).all(axis=1) & (bars.values[1:, VOLUME] > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    stretches = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= _FROZEN]
    return [
        Finding(kind=Kind.FROZEN, at=to_datetime(bars.times[a]), text=f"{b - a + 1} equal bars in a row")
        for a, b in stretches
    ]
