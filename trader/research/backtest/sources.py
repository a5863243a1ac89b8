"""Where the bars and the forecasts of a backtest come from: given files, the store, a backend here or in its worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from forecasters.base import Forecaster, ForecastError
from forecasters.card import UNKNOWN, Learned
from forecasters.compiled.likeness import Tolerance
from forecasters.registry import build
from settings.load import Loaded
from settings.schema import Settings
from trader.core.types import Symbol, Timeframe
from trader.daemon.forecaster import backend_options, check_backend, open_backend, sandbox_of
from trader.daemon.simulation import replayed, with_trading
from trader.errors import ConfigurationError
from trader.research.backtest.backtest import AHEAD
from trader.research.backtest.simulate import market_options, opened
from trader.research.data.store import FOLDER, BarStore

IN_PROCESS = ("baseline",)  # light, without torch, and the same whatever is in the batch
AHEAD_OF_MODELS = 32  # bars in a batch of a large model
BATCH_DEADLINE_S = 3600.0


def settled(loaded: Loaded, *, generated: bool) -> Settings:
    """The settings of a run: its bars found, its symbols and timeframe those of the bars where none were chosen.

    Raises ConfigurationError where there are no bars.
    """
    settings = with_trading(replayed(loaded), trading_mode="sim")
    if not settings.sim.bars and not generated:
        return _stored(settings)
    if settings.sim.bars and loaded.origins["TIMEFRAME"] == "default":
        settings = with_trading(settings, timeframe=str(opened(market_options(settings)).timeframe))
    return settings


def _stored(settings: Settings) -> Settings:
    timeframe = Timeframe.parse(settings.trading.timeframe)
    store = BarStore(settings.store.state_dir / FOLDER)
    paths = {name: store.path(Symbol(name), timeframe) for name in settings.trading.symbols}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise ConfigurationError(
            f"no {timeframe} bars of {', '.join(missing)} are stored in {store.root}: give --data {missing[0]}=FILE, "
            f"import them with `trader data import FILE --symbol {missing[0]}`, or try --generated"
        )
    files = tuple(f"{name}={path}" for name, path in paths.items())
    return settings.model_copy(update={"sim": settings.sim.model_copy(update={"bars": files})})


def finer_in_store(settings: Settings) -> dict[Symbol, Path]:
    """The finest stored bars of each symbol of which bars of the traded length can be made.

    Raises ConfigurationError where no symbol has any.
    """
    length = Timeframe.parse(settings.trading.timeframe).duration
    store = BarStore(settings.store.state_dir / FOLDER)
    paths: dict[Symbol, Path] = {}
    for entry in sorted(store.entries(), key=lambda stored: stored.timeframe.duration, reverse=True):
        duration = entry.timeframe.duration
        if entry.symbol.text in settings.trading.symbols and duration < length and not length % duration:
            paths[entry.symbol] = entry.path
    if not paths:
        raise ConfigurationError(
            f"--finer store: {store.root} has no bars finer than {settings.trading.timeframe} of these symbols: "
            "import some, or give --finer SYMBOL=FILE"
        )
    return paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where forecasts come from.

    ahead       for how many bars it is best asked at once
    fresh       makes one that has been asked nothing, in a process of its own where it could keep anything
    another     makes one of the same kind in another process; None where a second one would be too much
    learned_to  as forecasters.options.Checkpoint
    rounding    how far a forecast may differ with the size of its batch; None: not at all
    key         what its forecasts hang on, where they are stored
    """

    forecaster: Forecaster
    ahead: int
    fresh: Callable[[], Forecaster]
    another: Callable[[], Forecaster] | None = None
    learned_to: Learned = field(default_factory=lambda: UNKNOWN)
    rounding: Tolerance | None = None
    key: Mapping[str, object] = field(default_factory=dict)


def open_forecaster(settings: Settings, stack: ExitStack, say: Callable[[str], None]) -> Source:
    """Closed with `stack`. Raises ConfigurationError.

    A model runs in its worker, and its forecasts are kept in the store for the next run; the baseline runs here: to
    make its forecasts anew takes no longer than to read them.
    """
    name, options = settings.trading.backend, backend_options(settings)
    check_backend(settings)
    if name in IN_PROCESS:
        make = partial(build, name, options)
        forecaster = make()
        stack.callback(forecaster.close)
        another = make if (os.cpu_count() or 1) > 1 else None
        return Source(forecaster=forecaster, ahead=AHEAD, fresh=make, another=another, learned_to={})
    return _kept(settings, stack, say)


def _kept(settings: Settings, stack: ExitStack, say: Callable[[str], None]) -> Source:
    from trader.research.forecasts.arms import Described, not_stored, worker_settings
    from trader.research.forecasts.key import known_backend
    from trader.research.forecasts.store import StoredForecaster, forecasts_of

    name = settings.trading.backend
    try:
        known = known_backend(name, backend_options(settings), sandbox=sandbox_of(settings))
    except ForecastError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if known.unkept:
        say(not_stored(name, known))
    worker = open_backend(with_trading(settings, forecast_deadline_s=BATCH_DEADLINE_S), say)
    stored = StoredForecaster(worker, forecasts_of(settings).shelf(known.key))
    stack.callback(stored.close)
    backend = Described(name=name, known=known, settings=worker_settings(name, backend_options(settings), settings))
    return Source(
        forecaster=stored,
        ahead=AHEAD_OF_MODELS,
        fresh=partial(backend.fresh, say),
        learned_to=known.learned_to,
        rounding=known.rounding,
        key=asdict(known.key),
    )
