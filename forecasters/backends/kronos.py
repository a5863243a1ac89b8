"""Kronos: sampled paths of the next bars, from a published or a local checkpoint.

A sampled bar may be impossible (its high below its open, a price below zero). Such a path is left out, never repaired,
and counted; where too few are left there is no forecast of that symbol.

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
from pydantic import BaseModel, ConfigDict, Field

from forecasters.base import ForecastError, InvalidContext, InvalidForecast
from forecasters.options import LEVELS, Checkpoint, Levels, missing_packages
from forecasters.progress import report
from forecasters.types import CHANNELS, CLOSE, HIGH, LOW, OPEN, Context, Forecast, quantiles_of

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

DESCRIPTION = "Kronos, a language model of bars: sampled paths"
ALIASES = {"kronos-compiled": {"compile": True}}
PACKAGES = ("torch", "safetensors", "huggingface_hub")

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)


class Options(BaseModel):
    """The KRONOS_* settings, and what goes with them.

    min_bars     fewer closed bars than this give no forecast
    min_survive  the share of the paths that must be possible bars throughout
    seed         with the symbol and the time of the forecast, decides what is drawn
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    compile: bool = False
    compile_mode: str = "reduce-overhead"
    compile_backend: str = "inductor"
    sample_count: int = Field(default=30, ge=1, le=8192)
    model_id: str = Field(default="NeoQuasar/Kronos-small", min_length=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    temperature: float = Field(default=1.0, gt=0, le=10)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    clip: float = Field(default=5.0, gt=0)
    strategy: Literal["cached", "strict"] = "cached"
    levels: Levels = LEVELS
    min_bars: int = Field(default=30, ge=1)
    min_survive: float = Field(default=0.25, gt=0, le=1)
    seed: int = Field(default=0, ge=0)


def requires() -> Sequence[str]:
    """For the options that it has when none are given."""
    return lacks(Options())


def lacks(options: Options) -> Sequence[str]:
    """What is missing on this machine for these options. Torch is looked for, not imported."""
    missing = missing_packages(PACKAGES)
    if options.compile:
        missing.append(
            "the compiled backend, which is not there yet (it would compile within a forecast): "
            "FORECASTER=kronos runs the same weights eager"
        )
    if missing:
        return missing
    from forecasters.kronos.hub import lacking

    checkpoint = lacking(options.model_id)
    return [] if checkpoint is None else [checkpoint]


def checkpoint(options: Options) -> Checkpoint:
    """Found or downloaded. Raises ForecastError."""
    from forecasters.kronos.hub import CONFIG, WEIGHTS, locate

    found = locate(options.model_id)
    files = tuple(folder / name for folder in (found.network, found.tokenizer) for name in (CONFIG, WEIGHTS))
    return Checkpoint(label=found.label, files=files)


def build(options: Options) -> KronosForecaster:
    missing = lacks(options)
    if missing:
        raise ForecastError(f"kronos can't run here: {'; '.join(missing)}")
    return KronosForecaster(options)


class KronosForecaster:
    """A Forecaster. The same seed, symbol and asof give the same paths, whatever else is in the batch."""

    name = "kronos"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._model: Kronos | None = None
        self.rejected: dict[str, int] = {}  # paths left out of the last forecast, by symbol

    def warm_up(self) -> None:
        """Loads, downloading where need be, and draws once."""
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
        usable = [context for context in contexts if self._usable(context)]
        self.rejected = {}
        if not usable:
            return {}
        drawn = self._drawn(usable)
        latency_s = time.perf_counter() - started
        found: dict[str, Forecast] = {}
        for context, paths in zip(usable, drawn, strict=True):
            try:
                found[context.symbol] = self._value(context, paths, latency_s)
            except InvalidForecast as error:
                _log.warning("no forecast: %s", error)
        return found

    def close(self) -> None:
        self._model = None

    def _loaded(self) -> Kronos:
        if self._model is not None:
            return self._model
        import torch

        from forecasters.kronos.generate import Kronos
        from forecasters.kronos.hub import locate
        from forecasters.kronos.weights import load

        options = self._options
        wanted = options.device
        if wanted == "cuda" and not torch.cuda.is_available():
            raise ForecastError("KRONOS_DEVICE is cuda, but torch sees no GPU: set it to auto or cpu")
        on_gpu = wanted != "cpu" and torch.cuda.is_available()
        self._model = Kronos(
            load(locate(options.model_id)),
            clip=options.clip,
            dtype=torch.bfloat16 if options.dtype == "bfloat16" else torch.float32,
            device=torch.device("cuda" if on_gpu else "cpu"),
        )
        return self._model

    def _usable(self, context: Context) -> bool:
        from forecasters.kronos.features import complete_bars

        if len(context) < self._options.min_bars:
            return False
        try:
            complete_bars(context.values)
        except InvalidContext as error:
            _log.warning("no forecast of %s: %s", context.symbol, error)
            return False
        return True

    def _drawn(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """[S, H, 6] each."""
        from forecasters.kronos.generate import Series
        from forecasters.kronos.sampling import Sampling

        options = self._options
        batch = [
            Series(
                bars=context.values,
                times=context.times,
                future_times=context.future_times,
                seed=_seed(context, options.seed),
            )
            for context in contexts
        ]
        sampling = Sampling(temperature=options.temperature, top_p=options.top_p, top_k=options.top_k)
        return self._loaded().generate_batch(batch, sampling, samples=options.sample_count, strategy=options.strategy)

    def _value(self, context: Context, drawn: NDArray[np.float32], latency_s: float) -> Forecast:
        options = self._options
        paths = drawn[..., : len(CHANNELS)].astype(np.float64)
        paths = paths[possible(paths)]
        rejected = len(drawn) - len(paths)
        self.rejected[context.symbol] = rejected
        if len(paths) < math.ceil(options.min_survive * len(drawn)):
            raise InvalidForecast(f"{context.symbol}: {rejected} of {len(drawn)} paths hold impossible bars")
        if rejected:
            _log.info("%s: %d of %d paths left out for impossible bars", context.symbol, rejected, len(drawn))
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
            compile_mode="eager",
            latency_s=latency_s,
        )


def possible(paths: Floats) -> NDArray[np.bool_]:
    """[S, H, C] -> [S]: prices above zero, high and low around open and close, at every step."""
    top = np.maximum(paths[..., OPEN], paths[..., CLOSE])
    bottom = np.minimum(paths[..., OPEN], paths[..., CLOSE])
    proper = np.isfinite(paths).all(axis=-1) & (paths > 0).all(axis=-1)
    proper &= (paths[..., HIGH] >= top) & (paths[..., LOW] <= bottom)  # [S, H]
    return np.asarray(proper.all(axis=-1))


def _seed(context: Context, seed: int) -> int:
    text = f"{seed}|{context.series}|{context.asof.isoformat()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
