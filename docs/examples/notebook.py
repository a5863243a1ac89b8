"""The program as a library, cell by cell. Run it whole, or paste it into a notebook; it needs no key and no network.

It writes into STATE_DIR, as the commands do.
"""

# %% A market to look at: hourly bars in a frame. A file does as well.
import subprocess
import sys

import numpy as np
import pandas as pd

import trader

random = np.random.default_rng(1)
close = 60_000 * np.exp(np.cumsum(random.normal(0, 0.004, 1000)))
opened = np.concatenate([[60_000], close[:-1]])
bars = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=1000, freq="h", tz="UTC"),
        "open": opened,
        "high": np.maximum(opened, close) * 1.001,
        "low": np.minimum(opened, close) * 0.999,
        "close": close,
        "volume": 100.0,
    }
)

# %% The settings that a command would have here, with changes on top.
changes = {"context": 120, "horizon": 4, "strategy": "maxdiff"}
loaded = trader.load_settings(changes)
print(loaded.settings.trading.strategy, "from", loaded.origins["STRATEGY"])

# %% One forecast: a distribution of the next bars.
forecast = trader.forecast("BTC/USD", bars, changes)
median = forecast.quantiles.query("level == 0.5")
print(median[["time", "low", "close", "high"]].to_string(index=False))

# %% How good are such forecasts? At rolling origins, against a random walk.
evaluation = trader.evaluate(["baseline"], changes, data={"BTC/USD": bars}, origins=30)
print(evaluation.scores[["backend", "origins", "crps_close", "skill"]].to_string(index=False))
print(evaluation.against[["backend", "other", "difference", "low", "high", "verdict"]].to_string(index=False))

# %% What would a strategy have done with them?
run = trader.backtest(changes, data={"BTC/USD": bars}, params={"entry_quantile": 0.4}, cycles=60, bounds=False)
print(
    f"{run.result.figures.account.total_return:+.2%}, {len(run.trades)} trades, books sound: {not run.result.problems}"
)
print(run.equity.set_index("at")["equity"].describe())

# %% Two ways to forecast, asked in turns. For a model and its compiled form this says whether compiling pays.
comparison = trader.compare(
    "baseline", "baseline,OPTIONS__BASELINE__SAMPLES=64", changes, data={"BTC/USD": bars}, cycles=12
)
print(comparison.outcome, comparison.reasons)
print(comparison.arms[["name", "asked", "given", "median_s"]].to_string(index=False))

# %% What a daemon did: here three bars of the simulation, then its journal.
subprocess.run([sys.executable, "-m", "trader", "run", "--cycles", "3", "--speed", "max", "--plain"], check=True)
journal = trader.read_journal()
print(journal.cycles[["cycle_id", "outcome"]].to_string(index=False))
print(journal.equity.tail())
