"""Writes a seeded market of hourly bars, to try things on where there are no real ones: `python make_bars.py FILE`."""

from __future__ import annotations

import sys

import pandas as pd

from forecasters.contract import made_bars


def main(path: str, count: int = 1200) -> None:
    columns = ["open", "high", "low", "close", "volume", "amount"]
    table = pd.DataFrame(made_bars(count, seed=21, last_close=60_000.0), columns=columns)
    times = pd.date_range("2024-01-01", periods=count, freq="h", tz="UTC")
    table.insert(0, "time", times)
    table.drop(columns="amount").to_csv(path, index=False)
    print(f"{path}: {count} bars from {times[0]:%Y-%m-%d} on; a random walk, so that nobody can forecast it")


if __name__ == "__main__":
    main(sys.argv[1])
