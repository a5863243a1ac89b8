"""Bars from a file into the store: every row that can't be trusted is listed, with its place and the reason.

Nothing is written while there is such a row, unless the caller says so: `repaired` leaves the listed rows out and puts
the rest in order. A series that is stored already is extended where both agree on what they share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from trader.core.types import AssetClass, Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import Columns, from_micros, to_micros
from trader.exchange.market.grid import lateness, told
from trader.research.data.table_reading import FIELDS, NO_TIME, RawBars

Mask = NDArray[np.bool_]

_ROUNDING = 1e-6  # relative: venues round the four prices of a bar separately
_UNORDERED = "earlier than the row before"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """`row` counts from 1, without a header; `time` as it stands in the file."""

    row: int
    time: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`columns` hold the good rows in the order of time; `unordered` of the bad ones would only need sorting."""

    columns: Columns
    timeframe: Timeframe
    bad: tuple[BadRow, ...]
    notes: tuple[str, ...]


def judge(raw: RawBars, symbol: Symbol, timeframe: Timeframe | None, now: datetime | None = None) -> Judged:
    """Which rows are bars. `timeframe` None: as far apart as most rows are. Raises ConfigurationError.

    now  a bar that has not closed by then is none yet (default: the clock)
    """
    notes = list(raw.notes)
    raw = _oldest_first(raw, notes)
    judged = judge_rows(raw, symbol, _length(raw, timeframe), now or datetime.now(UTC))
    late = lateness(symbol, judged.timeframe, judged.columns.times)
    if late:
        notes.append(f"{told(symbol, judged.timeframe, late)}; models can be evaluated and trained on them")
    return replace(judged, notes=tuple(notes))


def judge_rows(raw: RawBars, symbol: Symbol, timeframe: Timeframe, now: datetime) -> Judged:
    """The same where the bars' length is known: also of a few rows, that could not tell it."""
    reasons: list[str | None] = [None] * len(raw.times)

    def note(faults: Iterator[tuple[Mask, str]]) -> None:
        for wrong, reason in faults:
            for row in np.flatnonzero(wrong).tolist():
                reasons[row] = reasons[row] or reason

    note(_faults(raw, symbol, timeframe, to_micros(now)))
    fine = np.array([reason is None for reason in reasons])
    # a good row is no duplicate of a bad one, nor late because of it
    note(_misplaced(replace(raw, times=np.where(fine, raw.times, NO_TIME))))
    bad = [BadRow(row=n + 1, time=raw.texts[n], reason=r) for n, r in enumerate(reasons) if r is not None]
    kept = np.array([reason is None or reason == _UNORDERED for reason in reasons])
    return Judged(columns=_columns(raw, kept), timeframe=timeframe, bad=tuple(bad), notes=raw.notes)


def merged(old: Columns, new: Columns) -> Columns:
    """Both series in one. Raises ConfigurationError where they differ on a bar that both have."""
    _, ours, theirs = np.intersect1d(old.times, new.times, assume_unique=True, return_indices=True)
    for name in FIELDS:
        before, after = getattr(old, name)[ours], getattr(new, name)[theirs]
        differ = np.abs(before - after) > 1e-9 * np.abs(before)
        if differ.any():
            first = int(differ.argmax())
            at = from_micros(int(old.times[ours][first]))
            raise ConfigurationError(
                f"what is stored differs in {int(differ.sum())} of {len(ours)} shared bars, the first at "
                f"{at:%Y-%m-%d %H:%M}Z ({name} {before[first]:g}, now {after[first]:g}): --replace takes the new "
                "series instead"
            )
    fresh = ~np.isin(new.times, old.times)
    times = np.concatenate([old.times, new.times[fresh]])
    order = np.argsort(times, kind="stable")
    fields = {name: np.concatenate([getattr(old, name), getattr(new, name)[fresh]])[order] for name in FIELDS}
    return Columns(times=times[order], **fields)


def _columns(raw: RawBars, kept: Mask) -> Columns:
    times = raw.times[kept]
    order = np.argsort(times, kind="stable")
    return Columns(times=times[order], **{name: raw.fields[name][kept][order] for name in FIELDS})


def _oldest_first(raw: RawBars, notes: list[str]) -> RawBars:
    known = raw.times[raw.times != NO_TIME]
    if len(known) < 2 or known[0] <= known[-1] or (np.diff(known) > 0).any():
        return raw
    notes.append("newest first: turned round (rows are counted from the oldest)")
    fields = {name: values[::-1] for name, values in raw.fields.items()}
    return replace(raw, times=raw.times[::-1], texts=raw.texts[::-1], fields=fields)


def _length(raw: RawBars, wanted: Timeframe | None) -> Timeframe:
    steps = np.diff(np.unique(raw.times[raw.times != NO_TIME]))
    if not len(steps):
        raise ConfigurationError("one row is too few: a series needs two bars at least")
    sizes, counts = np.unique(steps, return_counts=True)
    usual = timedelta(microseconds=int(sizes[counts.argmax()]))
    if wanted is not None and usual != wanted.duration:
        raise ConfigurationError(
            f"most rows are {usual} apart, which are no bars of {wanted}: leave --timeframe out, or give another file"
        )
    try:
        return Timeframe.of(usual)
    except ValueError as error:
        raise ConfigurationError(f"most rows are {usual} apart: {error}") from error


# ---- what is wrong with a row, the gravest first ----


def _faults(raw: RawBars, symbol: Symbol, timeframe: Timeframe, now_us: int) -> Iterator[tuple[Mask, str]]:
    o, h, low, c, volume = (raw.fields[name] for name in FIELDS)
    with np.errstate(invalid="ignore"):
        yield raw.times == NO_TIME, "a time that can't be read, or that the clocks of its zone skip or pass twice"
        for name in FIELDS:
            yield ~np.isfinite(raw.fields[name]), f"{name} is missing, NaN or no finite number"
        yield np.minimum.reduce([o, h, low, c]) <= 0, "a price of zero or less"
        yield volume < 0, "a negative volume"
        yield h < low, "high below low"
        yield h < np.maximum(o, c) * (1 - _ROUNDING), "high below open or close"
        yield low > np.minimum(o, c) * (1 + _ROUNDING), "low above open or close"
    length_us = timeframe.duration // timedelta(microseconds=1)
    yield (raw.times != NO_TIME) & (raw.times + length_us > now_us), "has not closed yet"
    yield _misaligned(raw.times, symbol, timeframe), f"not at a {timeframe} step as the other rows are"


def _misplaced(raw: RawBars) -> Iterator[tuple[Mask, str]]:
    repeats, conflicts = _duplicates(raw)
    yield conflicts, "the same time as an earlier row, with other figures"
    yield repeats, "a repeated row"
    yield _earlier(raw.times), _UNORDERED


def _misaligned(times: NDArray[np.int64], symbol: Symbol, timeframe: Timeframe) -> Mask:
    """Against the place within a bar's length at which most rows lie; a stock's long bars move with daylight saving."""
    length_us = timeframe.duration // timedelta(microseconds=1)
    if symbol.asset_class is AssetClass.STOCK and timeframe.duration > timedelta(hours=1):
        return np.zeros(len(times), dtype=np.bool_)
    places = times % length_us
    known: Mask = times != NO_TIME
    if not known.any():
        return known
    values, counts = np.unique(places[known], return_counts=True)
    wrong: Mask = (places != values[counts.argmax()]) & known
    return wrong


def _duplicates(raw: RawBars) -> tuple[Mask, Mask]:
    """Rows after the first of their time: those with the same figures, and those with others."""
    _, first = np.unique(raw.times, return_index=True)
    again = np.ones(len(raw.times), dtype=np.bool_)
    again[first] = False
    again &= raw.times != NO_TIME
    originals = first[np.searchsorted(raw.times[first], raw.times)]
    figures = np.column_stack([raw.fields[name] for name in FIELDS])
    same = (figures == figures[originals]).all(axis=1)
    return again & same, again & ~same


def _earlier(times: NDArray[np.int64]) -> Mask:
    """Earlier than some row before it."""
    known = np.where(times == NO_TIME, NO_TIME, times)
    latest = np.maximum.accumulate(known)
    wrong: Mask = (known < np.concatenate([[NO_TIME], latest[:-1]])) & (times != NO_TIME)
    return wrong
