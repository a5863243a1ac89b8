"""A backtest from what is wished for to what it came to: its bars and forecasts found, run, kept if that is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from forecasters.base import ForecastError
from settings.load import Loaded
from trader.core.types import Symbol
from trader.daemon.forecaster import backend_options
from trader.errors import ConfigurationError
from trader.research.backtest.backtest import Backtest, Progress, Request, begin_of, run_backtest
from trader.research.backtest.run_folder import save
from trader.research.backtest.sources import Source, finer_in_store, open_forecaster, settled
from trader.research.backtest.walkforward import Walk, with_params
from trader.research.forecasts.again import SHARE, Sample, Watched, ask_again, demand
from trader.research.forecasts.in_sample import Trained, trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for besides the settings; see `trader backtest --help`.

    finer      bar files of finer bars, by symbol; None: those in the store
    generated  on a generated market, where no files are given
    out        the folder that the run is written into
    again      the share of the forecasts that is asked again
    in_sample  whether bars that the backend has learned may be among those that it forecasts
    """

    params: Mapping[str, str] = field(default_factory=dict)
    walk: Walk | None = None
    finer: Mapping[Symbol, Path] | None = field(default_factory=dict)
    end: datetime | None = None
    cycles: int | None = None
    generated: bool = False
    bounds: bool = True
    ahead: int | None = None
    out: Path | None = None
    again: float = SHARE
    in_sample: bool = False


def backtested(
    loaded: Loaded,
    wish: Wish,
    *,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda line: None,
    one_process: bool = False,
) -> Backtest:
    """Raises ConfigurationError; also where the forecasts depend on what else was asked, or are of learned bars.

    one_process  the optimistic run waits for its turn: another process would run the caller's own script again
    """
    settings = with_params(settled(loaded, generated=wish.generated), wish.params)
    name, sample = settings.trading.backend, Sample(wish.again)
    with ExitStack() as stack:
        source = open_forecaster(settings, stack, say)
        request = Request(
            settings=settings,
            end=wish.end,
            cycles=wish.cycles,
            finer=finer_in_store(settings) if wish.finer is None else wish.finer,
            bounds=wish.bounds,
            walk=wish.walk,
            ahead=wish.ahead or source.ahead,
        )
        past = _trained(name, source, request)
        if not wish.in_sample:
            past.demand_unseen()
        another = None if one_process else source.another
        watched = Watched(source.forecaster, sample)
        backtest = run_backtest(request, watched, another=another, progress=progress, say=say)
    try:
        again = demand(name, ask_again(sample, source.fresh, source.rounding))
    except ForecastError as error:
        raise ConfigurationError(f"{name}: some forecasts could not be asked again: {error}") from error
    result = replace(
        backtest.result,
        trained=past.told,
        in_sample=past.in_sample,
        again=again,
        options=backend_options(settings),
        key=source.key,
    )
    backtest = replace(backtest, result=result)
    if wish.out is not None:
        save(wish.out, backtest.result, backtest.kept)
        say(f"written to {wish.out}")
    return backtest


def _trained(name: str, source: Source, request: Request) -> Trained:
    """How the run lies to what its backend has learned. Nobody has learned a market that was generated for it."""
    if not request.settings.sim.bars:
        return trained(name, {}, {})
    begin = begin_of(request) if any(source.learned_to.values()) else None  # the market is opened for it
    first = {} if begin is None else dict.fromkeys(request.settings.trading.symbols, begin)
    return trained(name, source.learned_to, first)
