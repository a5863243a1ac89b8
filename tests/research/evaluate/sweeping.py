"""A sweep that waits for a line before each batch: `python -m tests.research.evaluate.sweeping ROOT`.

It says `asked` when the backend has been called, and the number done after each batch that is on the disk.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from forecasters.types import Context, Forecast
from tests.research.evaluate.support import Counting, a_shelf, made_bars
from trader.research.data.windows import Window
from trader.research.forecasts.store import StoredForecaster
from trader.research.forecasts.sweep import Progress, sweep

WINDOW = Window(context=40, horizon=3)
ORIGINS = tuple(range(50, 250, 5))
BATCH = 8


class Stepped(Counting):
    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        print("asked", flush=True)
        if not sys.stdin.readline():
            raise SystemExit("nobody waits any more")
        return super().forecast(contexts)


def told(progress: Progress) -> None:
    print(progress.done, flush=True)


def main(root: Path) -> None:
    bars = made_bars()
    stored = StoredForecaster(Stepped(), a_shelf(root))
    for _ in sweep(stored, [bars], {bars.symbol: ORIGINS}, WINDOW, batch=BATCH, listener=told):
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
