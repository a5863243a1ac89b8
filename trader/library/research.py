"""backtest, evaluate and compare: the commands' own code, with frames for what they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from trader.core.types import Symbol
from trader.daemon.forecaster import check_options
from trader.errors import ConfigurationError
from trader.library.frames import Bars, as_files, frame_of
from trader.library.settings import NONE, Changes, load_settings
from trader.research.backtest.result import BacktestResult
from trader.research.backtest.run import Wish as BacktestWish
from trader.research.backtest.run import backtested
from trader.research.backtest.run_folder import tables_of
from trader.research.compare.compare import Comparison, RivalResult
from trader.research.compare.run import Wish as CompareWish
from trader.research.compare.run import compared
from trader.research.evaluate.evaluate import Evaluation
from trader.research.evaluate.run import Wish as EvaluateWish
from trader.research.evaluate.run import evaluated
from trader.research.evaluate.view import skill

Say = Callable[[str], None]
Moment = datetime | str


def _silent(line: str) -> None:
    """What the commands say on standard error is for whoever asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestRun:
    """`result` has the figures; the frames are those of a run's folder (docs/library.md has their columns)."""

    result: BacktestResult
    equity: pd.DataFrame
    executions: pd.DataFrame
    orders: pd.DataFrame
    trades: pd.DataFrame
    forecasts: pd.DataFrame
    bars: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationRun:
    """`scores`: one row a backend and symbol. `against`: paired differences of the close's score; less is better."""

    evaluation: Evaluation
    scores: pd.DataFrame
    against: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompareRun:
    """`outcome` is COMPILED, EAGER or INCONCLUSIVE, `reasons` say why; `arms` has one row an arm."""

    comparison: Comparison
    outcome: str
    reasons: tuple[str, ...]
    arms: pd.DataFrame
    evidence: Path


def backtest(
    changes: Changes = NONE,
    *,
    data: Mapping[str, Bars] | None = None,
    generated: bool = False,
    params: Mapping[str, object] | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    cycles: int | None = None,
    bounds: bool = True,
    out: Path | None = None,
    in_sample: bool = False,
    say: Say = _silent,
) -> BacktestRun:
    """The daemon's own code over bars, as `trader backtest`.

    changes        settings, as for `load_settings`
    data           by symbol a file or a frame; None: what is stored, or a generated market
    params         of the strategy
    start, end     of the run, a time or an ISO text, UTC where they have no zone; earlier bars are context
    bounds         also the optimistic order of each bar's extremes
    out            a folder for `trader report`
    in_sample      also on bars that the backend has learned; the result says so
    Raises ConfigurationError.
    """
    first, last = _utc("start", start), _utc("end", end)
    if first is not None and last is not None and first >= last:
        raise ConfigurationError(f"start {start} is not before end {end}")
    with ExitStack() as stack:
        flags = {**changes, "trading_mode": "sim", **_bars(stack, data)}
        if first is not None:
            flags["sim__start"] = first.isoformat()
        wish = BacktestWish(
            params={name: str(value) for name, value in (params or {}).items()},
            end=last,
            cycles=cycles,
            generated=generated,
            bounds=bounds,
            out=out,
            in_sample=in_sample,
        )
        run = backtested(load_settings(flags), wish, say=say, one_process=True)
    frames = {name: table.to_pandas() for name, table in tables_of(run.kept).items()}
    return BacktestRun(result=run.result, **frames)


def evaluate(
    backends: Sequence[str],
    changes: Changes = NONE,
    *,
    data: Mapping[str, Bars] | None = None,
    origins: int = 200,
    start: Moment | None = None,
    end: Moment | None = None,
    batch: int = 64,
    in_sample: bool = False,
    say: Say = _silent,
) -> EvaluationRun:
    """Backends at the same rolling origins against a random walk, as `trader evaluate`; their speed is not measured.

    data        by symbol a file or a frame; None: what is stored
    start, end  of the origins, as for `backtest`
    in_sample   also at origins that a backend has learned; its scores are marked
    Raises ConfigurationError.
    """
    with ExitStack() as stack:
        files = stack.enter_context(as_files(data or {}))
        wish = EvaluateWish(
            backends=tuple(backends),
            symbols=None if data is None else ",".join(data),
            files=files,
            origins=origins,
            start=_utc("start", start),
            end=_utc("end", end),
            batch=batch,
            timing=False,
            in_sample=in_sample,
        )
        check_options(load_settings(changes).settings)
        evaluation = evaluated(wish, lambda flags: load_settings({**changes, **flags}), say=say)
    return EvaluationRun(evaluation=evaluation, scores=_scores(evaluation), against=_against(evaluation))


def compare(
    reference: str,
    candidate: str,
    changes: Changes = NONE,
    *,
    data: Mapping[str, Bars] | None = None,
    cycles: int = 200,
    in_sample: bool = False,
    say: Say = _silent,
) -> CompareRun:
    """Should a model be compiled? As `trader compare`; without data on a generated market. The evidence is kept.

    in_sample  also on bars that an arm has learned; the comparison says so

    Raises ConfigurationError.
    """
    with ExitStack() as stack:
        flags = {**changes, "trading_mode": "sim", **_bars(stack, data)}
        wish = CompareWish(
            reference=reference,
            candidate=candidate,
            flags=flags,
            cycles=cycles,
            generated=data is None,
            in_sample=in_sample,
        )
        run = compared(wish, load_settings, say=say)
    comparison = run.comparison
    arms = frame_of(RivalResult, [comparison.reference, comparison.candidate], without=("report", "mae", "crps"))
    verdict = comparison.verdict
    return CompareRun(
        comparison=comparison, outcome=verdict.outcome, reasons=tuple(verdict.reasons), arms=arms, evidence=run.evidence
    )


def _bars(stack: ExitStack, data: Mapping[str, Bars] | None) -> dict[str, object]:
    """As settings. The symbols are those of the data."""
    if data is None:
        return {}
    if not data:
        raise ConfigurationError("data names no symbol; right: for example {'BTC/USD': 'bars.parquet'}")
    return {"sim__bars": stack.enter_context(as_files(data)), "symbols": ",".join(Symbol(s).text for s in data)}


def _utc(name: str, moment: Moment | None) -> datetime | None:
    """Raises ConfigurationError where it is neither a time nor the text of one."""
    if moment is None:
        return None
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, AttributeError):
        raise ConfigurationError(
            f"{name}={moment!r}; right: a datetime, a pandas Timestamp or a text such as '2024-06-01T12:00Z'"
        ) from None


def _scores(evaluation: Evaluation) -> pd.DataFrame:
    rows = [
        {
            "backend": figures.arm,
            "symbol": figures.symbol.text,
            "origins": figures.count,
            "in_sample": evaluation.shown(figures.arm) != figures.arm,
            **{f"mae_{name}": value for name, value in figures.mae.items()},
            **{f"mase_{name}": value for name, value in figures.mase.items()},
            **{f"crps_{name}": value for name, value in figures.score.items()},
            "skill": skill(evaluation, figures),
            **{f"coverage_{name}": share.value for name, share in figures.coverage.items()},
            "direction": figures.hits.value,
        }
        for figures in evaluation.figures
    ]
    return pd.DataFrame(rows)


def _against(evaluation: Evaluation) -> pd.DataFrame:
    columns = ["backend", "other", "symbol", "difference", "low", "high", "p_value", "verdict"]
    rows = [
        (
            pair.arm,
            pair.other,
            pair.symbol.text if pair.symbol else "all",
            pair.difference.mean,
            pair.difference.interval.low,
            pair.difference.interval.high,
            pair.difference.p_value,
            pair.difference.verdict,
        )
        for pair in evaluation.against
    ]
    return pd.DataFrame(rows, columns=columns)
