"""Evidence: stored bars and forecasts, evaluation, backtest and comparison, on the code that trades."""
