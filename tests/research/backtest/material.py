"""Small markets on the disk, and backtests over them, for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from forecasters import registry
from forecasters.base import Forecaster
from settings.load import load
from settings.schema import Settings
from trader.core.decision import DecisionInputs, Plan
from trader.core.types import Symbol, Timeframe
from trader.exchange.market.generator import Generator
from trader.exchange.market.sessions import Sessions
from trader.research.backtest.simulate import Recording, Setup, market_options, simulate
from trader.strategies import names

START = datetime(2024, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def bars_of(symbol: str, count: int, seed: int = 3, timeframe: str = "1Hour") -> pd.DataFrame:
    """`count` bars of a generated market, from START on."""
    generator = Generator(
        Symbol(symbol),
        Timeframe.parse(timeframe),
        seed=seed,
        origin_us=int(START.timestamp() * 1e6),
        spread_bps=20.0,
        sessions=Sessions(),
    )
    parts, have = [], 0
    while have < count:
        parts.append(generator.next_chunk())
        have += len(parts[-1])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])[:count]
        for name in ("open", "high", "low", "close", "volume")
    }
    times = np.concatenate([part.times for part in parts])[:count]
    return pd.DataFrame({"timestamp": pd.to_datetime(times, unit="us", utc=True), **columns})


def written(bars: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    bars.to_parquet(path)
    return path


def settings_for(files: dict[str, Path], state: Path, **flags: object) -> Settings:
    """A simulation over these files, with nothing of the settings of whoever runs the tests."""
    given = {
        "trading_mode": "sim",
        "sim__bars": tuple(f"{symbol}={path}" for symbol, path in files.items()),
        "symbols": ",".join(files),
        "state_dir": str(state),
        "context": 60,
        **flags,
    }
    return load(given, environ={}, folder=state, strategies=names()).settings


def baseline() -> Forecaster:
    return registry.build("baseline", {"samples": 64})


class Decisions:
    """Everything that was decided, by cycle."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.inputs: dict[str, DecisionInputs] = {}

    def __call__(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        self.plans[cycle_id] = plan
        self.inputs[cycle_id] = inputs


def run(settings: Settings, *, cycles: int | None = None, ahead: int = 16) -> tuple[Recording, Decisions]:
    decisions = Decisions()
    setup = Setup(settings=settings, market=market_options(settings), cycles=cycles, ahead=ahead)
    return simulate(setup, baseline(), on_plan=decisions), decisions
