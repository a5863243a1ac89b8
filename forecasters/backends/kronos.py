"""Kronos: sampled paths of the next bars, from a published or a local checkpoint.

A sampled bar may be impossible (its high below its open, a price below zero). Such a path is left out, never repaired,
and counted; where too few are left there is no forecast of that symbol.

Compiled, one shape is prepared: so many series of so many bars, so far ahead. Shorter contexts are padded and masked,
absent series filled up, so that nothing is compiled after the warm-up; a guard compares it with the eager model.

S samples, H horizon, C channels, Q levels.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from forecasters.base import Forecaster, ForecastError, InvalidContext, InvalidForecast, Mended, Notice
from forecasters.compiled.forced import Forced, Outputs
from forecasters.compiled.guard import Guarded, GuardOptions
from forecasters.compiled.likeness import Tolerance
from forecasters.compiled.toolchain import missing_tools, use_cache_folder
from forecasters.compiled.trial import trial_contexts
from forecasters.kronos.mending import Misordered, mended_paths
from forecasters.options import LEVELS, MODELS, Checkpoint, Levels, chosen_device, compile_label, missing_packages
from forecasters.progress import report
from forecasters.types import CHANNELS, Context, Forecast, quantiles_of

if TYPE_CHECKING:
    from forecasters.kronos.forced import LogitsStep
    from forecasters.kronos.generate import Advance, Kronos, Series
    from forecasters.kronos.sampling import Sampling

DESCRIPTION = "Kronos, a language model of bars: sampled paths"
ALIASES = {"kronos-compiled": {"compile": True}}

_log = logging.getLogger(__name__)


class Options(BaseModel):
    """The KRONOS_* settings, and what goes with them.

    context_bars, horizon, series  of a compiled model: the shape that is prepared, bars, bars ahead, symbols
    tokenizer_id of a network that has none beside it, or is to have another; empty: its own
    guard        how a compiled model is watched
    min_bars     fewer closed bars than this give no forecast
    misordered   a path with a bar whose high is not its highest price: put in order and counted, or left out
    min_survive  the share of the paths that must be left
    seed         with the symbol and the time of the forecast, decides what is drawn
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    compile: bool = False
    compile_mode: str = "reduce-overhead"
    compile_backend: str = "inductor"
    sample_count: int = Field(default=30, ge=1, le=8192)
    model_id: str = Field(default="kronos-nano", min_length=1)
    tokenizer_id: str = ""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    temperature: float = Field(default=1.0, gt=0, le=10)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    clip: float = Field(default=5.0, gt=0)
    strategy: Literal["cached", "strict"] = "cached"
    levels: Levels = LEVELS
    context_bars: int = Field(default=400, ge=1)
    horizon: int = Field(default=1, ge=1)
    series: int = Field(default=1, ge=1)
    guard: GuardOptions = GuardOptions()
    min_bars: int = Field(default=30, ge=1)
    misordered: Misordered = "sort"
    min_survive: float = Field(default=0.25, gt=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _there_is_something_to_compile(self) -> Options:
        if self.compile and self.strategy == "strict":
            raise ValueError("the strict strategy has no step to compile: strategy cached, or compile off")
        return self


def requires() -> Sequence[str]:
    """For the options that it has when none are given."""
    return lacks(Options())


def lacks(options: Options) -> Sequence[str]:
    """What is missing on this machine for these options. Torch is looked for, not imported."""
    missing = missing_packages(MODELS)
    if missing:
        return missing
    from forecasters.kronos.hub import lacking

    checkpoint = lacking(options.model_id, options.tokenizer_id)
    return [] if checkpoint is None else [checkpoint]


def fetches(options: Options) -> bool:
    """Whether its weights have to be fetched from the hub."""
    from forecasters.kronos.hub import absent

    return absent(options.model_id, options.tokenizer_id)


def checkpoint(options: Options) -> Checkpoint:
    """Found or downloaded. Raises ForecastError."""
    from forecasters.kronos.files import CONFIG, weight_files
    from forecasters.kronos.hub import locate

    found = locate(options.model_id, options.tokenizer_id)
    folders = (found.network, found.tokenizer)
    files = tuple(file for folder in folders for file in (folder / CONFIG, *weight_files(folder)))
    return Checkpoint(label=found.label, files=files, learned_to=found.learned_to)


def rounding(options: Options) -> Tolerance:
    """A matrix product may round otherwise in a batch of another size; in some processors' libraries, and on a GPU."""
    return options.guard.tolerance(options.dtype)


def notes(options: Options) -> Sequence[str]:
    """What runs here, but not as well as it might."""
    from forecasters.kronos.paths import expected

    missing = missing_tools() if options.compile_backend == "inductor" else []
    eager = [f"kronos-compiled would run eager, for want of {tool}" for tool in missing]
    return [*eager, f"compiled on a CPU, {expected()}"]


def build(options: Options) -> Forecaster:
    missing = lacks(options)
    if missing:
        raise ForecastError(f"kronos can't run here: {'; '.join(missing)}")
    if not options.compile:
        return KronosForecaster(options)
    eager = KronosForecaster(options.model_copy(update={"compile": False}))
    cache = use_cache_folder(options.guard.cache_dir, options.guard.inductor_dir)
    return Guarded(
        name=eager.name,
        eager=eager,
        compile=eager.compiled_twin,
        trial=lambda: trial_contexts(bars=options.context_bars, horizons=(options.horizon,) * options.series),
        options=options.guard,
        dtype=options.dtype,
        lacking=cache.lacking if options.compile_backend == "inductor" else tuple,
        cache=cache,
    )


class KronosForecaster:
    """A Forecaster. The same seed, symbol and asof give the same paths, whatever else is in the batch."""

    name = "kronos"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._model: Kronos | None = None
        self._step: Advance | None = None  # compiled; else the model's own
        self._logits: LogitsStep | None = None  # likewise, made when it is first asked for
        self._notices: list[Notice] = []
        self.refusals: dict[str, str] = {}  # of the last batch, by symbol: why there is no forecast
        self.mended: dict[str, Mended] = {}  # likewise: paths that are not as they were drawn

    def warm_up(self) -> None:
        """Loads, downloading where need be, and draws once. Compiled, it is the first batch that compiles."""
        if self._options.compile:
            return
        report(f"loading {self._options.model_id}")
        model = self._loaded()
        report("drawing once")
        bars = np.tile(np.array([1.0, 1.01, 0.99, 1.0, 1.0, 1.0], dtype=np.float32), (32, 1))
        times = np.arange(33) * np.timedelta64(3600, "s") + np.datetime64("2024-01-01T00:00:00", "s")
        count = self._options.sample_count
        model.generate(bars, times[:32], times[32:], samples=count)

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """One batch. Absent: too few bars, numbers beyond float32, too many impossible paths, absurd quantiles."""
        started = time.perf_counter()
        self.refusals, self.mended = {}, {}
        usable = [context for context in contexts if self._usable(context)]
        if not usable:
            return {}
        batch_paths = self._drawn(usable)
        latency_s = time.perf_counter() - started
        forecasts: dict[str, Forecast] = {}
        for context, paths in zip(usable, batch_paths, strict=True):
            try:
                forecasts[context.symbol] = self._value(context, paths, latency_s)
            except InvalidForecast as error:
                self._refuse(context, error.reason)
        return forecasts

    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        """Logits of the last bars' tokens, by the step that serves, given the true ones before: of all but the first.

        Nothing at a horizon of one bar, which no step is made for. Absent: too few bars. Raises ForecastError.
        """
        from forecasters.kronos.forced import compiled_logits_step, forced_logits, logits_step
        from forecasters.kronos.generate import advance

        options, model = self._options, self._loaded()
        usable = [each for each in contexts if len(each) >= options.min_bars + options.horizon and self._usable(each)]
        if options.compile and self._logits is None:
            self._logits = compiled_logits_step(backend=options.compile_backend, mode=_mode(options, model))
        batch_outputs: list[dict[str, Outputs]] = []
        batch = [self._series(each) for each in usable]
        for part in self._parts(batch) if options.compile else [[each] for each in batch]:
            batch_outputs += forced_logits(
                model,
                part,
                self._sampling(),
                samples=options.sample_count,
                served=self._step or advance,
                logits=self._logits or logits_step,
                places=_places(options, model),
            )
        return {each.symbol: outputs for each, outputs in zip(usable, batch_outputs, strict=False)}

    def notices(self) -> Sequence[Notice]:
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        self._model = None

    def compiled_twin(self) -> KronosForecaster:
        """The same weights with a step that is compiled, anew, when it first forecasts."""
        from forecasters.kronos.compiled import compiled_advance

        model, options = self._loaded(), self._options
        other = KronosForecaster(options.model_copy(update={"compile": True}))
        bars = _places(options, model)
        report(f"compiling for {options.series} series x {options.sample_count} samples, {bars} bars")
        other._step = compiled_advance(backend=options.compile_backend, mode=_mode(options, model))
        other._model = model.twin(other._step, least_places=bars)
        return other

    def _loaded(self) -> Kronos:
        if self._model is not None:
            return self._model
        import torch

        from forecasters.kronos.generate import Kronos
        from forecasters.kronos.hub import locate
        from forecasters.kronos.weights import load

        options = self._options
        device, notices = chosen_device(
            options.device, torch_has_gpu=torch.cuda.is_available(), setting="KRONOS_DEVICE"
        )
        self._notices += notices
        self._model = Kronos(
            load(locate(options.model_id, options.tokenizer_id)),
            clip=options.clip,
            dtype=torch.bfloat16 if options.dtype == "bfloat16" else torch.float32,
            device=torch.device(device),
        )
        return self._model

    def _usable(self, context: Context) -> bool:
        from forecasters.kronos.features import complete_bars

        if len(context) < self._options.min_bars:
            self.refusals[context.symbol] = f"{len(context)} closed bars, {self._options.min_bars} are needed"
            return False
        try:
            complete_bars(context.values)
        except InvalidContext as error:
            self._refuse(context, error.reason)
            return False
        return True

    def _refuse(self, context: Context, why: str) -> None:
        self.refusals[context.symbol] = why
        _log.warning("no forecast of %s: %s", context.symbol, why)

    def _drawn(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """[S, H, 6] each."""
        options = self._options
        batch = [self._series(context) for context in contexts]
        sampling = self._sampling()
        paths: list[NDArray[np.float32]] = []
        for part in self._parts(batch):
            part_paths = self._loaded().generate_batch(
                part, sampling, samples=options.sample_count, strategy=options.strategy
            )
            paths += part_paths
        return paths[: len(batch)]

    def _series(self, context: Context) -> Series:
        from forecasters.kronos.generate import Series

        return Series(
            bars=context.values,
            times=context.times,
            future_times=context.future_times,
            seed=_seed(context, self._options.seed),
        )

    def _sampling(self) -> Sampling:
        from forecasters.kronos.sampling import Sampling

        options = self._options
        return Sampling(temperature=options.temperature, top_p=options.top_p, top_k=options.top_k)

    def _parts(self, batch: list[Series]) -> list[list[Series]]:
        """What is drawn together: all of it, or compiled, parts of the one size that was prepared, filled up.

        InvalidContext where the batch is of another length or horizon than was prepared.
        """
        from forecasters.kronos.generate import most_series

        options = self._options
        if not options.compile:
            return [batch]
        most = min(self._loaded().max_context - options.horizon, max(options.context_bars, options.min_bars))
        for series in batch:
            bars, ahead = len(np.asarray(series.times)), len(np.asarray(series.future_times))
            if ahead != options.horizon or min(bars, self._loaded().max_context - ahead) > most:
                raise InvalidContext(
                    f"{bars} bars and {ahead} ahead: {most} and {options.horizon} are what is compiled"
                )
        parts = -(-options.series // most_series(options.sample_count))
        size = -(-options.series // parts)
        filled = batch + batch[-1:] * (-len(batch) % size)
        return [filled[first : first + size] for first in range(0, len(filled), size)]

    def _value(self, context: Context, draws: NDArray[np.float32], latency_s: float) -> Forecast:
        options = self._options
        paths, told = mended_paths(draws[..., : len(CHANNELS)].astype(np.float64), options.misordered)
        self.mended[context.symbol] = told
        if len(paths) < math.ceil(options.min_survive * len(draws)):
            what = "prices that are none" if options.misordered == "sort" else "bars that can't be"
            raise InvalidForecast(
                f"{told.dropped} of {told.of} paths hold {what}, {options.min_survive:.0%} must be left"
            )
        if told.mended or told.dropped:
            _log.info("%s: %d of %d paths mended, %d left out", context.symbol, told.mended, told.of, told.dropped)
        levels = np.array(options.levels)
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=levels,
            quantiles=quantiles_of(paths, levels),
            paths=paths,
            backend=self.name,
            model=self._loaded().label,
            dtype=options.dtype,
            compile_mode=compile_label(
                compile=options.compile, mode=options.compile_mode, backend=options.compile_backend
            ),
            latency_s=latency_s,
        )


def _places(options: Options, model: Kronos) -> int:
    """Bars of a context in the shape that is prepared."""
    return min(options.context_bars, model.max_context - options.horizon)


def _mode(options: Options, model: Kronos) -> str:
    """The compiler's; there are no CUDA graphs to reduce an overhead with on a CPU."""
    return (
        "default" if model.device.type == "cpu" and options.compile_mode == "reduce-overhead" else options.compile_mode
    )


def _seed(context: Context, seed: int) -> int:
    text = f"{seed}|{context.series}|{context.asof.isoformat()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
