"""Toto: Datadog's time series models. 2.0 gives quantiles at 0.1 to 0.9 in one pass, 1.0 draws paths.

A bar's open, high, low and close are four variates of one group, which sees no other: what else is in the batch cannot
move its numbers. S samples, H horizon, C channels, Q levels."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forecasters.base import Forecaster, ForecastError, InvalidForecast, Mended, Notice
from forecasters.card import CARD
from forecasters.compiled.forced import Forced, Outputs
from forecasters.compiled.guard import Guarded, GuardOptions
from forecasters.compiled.likeness import Tolerance
from forecasters.compiled.toolchain import missing_tools, use_cache_folder
from forecasters.compiled.trial import trial_contexts
from forecasters.options import LEVELS, MODELS, Checkpoint, Levels, chosen_device, compile_label, missing_packages
from forecasters.progress import report
from forecasters.types import Context, Forecast, in_order, out_of_order, quantiles_of

if TYPE_CHECKING:
    from forecasters.toto.passes import Passes
    from forecasters.toto.toto1.model import Toto1
    from forecasters.toto.toto2.model import Toto2

DESCRIPTION = "Toto 1.0 and 2.0, pretrained time series models: sampled paths, or nine quantiles in one pass"
ALIASES = {"toto-compiled": {"compile": True}}
_FEWEST_PATHS = 16  # quantiles of fewer are noise

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)


class Options(BaseModel):
    """The TOTO_* settings, and what goes with them.

    levels        of a model that samples; Toto 2.0 has its own nine
    context_bars  the newest bars of a context that the model sees
    horizons      of a compiled model, in bars: what is prepared; a longer forecast is made eager
    series        symbols of a cycle, of a compiled model that gives quantiles: so many are prepared for one pass
    guard         how a compiled model is watched
    min_bars      fewer closed bars than this give no forecast
    misordered    a bar whose high is not its highest price: put in order and counted, or not to be had at all
    seed          with the symbol and the time of the forecast, decides what is drawn
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    compile: bool = False
    disable_compile: bool = False
    compile_mode: str = "reduce-overhead"
    compile_backend: str = "inductor"
    model_id: str = Field(default="Datadog/Toto-2.0-22m", min_length=1)
    num_samples: int = Field(default=256, ge=_FEWEST_PATHS, le=8192)
    samples_per_batch: int = Field(default=256, ge=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    levels: Levels = LEVELS
    context_bars: int = Field(default=512, ge=64, le=4096)
    horizons: tuple[int, ...] = Field(default=(64,), min_length=1)
    series: int = Field(default=1, ge=1)
    guard: GuardOptions = GuardOptions()
    min_bars: int = Field(default=64, ge=2)
    misordered: Literal["sort", "refuse"] = "sort"
    seed: int = Field(default=0, ge=0)

    @field_validator("horizons")
    @classmethod
    def _horizons_are_bars(cls, horizons: tuple[int, ...]) -> tuple[int, ...]:
        if min(horizons) < 1:
            raise ValueError("horizons are at least one bar")
        return horizons

    @model_validator(mode="after")
    def _compilation_is_clear(self) -> Options:
        if self.compile and self.disable_compile:
            raise ValueError("compile and disable_compile contradict each other")
        return self


def requires() -> Sequence[str]:
    """For the options that it has when none are given."""
    return lacks(Options())


def lacks(options: Options) -> Sequence[str]:
    """What is missing on this machine for these options. Torch is looked for, not imported."""
    missing = missing_packages(MODELS)
    if missing:
        return missing
    from forecasters.toto.hub import lacking

    checkpoint = lacking(options.model_id)
    return [] if checkpoint is None else [checkpoint]


def fetches(options: Options) -> bool:
    """Whether its weights have to be fetched from the hub."""
    from forecasters.toto.hub import absent

    return absent(options.model_id)


def checkpoint(options: Options) -> Checkpoint:
    """Found or downloaded. Raises ForecastError."""
    from forecasters.toto.hub import locate

    found = locate(options.model_id)
    decisive = (file for file in found.folder.glob("*.json") if file.name != CARD)
    return Checkpoint(
        label=found.label, files=(*decisive, *found.folder.glob("*.safetensors")), learned_to=found.learned_to
    )


def rounding(options: Options) -> Tolerance:
    """A matrix product may round otherwise in a batch of another size; in some processors' libraries, and on a GPU."""
    return options.guard.tolerance(options.dtype)


def notes(options: Options) -> Sequence[str]:
    """What runs here, but not as well as it might."""
    from forecasters.kronos.paths import expected
    from forecasters.toto.hub import unpinned

    missing = missing_tools() if options.compile_backend == "inductor" else []
    moving = unpinned(options.model_id)
    eager = [f"toto-compiled would run eager, for want of {tool}" for tool in missing]
    return [*eager, f"compiled on a CPU, {expected()}", *([moving] if moving else [])]


def build(options: Options) -> Forecaster:
    missing = lacks(options)
    if missing:
        raise ForecastError(f"toto can't run here: {'; '.join(missing)}")
    if not options.compile:
        return TotoForecaster(options)
    eager = TotoForecaster(options.model_copy(update={"compile": False}))
    cache = use_cache_folder(options.guard.cache_dir, options.guard.inductor_dir)
    return Guarded(
        name=eager.name,
        eager=eager,
        compile=eager.compiled_twin,
        trial=eager.trial,
        options=options.guard,
        dtype=options.dtype,
        lacking=cache.lacking if options.compile_backend == "inductor" else tuple,
        cache=cache,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What was put in order in one forecast, each of `bars`: H x levels, or H x samples.

    crossing    prices at which the network's quantiles crossed, of 4 x H
    misordered  bars whose high was not the highest price, or whose low was not the lowest
    """

    crossing: int
    misordered: int
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    levels: Floats
    quantiles: Floats  # [Q, H, C]
    paths: Floats | None  # [S, H, C]
    repairs: Repairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Told:
    values: NDArray[np.float32]  # [Q or S, C, H], percent of log price
    crossing: int


class TotoForecaster:
    """A Forecaster. The same seed, symbol and asof give the same forecast, whatever else is in the batch."""

    name = "toto"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._model: Toto1 | Toto2 | None = None
        self._label = ""
        self._notices: list[Notice] = []
        self.repairs: dict[str, Repairs] = {}  # of the last batch, by symbol
        self.refusals: dict[str, str] = {}  # likewise: why there is no forecast
        self.mended: dict[str, Mended] = {}  # likewise: paths or quantile levels that are not as they came

    def warm_up(self) -> None:
        """Loads, downloading where need be, and forecasts once. Compiled, all that is prepared is made here."""
        if not self._options.compile:
            report(f"loading {self._options.model_id}")
        model = self._loaded()
        shapes = [(1, 1)]
        if self._options.compile:
            sizes = self._passes(compiled=True).sizes
            shapes = [(horizon, size) for horizon in sorted(self._options.horizons) for size in sizes]
        for done, (horizon, size) in enumerate(shapes):
            what = "compiling for" if self._options.compile else "forecasting"
            report(f"{what} {horizon} bars{f' of {size} symbols' if size > 1 else ''}", done / len(shapes))
            series = np.zeros((4 * size, self._options.context_bars), dtype=np.float32)
            mask = np.ones(series.shape, dtype=np.bool_)
            if model.generation == 1:
                self._sampled(series, mask, horizon, 0)
            else:
                model.quantiles(series, mask, horizon, groups=np.repeat(np.arange(size), 4).tolist())

    def trial(self) -> Sequence[Context]:
        """Of all shapes that are prepared: a pass of each size, for each horizon."""
        each = sum(self._passes(compiled=True).sizes)
        return trial_contexts(bars=self._options.context_bars, horizons=self._options.horizons * each)

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """Absent: symbols with too few bars, and those whose forecast would not be a valid one."""
        self.repairs, self.mended = {}, {}
        least = self._options.min_bars
        self.refusals = {c.symbol: f"{len(c)} closed bars, {least} are needed" for c in contexts if len(c) < least}
        forecasts: dict[str, Forecast] = {}
        for batch in self._batches(contexts):
            started = time.perf_counter()
            answers = self._told(batch)
            latency_s = time.perf_counter() - started
            for context, answer in zip(batch, answers, strict=True):
                try:
                    forecasts[context.symbol] = self._value(context, self._answer(context, answer), latency_s)
                except InvalidForecast as error:
                    self.refusals[context.symbol] = error.reason
                    _log.warning("no forecast: %s", error)
        return forecasts

    def _batches(self, contexts: Sequence[Context]) -> list[Sequence[Context]]:
        """Those that one pass forecasts, of all that have bars enough."""
        options = self._options
        usable = [each for each in contexts if len(each) >= options.min_bars]
        return list(self._passes(compiled=options.compile).of(usable, options.context_bars))

    def _passes(self, *, compiled: bool) -> Passes:
        """Of this one or of its twin."""
        from forecasters.toto.passes import ANY_NUMBER, ONE_BY_ONE, prepared_passes

        if self._loaded().generation == 1:
            return ONE_BY_ONE  # paths fill the machine for one symbol alone
        return prepared_passes(self._options.series) if compiled else ANY_NUMBER

    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        """What the network says of each step ahead, quantiles or mixtures, by the graphs that forecast."""
        from forecasters.toto.bars import group_of
        from forecasters.toto.forced import forced_outputs

        options, by_symbol = self._options, dict[str, dict[str, Outputs]]()
        for batch in self._batches(contexts):
            outputs = forced_outputs(
                self._loaded(),
                [group_of(context, options.context_bars) for context in batch],
                len(batch[0].future_times),
                samples=options.num_samples,
                samples_per_batch=options.samples_per_batch,
            )
            by_symbol |= {
                context.symbol: symbol_outputs for context, symbol_outputs in zip(batch, outputs, strict=True)
            }
        return by_symbol

    def notices(self) -> Sequence[Notice]:
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        self._model = None

    def compiled_twin(self) -> TotoForecaster:
        """The same weights behind graphs of their own, which are made by its warm-up."""
        from forecasters.toto.hub import locate
        from forecasters.toto.loading import buckets_for
        from forecasters.toto.twin import compiled_twin

        model, options = self._loaded(), self._options
        folder = locate(options.model_id).folder
        variates = [4 * size for size in self._passes(compiled=True).sizes]
        sizes = buckets_for(folder, bars=options.context_bars, horizons=options.horizons, variates=variates)
        other = TotoForecaster(options.model_copy(update={"compile": True}))
        other._model = compiled_twin(model, buckets=sizes, mode=options.compile_mode, backend=options.compile_backend)
        other._label = self._label
        return other

    def _loaded(self) -> Toto1 | Toto2:
        if self._model is not None:
            return self._model
        import torch

        from forecasters.toto.hub import locate
        from forecasters.toto.loading import load_toto
        from forecasters.toto.toto1.model import Toto1
        from forecasters.toto.toto2.model import Toto2

        options = self._options
        device, notices = chosen_device(options.device, torch_has_gpu=torch.cuda.is_available(), setting="TOTO_DEVICE")
        self._notices += notices
        located = locate(options.model_id)
        # Not rounded as the original is: the last digit is worth no time, and the compiled twin has the same weights.
        model = load_toto(located.folder, device=device, dtype=options.dtype)
        assert isinstance(model, (Toto1, Toto2))
        self._model, self._label = model, located.label
        return model

    def _told(self, batch: Sequence[Context]) -> list[_Told]:
        """What the model says of each, with its time paid once."""
        from forecasters.toto.bars import group_of
        from forecasters.toto.passes import quantiles_of
        from forecasters.toto.toto2.model import Toto2

        options, model = self._options, self._loaded()
        groups = [group_of(context, options.context_bars) for context in batch]
        horizon = len(batch[0].future_times)
        if not isinstance(model, Toto2):
            seeds = [_seed(context, options.seed) for context in batch]
            paths = (self._sampled(g.series, g.mask, horizon, seed) for g, seed in zip(groups, seeds, strict=True))
            return [_Told(values=values, crossing=0) for values in paths]
        return [
            _Told(values=quantiles.values.numpy(), crossing=quantiles.crossing)
            for quantiles in quantiles_of(model, groups, horizon)
        ]

    def _answer(self, context: Context, told: _Told) -> _Found:
        """In prices, each bar in order. Raises InvalidForecast."""
        from forecasters.toto.bars import prices_of
        from forecasters.toto.toto2.model import Toto2

        model = self._loaded()
        prices, repairs = self._proper(prices_of(told.values, context.last_close), told.crossing, context.symbol)
        if isinstance(model, Toto2):
            return _Found(levels=np.array(model.levels), quantiles=prices, paths=None, repairs=repairs)
        levels = np.array(self._options.levels)
        return _Found(levels=levels, quantiles=quantiles_of(prices, levels), paths=prices, repairs=repairs)

    def _sampled(
        self, series: NDArray[np.float32], mask: NDArray[np.bool_], horizon: int, seed: int
    ) -> NDArray[np.float32]:
        """[S, C, H]"""
        return self._loaded().sample(
            series,
            mask,
            horizon,
            samples=self._options.num_samples,
            seed=seed,
            samples_per_batch=self._options.samples_per_batch,
            together=True,
        )

    def _proper(self, prices: Floats, crossing: int, symbol: str) -> tuple[Floats, Repairs]:
        """[N, H, C] with each bar in order. Raises InvalidForecast where it isn't and is not to be put so."""
        misordered = out_of_order(prices)
        wrong = int(misordered.sum())
        repairs = Repairs(crossing=crossing, misordered=wrong, bars=prices.shape[0] * prices.shape[1])
        self.repairs[symbol] = repairs
        self.mended[symbol] = Mended(mended=int(misordered.any(axis=1).sum()), dropped=0, of=len(prices))
        if wrong and self._options.misordered == "refuse":
            raise InvalidForecast(f"{symbol}: in {wrong} of {repairs.bars} bars the high or low is not the outermost")
        if wrong or crossing:
            _log.info("%s: put in order %d of %d bars, %d crossings", symbol, wrong, repairs.bars, crossing)
        return in_order(prices), repairs

    def _value(self, context: Context, found: _Found, latency_s: float) -> Forecast:
        options = self._options
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=found.levels,
            quantiles=found.quantiles,
            paths=found.paths,
            backend=self.name,
            model=self._label,
            dtype=options.dtype,
            compile_mode=compile_label(
                compile=options.compile, mode=options.compile_mode, backend=options.compile_backend
            ),
            latency_s=latency_s,
        )


def _seed(context: Context, seed: int) -> int:
    text = f"{seed}|{context.series}|{context.asof.isoformat()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
