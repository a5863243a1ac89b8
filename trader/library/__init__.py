"""The program as a library: what `import trader` gives. docs/library.md is its manual.

These functions, their arguments, the columns of their frames and the fields of their results stay as they are, or the
changelog says so. Nothing else of the three packages is promised to be stable.
"""

from trader.library.forecasts import OneForecast, forecast
from trader.library.journal import JournalFrames, read_journal
from trader.library.research import BacktestRun, CompareRun, EvaluationRun, backtest, compare, evaluate
from trader.library.settings import load_settings

__all__ = [
    "BacktestRun",
    "CompareRun",
    "EvaluationRun",
    "JournalFrames",
    "OneForecast",
    "backtest",
    "compare",
    "evaluate",
    "forecast",
    "load_settings",
    "read_journal",
]
