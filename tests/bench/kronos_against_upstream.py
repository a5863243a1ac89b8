"""Kronos against the original, in one run, on the same random weights: seconds, ratio, and whether the tokens agree.

    git clone https://github.com/shiyu-coder/Kronos /tmp/upstream
    python -m tests.bench.kronos_against_upstream --upstream /tmp/upstream --size small --samples 1 10 30

Runs are interleaved, medians of five. The original at many samples takes minutes: --steps runs only its first steps and
extrapolates their slope, which flatters it, since later steps are longer. Needs the original's einops to be installed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forecasters.kronos import load_kronos
from tests.forecasters.support import bars, hours
from tests.golden.rebuild import golden_config, weights
from tests.kronos.checkpoints import save

SIZES = {
    "mini": {"n_layers": 4, "d_model": 256, "n_heads": 4, "ff_dim": 512},
    "small": {"n_layers": 8, "d_model": 512, "n_heads": 8, "ff_dim": 1024},
    "base": {"n_layers": 12, "d_model": 832, "n_heads": 16, "ff_dim": 2048},
}
CONTEXT, HORIZON, SEED = 400, 24, 1


def make(folder: Path, size: str) -> dict[str, Any]:
    config = golden_config("mini")
    config["network"] |= SIZES[size]
    for part in ("tokenizer", "network"):
        save(folder / part, config[part], weights(part, config[part], 21))
    return config


def upstream(source: Path, folder: Path, config: dict[str, Any], values: np.ndarray, times: np.ndarray) -> Any:
    """A function of samples and steps that runs the original's own predictor."""
    sys.path.insert(0, str(source))
    import pandas as pd
    from model import Kronos, KronosPredictor, KronosTokenizer  # type: ignore[import-not-found]
    from safetensors.torch import load_file

    tokenizer, network = KronosTokenizer(**config["tokenizer"]).eval(), Kronos(**config["network"]).eval()
    for part, model in (("tokenizer", tokenizer), ("network", network)):
        model.load_state_dict(load_file(folder / part / "model.safetensors"), strict=False)
    predictor = KronosPredictor(network, tokenizer, device="cpu", max_context=512)
    frame = pd.DataFrame(values, columns=["open", "high", "low", "close", "volume", "amount"])
    stamps = pd.Series(pd.to_datetime(times))

    def predict(samples: int, steps: int) -> np.ndarray:
        torch.manual_seed(SEED)
        found: np.ndarray = predictor.predict(
            frame,
            stamps[:CONTEXT],
            stamps[CONTEXT : CONTEXT + steps],
            steps,
            T=1.0,
            top_k=0,
            top_p=0.9,
            sample_count=samples,
            verbose=False,
        ).to_numpy()
        return found

    return predict


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, help="a checkout of the original; without it only ours is timed")
    parser.add_argument("--size", choices=SIZES, default="mini")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--steps", type=int, default=HORIZON, help="of the original, extrapolated to the horizon")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    values, times = bars(CONTEXT).astype(np.float32), hours(CONTEXT + HORIZON)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = make(folder, options.size)
        eager = load_kronos(folder, dtype=options.dtype)
        ours = {"eager": eager}
        if options.compile:
            ours["compiled"] = load_kronos(folder, compile=True, dtype=options.dtype)
        theirs = upstream(options.upstream, folder, config, values, times) if options.upstream else None
    for samples in options.samples:

        def run(kronos: Any, steps: int = HORIZON, samples: int = samples) -> np.ndarray:
            future = times[CONTEXT : CONTEXT + steps]
            found: np.ndarray = kronos.generate(values, times[:CONTEXT], future, samples=samples, seed=SEED)
            return found

        first = {way: seconds(lambda kronos=kronos: run(kronos)) for way, kronos in ours.items()}
        taken: dict[str, list[float]] = {way: [] for way in [*ours, *(["original"] if theirs else [])]}
        for _ in range(options.repeats):
            for way, kronos in ours.items():
                taken[way].append(seconds(lambda kronos=kronos: run(kronos)))
            if theirs:
                slope = seconds(lambda samples=samples: theirs(samples, options.steps)) / options.steps
                taken["original"].append(slope * HORIZON)
        line: dict[str, Any] = {"size": options.size, "samples": samples, "dtype": options.dtype}
        line |= {way: round(statistics.median(each), 4) for way, each in taken.items()}
        line |= {f"{way} first": round(each, 2) for way, each in first.items()}
        if theirs:
            line |= {f"{way} x": round(line["original"] / line[way], 1) for way in ours}
            mean = run(eager, options.steps).mean(axis=0)
            spread = values.std(axis=0)
            line["largest difference, standard deviations"] = float(
                (np.abs(mean - theirs(samples, options.steps)) / spread).max()
            )
        print(json.dumps(line | {"threads": options.threads, "machine": platform.processor() or platform.machine()}))


if __name__ == "__main__":
    main()
