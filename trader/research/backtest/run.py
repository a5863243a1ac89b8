"""A backtest from what is wished for to what it came to: its bars and forecasts found, run, kept if that is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from settings.load import Loaded
from trader.core.types import Symbol
from trader.research.backtest.backtest import Backtest, Progress, Request, run_backtest
from trader.research.backtest.run_folder import save
from trader.research.backtest.sources import finer_in_store, open_forecaster, settled
from trader.research.backtest.walkforward import Walk, with_params


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for besides the settings; see `trader backtest --help`.

    finer      bar files of finer bars, by symbol; None: those in the store
    generated  on a generated market, where no files are given
    out        the folder that the run is written into
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


def backtested(
    loaded: Loaded,
    wish: Wish,
    *,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda line: None,
    one_process: bool = False,
) -> Backtest:
    """Raises ConfigurationError.

    one_process  the optimistic run waits for its turn: another process would run the caller's own script again
    """
    settings = with_params(settled(loaded, generated=wish.generated), wish.params)
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
        another = None if one_process else source.another
        backtest = run_backtest(request, source.forecaster, another=another, progress=progress, say=say)
    if wish.out is not None:
        save(wish.out, backtest.result, backtest.kept)
        say(f"written to {wish.out}")
    return backtest
