"""Ask the original Kronos, from a checkout of it, what it predicts with seeded weights, and write it beside this file.

    pip install einops
    python -m tests.golden.make_kronos --upstream CHECKOUT

kronos-tables.npz:
    seeds       [N]           of the tokenizer's weights; the network's use the next one
    frame       [T, 6]        float64, bars as a data frame has them: one-minute bars of a share, prices in cents
    times       [T]           datetime64[ns]
    after_512   [N, 8, 6]     what `KronosPredictor.predict` says after the first 512 of them, greedily
    after_256   [N, 8, 6]     likewise
    bare        [N, 8, 6]     after the first 256, of a frame without an amount
    plain       [N, 8, 6]     after the first 256, of a frame without volume and amount
    tokens      [W, 2, 400]   of windows of 400 bars, `SHIFT` apart, by the first of the tokenizers
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from forecasters.contract import made_bars
from forecasters.kronos.bench.original import Original
from forecasters.kronos.verify import COLUMNS
from tests.forecasters.kronos.checkpoints import make_seeded

FILE = Path(__file__).parent / "kronos-tables.npz"
SEEDS = tuple(range(20, 32))
STEPS, MOST_CONTEXT = 8, 512
WINDOW, SHIFT, WINDOWS = 400, 5, 25
PRICE, VOLATILITY = 230.0, 4e-4


def share_minutes(count: int) -> pd.DataFrame:
    bars = made_bars(count, seed=3, last_close=PRICE, volatility=VOLATILITY)
    frame = pd.DataFrame(bars, columns=COLUMNS)
    frame[COLUMNS[:4]] = frame[COLUMNS[:4]].round(2)
    frame["volume"] = (frame["volume"] * 1000).round()
    frame["amount"] = (frame["volume"] * frame["close"]).round(2)
    frame.insert(0, "timestamps", pd.date_range("2024-03-04 14:30", periods=count, freq="min"))
    return frame


def predicted(original: Original, frame: pd.DataFrame, context: int, columns: list[str]) -> np.ndarray:
    with torch.no_grad():
        found = original.predictor.predict(
            df=frame[columns].iloc[:context].reset_index(drop=True),
            x_timestamp=frame["timestamps"].iloc[:context].reset_index(drop=True),
            y_timestamp=frame["timestamps"].iloc[context : context + STEPS].reset_index(drop=True),
            pred_len=STEPS,
            T=1.0,
            top_k=1,
            top_p=1.0,
            sample_count=1,
            verbose=False,
        )
    return found[COLUMNS].to_numpy(dtype=np.float32)


def tokens(original: Original, frame: pd.DataFrame) -> np.ndarray:
    """[W, 2, WINDOW], from numbers that are standardised in the predictor's own words."""
    predictor = original.predictor
    kept: list[np.ndarray] = []

    def keep(x: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
        kept.append(x)
        return np.zeros((1, 1, 6), dtype=np.float32)

    predictor.generate = keep
    try:
        for number in range(WINDOWS):
            window = frame.iloc[number * SHIFT : number * SHIFT + WINDOW].reset_index(drop=True)
            stamps = window["timestamps"]
            predictor.predict(df=window[COLUMNS], x_timestamp=stamps, y_timestamp=stamps[:1], pred_len=1, verbose=False)
    finally:
        del predictor.generate
    with torch.no_grad():
        found = [predictor.tokenizer.encode(torch.from_numpy(np.array(each)), half=True) for each in kept]
    return np.array([[part[0].numpy() for part in each] for each in found], dtype=np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, required=True, help="a checkout of github.com/shiyu-coder/Kronos")
    options = parser.parse_args()
    frame = share_minutes(MOST_CONTEXT + STEPS)
    asked = {
        "after_512": (512, COLUMNS),
        "after_256": (256, COLUMNS),
        "bare": (256, COLUMNS[:5]),
        "plain": (256, COLUMNS[:4]),
    }
    found: dict[str, list[np.ndarray]] = {name: [] for name in asked}
    windows = None
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as name:
            folder = make_seeded(Path(name), seed)
            original = Original(options.upstream, folder, device="cpu", max_context=MOST_CONTEXT)
            for each, (context, columns) in asked.items():
                found[each].append(predicted(original, frame, context, columns))
            windows = tokens(original, frame) if windows is None else windows
    stored = {name: np.array(each) for name, each in found.items()}
    times = frame["timestamps"].to_numpy(dtype="datetime64[ns]")
    np.savez_compressed(
        FILE, seeds=np.array(SEEDS), frame=frame[COLUMNS].to_numpy(), times=times, tokens=windows, **stored
    )  # type: ignore[arg-type]
    print({name: each.shape for name, each in stored.items()})


if __name__ == "__main__":
    main()
