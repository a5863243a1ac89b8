"""Run by a Python that has the published packages (toto-ts for 1.0, toto-2 for 2.0): it imports nothing of ours.

One JSON request a line on stdin, one JSON answer a line on stdout.

    {"do": "load", "folder": ..., "generation": 1 or 2, "compile": bool, "threads": N}
    {"do": "forecast", "inputs": NPZ, "horizon": H, "repeats": N, ...}
    {"do": "memory"}

inputs    series [V, T] float32, mask [V, T] bool, groups [V] int64
samples   1.0: paths, all at once; null is the mean       seed   of torch's own generator
block     2.0: steps decoded at once; null is one pass    limits 2.0: with the guards of its GluonTS wrapper
outputs   an NPZ to write: `found`, [S, V, H], [V, H] or [9, V, H]
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

Request = dict[str, Any]


def main() -> None:
    """Until stdin ends."""
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # the packages print
    model: Any = None
    for line in sys.stdin:
        request: Request = json.loads(line)
        if request["do"] == "load":
            model = _First(request) if request["generation"] == 1 else _Second(request)
            answer: Request = {"loaded": True}
        else:
            answer = _timed(model, request) if request["do"] == "forecast" else {}
        print(json.dumps(answer | memory()), file=answers, flush=True)


def _timed(model: Any, request: Request) -> Request:
    with np.load(request["inputs"]) as arrays:
        series, mask, groups = (torch.from_numpy(arrays[name]) for name in ("series", "mask", "groups"))
    seconds, answer = [], None
    for _ in range(request.get("repeats", 1)):
        torch.manual_seed(request.get("seed") or 0)
        started = time.perf_counter()
        answer = model.forecast(series, mask, groups, request)
        seconds.append(time.perf_counter() - started)
    if request.get("outputs"):
        assert answer is not None
        np.savez(request["outputs"], found=answer.numpy())
    return {"seconds": seconds}


class _First:
    def __init__(self, request: Request) -> None:
        torch.set_num_threads(request.get("threads") or 1)
        toto = importlib.import_module("toto.model.toto").Toto.load_from_checkpoint(request["folder"])
        if request.get("compile"):
            toto.model.compile()  # not toto.compile(), which its README has: that wraps a call that nobody makes
        self._forecaster = importlib.import_module("toto.inference.forecaster").TotoForecaster(toto.model)
        self._inputs = importlib.import_module("toto.data.util.dataset").MaskedTimeseries

    def forecast(
        self, series: torch.Tensor, mask: torch.Tensor, groups: torch.Tensor, request: Request
    ) -> torch.Tensor:
        inputs = self._inputs(
            series=series,
            padding_mask=mask,
            id_mask=groups[:, None].expand(series.shape).contiguous(),
            timestamp_seconds=torch.zeros(series.shape, dtype=torch.int64),
            time_interval_seconds=torch.full((len(series),), 3600),
        )
        samples = request.get("samples")
        found = self._forecaster.forecast(
            inputs, request["horizon"], num_samples=samples, samples_per_batch=request.get("at_once") or samples or 1
        )
        if samples is None:
            mean: torch.Tensor = found.mean[0]
            return mean
        paths: torch.Tensor = found.samples[0].permute(2, 0, 1).contiguous()  # [S, V, H]
        return paths


class _Second:
    def __init__(self, request: Request) -> None:
        torch.set_num_threads(request.get("threads") or 1)
        package = importlib.import_module("toto2")
        config = importlib.import_module("toto2.configuration").Toto2ModelConfig
        raw = json.loads((Path(request["folder"]) / "config.json").read_text())
        known = {name: value for name, value in raw.items() if name in config.__dataclass_fields__}
        self._model = package.Toto2Model(config(**known))
        weights = importlib.import_module("safetensors.torch").load_file(Path(request["folder"]) / "model.safetensors")
        self._model.load_state_dict(weights)
        self._model.eval()
        self._compile = bool(request.get("compile"))

    def forecast(
        self, series: torch.Tensor, mask: torch.Tensor, groups: torch.Tensor, request: Request
    ) -> torch.Tensor:
        short = -series.shape[1] % self._model.config.patch_size  # it takes whole patches only
        series, mask = (torch.nn.functional.pad(tensor, (short, 0)) for tensor in (series, mask))
        inputs = {"target": series[None], "target_mask": mask[None], "series_ids": groups[None]}
        limits = {"scaler_fallback_min_obs": 8, "quantile_real_cap_k": 1e4} if request.get("limits") else {}
        options = {"decode_block_size": request.get("block"), "has_missing_values": True} | limits

        def once() -> torch.Tensor:
            quantiles: torch.Tensor = self._model.forecast(dict(inputs), request["horizon"], **options)
            return quantiles[:, 0]

        if self._compile:
            once()  # its cached properties can't be traced the first time
            self._model.transformer.compile()
            self._compile = False
        return once()


def memory() -> dict[str, float]:
    """MB: the most so far, and now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "now_mb": pages * resource.getpagesize() / 2**20,
    }


if __name__ == "__main__":
    main()
