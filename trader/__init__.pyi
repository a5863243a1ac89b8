from trader.library import backtest as backtest
from trader.library import compare as compare
from trader.library import evaluate as evaluate
from trader.library import forecast as forecast
from trader.library import load_settings as load_settings
from trader.library import read_journal as read_journal

__all__ = ["backtest", "compare", "evaluate", "forecast", "load_settings", "read_journal"]
