"""The published checkpoint against the original's own regression figures.

    python -m forecasters.kronos.verify --upstream CHECKOUT

The original's test runs Kronos-small at a pinned revision with top_k 1, which is greedy, over recorded bars that come
with it: eight steps from contexts of 512 and 256 bars, compared number by number with committed tables, and the mean
squared error of 30 steps at four places. A context of 512 slides from the second step on, so that only the strict
strategy can pass. Its data is not ours to copy: it is read from a checkout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecasters.base import ForecastError
from forecasters.kronos.features import Floats
from forecasters.kronos.files import CheckpointError
from forecasters.kronos.generate import Kronos
from forecasters.kronos.hub import locate
from forecasters.kronos.weights import load

MODEL = "NeoQuasar/Kronos-small@901c26c1332695a2a8f243eb2f37243a37bea320"
COLUMNS = ["open", "high", "low", "close", "volume", "amount"]
DATA = Path("tests") / "data"
INPUT = "regression_input.csv"
CONTEXTS = (512, 256)
TOLERANCE = 1e-5  # relative, of each number

ERRORS = {512: 0.008979, 256: 0.003741}  # mean squared, of the four prices
ERROR_TOLERANCE = 1e-6
ERROR_STEPS, ERROR_PLACES, ERROR_SEED = 30, 4, 123


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """found  how far it is off, `relative` or of the error; allowed  how far it may be"""

    name: str
    found: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.found <= self.allowed


def verify(kronos: Kronos, data: Path, errors: dict[int, float]) -> Iterator[Check]:
    """data  the folder with the recorded bars and the expected tables; errors  by context. Raises CheckpointError."""
    frame = _table(data / INPUT)
    for context in CONTEXTS:
        reference = _table(data / f"regression_output_{context}.csv")[COLUMNS].to_numpy(dtype=np.float32)
        paths = _greedy(kronos, frame, context, context, len(reference))
        off = np.abs(paths - reference) / np.maximum(np.abs(reference), np.finfo(np.float32).tiny)
        yield Check(name=f"context {context}, {len(reference)} steps", found=float(off.max()), allowed=TOLERANCE)
    for context, error in errors.items():
        off_by = abs(mean_squared_error(kronos, frame, context) - error)
        name = f"context {context}, error of {ERROR_STEPS} steps at {ERROR_PLACES} places"
        yield Check(name=name, found=off_by, allowed=ERROR_TOLERANCE)


def mean_squared_error(kronos: Kronos, frame: pd.DataFrame, context: int) -> float:
    """Over the places that the original's test draws."""
    places = frame.iloc[context : len(frame) - ERROR_STEPS].sample(n=ERROR_PLACES, random_state=ERROR_SEED).sort_index()
    errors = []
    for place in places.index:
        found = _greedy(kronos, frame, int(place), context, ERROR_STEPS)[:, :4]
        actual = frame[COLUMNS[:4]].iloc[place : place + ERROR_STEPS].to_numpy(dtype=np.float32)
        errors.append(float(np.mean((found - actual) ** 2)))
    return float(np.mean(errors))


def _greedy(kronos: Kronos, frame: pd.DataFrame, place: int, context: int, steps: int) -> Floats:
    """[steps, 6] after the `context` bars before `place`."""
    bars = frame[COLUMNS].iloc[place - context : place].to_numpy(dtype=np.float32)
    times = frame["timestamps"].to_numpy(dtype="datetime64[ns]")
    past, future = times[place - context : place], times[place : place + steps]
    paths = kronos.generate(bars, past, future, samples=1, greedy=True, strategy="strict")
    return np.asarray(paths[0])


def _table(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, parse_dates=["timestamps"])
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} can't be read ({error}): give a whole checkout of github.com/shiyu-coder/Kronos"
        ) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, required=True)
    parser.add_argument("--model", default=MODEL)
    options = parser.parse_args()
    try:
        kronos = Kronos(load(locate(options.model)))
        # another model has tables of its own in its folder, but the errors are those of the published one
        errors = ERRORS if options.model == MODEL else {}
        checks = []
        for check in verify(kronos, options.upstream / DATA, errors):
            print(json.dumps(asdict(check) | {"passed": check.passed}), flush=True)
            checks.append(check)
    except ForecastError as error:
        sys.exit(str(error))
    sys.exit(0 if all(check.passed for check in checks) else 1)


if __name__ == "__main__":
    main()
