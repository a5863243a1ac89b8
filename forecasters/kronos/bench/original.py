"""The original, from a checkout of it, on the same weights: github.com/shiyu-coder/Kronos."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from forecasters.kronos.bench.cells import CONTEXT, HORIZON, SEED, Floats, Market
from forecasters.kronos.files import CONFIG, WEIGHTS, CheckpointError

COLUMNS = ["open", "high", "low", "close", "volume", "amount"]
FIRST, LATER = 1, 3  # steps of the two runs that a slow cell is extrapolated from


class Original:
    def __init__(self, checkout: Path, folder: Path, *, device: str, max_context: int) -> None:
        """`folder` holds network/ and tokenizer/. Raises CheckpointError where the checkout can't be imported."""
        module = _imported(checkout)
        tokenizer = _filled(module.KronosTokenizer, folder / "tokenizer")
        network = _filled(module.Kronos, folder / "network")
        self.predictor = module.KronosPredictor(network, tokenizer, device=device, max_context=max_context)

    def mean_paths(self, market: Market, *, samples: int, steps: int) -> list[Floats]:
        """[steps, 6] of each series: it averages its samples away."""
        torch.manual_seed(SEED)
        frames = [pd.DataFrame(bars, columns=COLUMNS) for bars in market.bars]
        stamps = pd.Series(pd.to_datetime(market.times))
        past, future = stamps[:CONTEXT], stamps[CONTEXT : CONTEXT + steps]
        options: dict[str, Any] = {"T": 1.0, "top_k": 0, "top_p": 0.9, "sample_count": samples, "verbose": False}
        count = len(frames)
        means = self.predictor.predict_batch(frames, [past] * count, [future] * count, steps, **options)
        return [frame.to_numpy().astype(np.float32) for frame in means]

    def seconds(self, timer: Callable[[Callable[[], object]], float], panel: Market, samples: int, steps: int) -> float:
        """A whole horizon's: measured, or from the slope of its first steps, which flatters it: later ones are longer.

        steps  HORIZON, or LATER to extrapolate
        """
        last = timer(lambda: self.mean_paths(panel, samples=samples, steps=steps))
        if steps == HORIZON:
            return last
        first = timer(lambda: self.mean_paths(panel, samples=samples, steps=FIRST))
        return first + (HORIZON - FIRST) * (last - first) / (steps - FIRST)


def _imported(checkout: Path) -> Any:
    """Its package is called `model`, and lies at the top of the checkout."""
    if not (checkout / "model" / "kronos.py").is_file():
        raise CheckpointError(f"{checkout} holds no model/kronos.py: give a checkout of github.com/shiyu-coder/Kronos")
    sys.path.insert(0, str(checkout))
    try:
        return importlib.import_module("model")
    except ImportError as error:
        raise CheckpointError(
            f"the original can't be imported ({error}): install what its requirements.txt names, einops above all"
        ) from error


def _filled(kind: Any, folder: Path) -> Any:
    from safetensors.torch import load_file

    config: Mapping[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    known = inspect.signature(kind.__init__).parameters
    model = kind(**{name: value for name, value in config.items() if name in known}).eval()
    model.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    return model
