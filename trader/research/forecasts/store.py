"""Forecasts kept for good: computed once, read by every backtest and evaluation that asks the same question.

    STATE_DIR/forecasts/kronos/3f2a.../key.json      what these forecasts depend on, to be read by a person
                                       PART.parquet  some forecasts, written whole or not at all

A forecast is found only under everything that could have changed it (`forecast_key`). That a backend had none is kept
as well, with its reason; a failure (a crash, a deadline) is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecasters.base import Forecaster, ForecastError
from forecasters.types import CHANNELS, TAG, Context, Forecast, renamed
from trader.research.data.store import write_atomically
from trader.research.forecasts.key import EAGER, ForecastKey, Question, question_of

if TYPE_CHECKING:
    import pyarrow as pa

    from settings.schema import Settings

FOLDER = "forecasts"
PARTS_IN_MEMORY = 8
FLUSH_EVERY = 256  # forecasts; what a crash may cost where nobody flushes
_INDEX = ("series", "origin", "horizon", "data")
_TEXTS = ("backend", "model", "dtype", "compile_mode")
_ARRAYS = ("times", "levels", "quantiles", "paths")
_NUMBERS = ("last_close", "latency_s", "max_factor")

Row = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What is known of a question: its forecast, or why there is none."""

    forecast: Forecast | None
    reason: str = ""


class Shelf:
    """The forecasts under one key. One writer at a time is enough; a second one only adds parts of its own."""

    def __init__(self, folder: Path, key: ForecastKey) -> None:
        self.key = key
        self.folder = folder
        self._where: dict[Question, tuple[Path, int]] = {}
        self._parts: OrderedDict[Path, _Part] = OrderedDict()
        self._pending: dict[Question, StoredAnswer] = {}
        for path in sorted(folder.glob("*.parquet")):
            self._index(path)

    def __len__(self) -> int:
        return len(self._where) + len(self._pending)

    def __contains__(self, question: Question) -> bool:
        return question in self._pending or question in self._where

    def get(self, question: Question) -> StoredAnswer | None:
        """None where it is not known: compute it."""
        if question in self._pending:
            return self._pending[question]
        place = self._where.get(question)
        if place is None:
            return None
        part = self._part(place[0])
        return None if part is None else part.kept(question, place[1])

    def put(self, question: Question, kept: StoredAnswer) -> None:
        """Known from now on; on the disk with the next flush."""
        self._pending[question] = kept
        if len(self._pending) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """One part of what is pending, complete on the disk when this returns."""
        if not self._pending:
            return
        import pyarrow.parquet as pq

        rows = [_row(question, kept) for question, kept in self._pending.items()]
        questions = list(self._pending)
        path = self.folder / f"{questions[0].origin:%Y%m%dT%H%M%S}-{_name_of(questions)}.parquet"
        table = _table(rows)
        self._begin()
        # dictionaries and statistics are outside the checksums: without them a damaged figure is always noticed
        options = {"use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
        write_atomically(path, lambda place: pq.write_table(table, place, compression="lz4", **options))
        self._where |= {question: (path, row) for row, question in enumerate(questions)}
        self._parts.pop(path, None)
        self._pending = {}

    def _begin(self) -> None:
        about = self.folder / "key.json"
        if not about.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self.key), indent=2)
            write_atomically(about, lambda place: place.write_text(text))

    def _index(self, path: Path) -> None:
        table = _read(path, _INDEX)
        if table is None:
            return
        columns = [table.column(name).to_pylist() for name in _INDEX]
        for row, (series, origin, horizon, data) in enumerate(zip(*columns, strict=True)):
            self._where[Question(series=series, origin=origin.astimezone(UTC), horizon=horizon, data=data)] = (
                path,
                row,
            )

    def _part(self, path: Path) -> _Part | None:
        """A part as a whole, or None where it was damaged: it is then set aside, and what it held forgotten."""
        if path in self._parts:
            self._parts.move_to_end(path)
            return self._parts[path]
        table = _read(path, None)
        if table is None:
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
            self._where = {question: place for question, place in self._where.items() if place[0] != path}
            return None
        part = self._parts[path] = _Part(table)
        if len(self._parts) > PARTS_IN_MEMORY:
            self._parts.popitem(last=False)
        return part


class NoShelf(Shelf):
    """Of a backend that can't say what changes its forecasts: each is computed when it is asked for."""

    def __init__(self, key: ForecastKey) -> None:
        super().__init__(Path("/nonexistent"), key)

    def put(self, question: Question, kept: StoredAnswer) -> None:
        """Forgotten."""


class ForecastStore:
    """Shelves by key, below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def shelf(self, key: ForecastKey) -> Shelf:
        return NoShelf(key) if key.once else Shelf(self.root / key.backend / key.digest, key)


def forecasts_of(settings: Settings) -> ForecastStore:
    """The store in STATE_DIR."""
    return ForecastStore(settings.store.state_dir / FOLDER)


class StoredForecaster:
    """A Forecaster that asks `inner` only what its shelf does not hold. `inner` is warmed up when first needed.

    hits, computed  how many questions were answered from the shelf, and by `inner`
    warm_up_s       how long `inner` took to be ready; None before
    """

    def __init__(self, inner: Forecaster, shelf: Shelf) -> None:
        self.name = inner.name
        self.shelf = shelf
        self.hits = 0
        self.computed = 0
        self._inner = inner
        self.warm_up_s: float | None = None

    def warm_up(self) -> None:
        """Nothing: a model need not be loaded for what is stored."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """Keyed by symbol, tags included. Raises ForecastError where `inner` fails."""
        answers = self.answers(contexts)
        pairs = zip(contexts, answers, strict=True)
        return {
            context.symbol: renamed(f, context.symbol)
            for context, answer in pairs
            if (f := answer.forecast) is not None
        }

    def answers(self, contexts: Sequence[Context]) -> list[StoredAnswer]:
        """One for each context, in their order, under the plain symbol; a symbol may come many times.

        Raises ForecastError where `inner` fails: nothing of that batch is kept then.
        """
        questions = [question_of(context) for context in contexts]
        answers = {question: answer for question in questions if (answer := self.shelf.get(question)) is not None}
        missing = {q: c for q, c in zip(questions, contexts, strict=True) if q not in answers}
        self.hits += len(contexts) - len(missing)
        if missing:
            answers |= self._computed(missing)
        return [answers[question] for question in questions]

    def close(self) -> None:
        """Writes what is pending, and closes `inner`."""
        try:
            self.shelf.flush()
        finally:
            self._inner.close()

    def _computed(self, missing: Mapping[Question, Context]) -> dict[Question, StoredAnswer]:
        if self.warm_up_s is None:
            start = time.perf_counter()
            self._inner.warm_up()
            self.warm_up_s = time.perf_counter() - start
        # only a batch with a symbol twice needs tags
        plain = len({context.series for context in missing.values()}) == len(missing)
        tags = [c.series if plain else f"{c.series}{TAG}{n}" for n, c in enumerate(missing.values())]
        tagged_contexts = [replace(context, symbol=tag) for tag, context in zip(tags, missing.values(), strict=True)]
        answer, reasons = self._inner_answer(tagged_contexts)
        answers = {
            question: self._checked(answer.get(tag), question, reasons.get(tag, "the backend gave none"))
            for question, tag in zip(missing, tags, strict=True)
        }
        for question, stored_answer in answers.items():
            self.shelf.put(question, stored_answer)
        self.computed += len(answers)
        return answers

    def _inner_answer(self, contexts: Sequence[Context]) -> tuple[Mapping[str, Forecast], Mapping[str, str]]:
        """With the reasons that `inner` gives for what is absent. Raises ForecastError."""
        try:
            answer = self._inner.forecast(contexts)
        except ForecastError:
            refusals: Mapping[str, str] = getattr(self._inner, "refusals", {})
            if not all(context.symbol in refusals for context in contexts):
                raise
            return {}, refusals  # it did answer: that there are no valid ones
        return answer, getattr(self._inner, "refusals", {})

    def _checked(self, forecast: Forecast | None, question: Question, reason: str) -> StoredAnswer:
        """An answer of another kind than was asked for (a fallback's) must not lie under this key."""
        if forecast is None:
            return StoredAnswer(forecast=None, reason=reason)
        key = self.shelf.key
        if (forecast.compile_mode == EAGER) != (key.compile_mode == EAGER):
            raise ForecastError(
                f"{question.series}: {key.backend} was to run {key.compile_mode} and answered {forecast.compile_mode}"
            )
        paths = forecast.paths if key.paths else None
        return StoredAnswer(forecast=replace(forecast, symbol=question.series, paths=paths))


# ---- rows ----


def packed(forecasts: Sequence[tuple[Question, Forecast]]) -> bytes:
    """As one part, for a file of another kind; the tags of the symbols are left out."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(
        _table([_row(q, StoredAnswer(forecast=forecast)) for q, forecast in forecasts]), sink, compression="lz4"
    )
    return sink.getvalue()


def unpacked(part: bytes) -> list[tuple[Question, Forecast]]:
    """Raises ValueError where these bytes hold anything else than sound forecasts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(part))
        rows = zip(*(table.column(name).to_pylist() for name in _INDEX), strict=True)
        questions = [Question(series=s, origin=o.astimezone(UTC), horizon=h, data=d) for s, o, h, d in rows]
        whole = _Part(table)
        answers = [(question, whole.kept(question, row).forecast) for row, question in enumerate(questions)]
    except (OSError, KeyError, TypeError, AssertionError, pa.ArrowException, ForecastError) as error:
        raise ValueError(f"no forecasts: {error}") from error
    if any(forecast is None for _, forecast in answers):
        raise ValueError("a question without its forecast")
    return [(question, forecast) for question, forecast in answers if forecast is not None]


def _name_of(questions: Sequence[Question]) -> str:
    """Of a part: another one with the same name could only hold the same."""
    return hashlib.blake2b(repr(questions).encode(), digest_size=8).hexdigest()


def _row(question: Question, kept: StoredAnswer) -> Row:
    row: Row = {
        "series": question.series,
        "origin": question.origin,
        "horizon": question.horizon,
        "data": question.data,
        "reason": kept.reason,
        **dict.fromkeys(_ARRAYS),
    }
    forecast = kept.forecast
    if forecast is None:
        return row | dict.fromkeys((*_TEXTS, *_NUMBERS))
    row |= {name: getattr(forecast, name) for name in (*_TEXTS, *_NUMBERS)}
    row["times"] = forecast.times.astype("<i8").tobytes()
    for name in ("levels", "quantiles", "paths"):
        array = getattr(forecast, name)
        row[name] = None if array is None else array.astype("<f8").tobytes()
    return row


def _table(rows: Sequence[Row]) -> pa.Table:
    import pyarrow as pa

    kinds = {"series": pa.string(), "origin": pa.timestamp("us", "UTC"), "horizon": pa.int32(), "data": pa.string()}
    kinds |= {"reason": pa.string(), **dict.fromkeys(_TEXTS, pa.string()), **dict.fromkeys(_NUMBERS, pa.float64())}
    kinds |= dict.fromkeys(_ARRAYS, pa.large_binary())
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(kinds.items())))


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(
            path, columns=columns and list(columns), page_checksum_verification=True, partitioning=None
        )
    except (OSError, pa.ArrowException):
        return None


class _Part:
    """One file in memory. Arrays are looked at where they lie; `Forecast` makes its own copies."""

    def __init__(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        self._plain = table.drop_columns(list(_ARRAYS)).to_pylist()
        self._arrays = {name: table.column(name) for name in _ARRAYS}

    def kept(self, question: Question, row: int) -> StoredAnswer:
        plain = self._plain[row]
        quantiles = self._floats("quantiles", row)
        if quantiles is None:
            return StoredAnswer(forecast=None, reason=plain["reason"])
        bars = (-1, question.horizon, len(CHANNELS))
        paths, levels = self._floats("paths", row), self._floats("levels", row)
        assert levels is not None
        forecast = Forecast(
            symbol=question.series,
            asof=question.origin,
            times=np.frombuffer(self._arrays["times"][row].as_buffer(), dtype="<i8").view("datetime64[us]"),
            levels=levels,
            quantiles=quantiles.reshape(bars),
            paths=None if paths is None else paths.reshape(bars),
            **{name: plain[name] for name in (*_TEXTS, *_NUMBERS)},
        )
        return StoredAnswer(forecast=forecast)

    def _floats(self, name: str, row: int) -> Floats | None:
        buffer = self._arrays[name][row].as_buffer()
        return None if buffer is None else np.frombuffer(buffer, dtype="<f8")
