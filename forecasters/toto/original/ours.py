"""Our own model behind the worker's protocol, so that both sides are measured alike.

Beyond the worker's requests:

    {"do": "load", ..., "bars": T, "horizons": [H], "variates": [V]}       the buckets that are prepared
    {"do": "many", "forecasts": N, "bars": T, "horizon": H, "most": V, "samples": S}    sizes that change all the time
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch

from forecasters.toto.buckets import Buckets
from forecasters.toto.loading import load_toto
from forecasters.toto.original.worker import Request, memory
from forecasters.toto.toto1.model import Toto1
from forecasters.toto.toto2.model import Toto2

_SETTLED = 0.2  # of many forecasts: after so many of them, what is kept for good has been made


def main() -> None:
    """Until stdin ends."""
    model: Toto1 | Toto2 | None = None
    for line in sys.stdin:
        request: Request = json.loads(line)
        if request["do"] == "load":
            model, answer = _loaded(request), {"loaded": True}
        else:
            assert model is not None
            does = {"many": _many, "forecast": _timed}.get(request["do"])
            answer = does(model, request) if does is not None else {}
        print(json.dumps(answer | memory()), flush=True)


def _loaded(request: Request) -> Toto1 | Toto2:
    torch.set_num_threads(request["threads"])
    patch = 64 if request["generation"] == 1 else 32
    sizes = Buckets(
        context=(-(-request["bars"] // patch),),
        ahead=tuple(sorted({-(-horizon // patch) for horizon in request["horizons"]})),
        variates=tuple(sorted(request["variates"])),
    )
    compiled = request["compile"]
    buckets = sizes if compiled else None
    model = load_toto(request["folder"], compiled, buckets=buckets, dtype=request["dtype"])
    assert isinstance(model, (Toto1, Toto2))
    return model


def _timed(model: Toto1 | Toto2, request: Request) -> Request:
    with np.load(request["inputs"]) as arrays:
        series, mask, groups = (arrays[name] for name in ("series", "mask", "groups"))
    seconds, answer = [], None
    for _ in range(request.get("repeats", 1)):
        started = time.perf_counter()
        answer = _asked(model, series, mask, groups.tolist(), request)
        seconds.append(time.perf_counter() - started)
    if request.get("outputs"):
        assert answer is not None
        np.savez(request["outputs"], found=answer)
    return {"seconds": seconds}


def _asked(model: Toto1 | Toto2, series: Any, mask: Any, groups: list[int], request: Request) -> Any:
    horizon, samples = request["horizon"], request.get("samples")
    if isinstance(model, Toto2):
        return model.quantiles(series, mask, horizon, groups=groups, decode_block_size=request.get("block"))
    if samples is None:
        return model.mean(series, mask, horizon, groups=groups)
    drawing = {"samples": samples, "seed": request.get("seed") or 0, "together": bool(request.get("together"))}
    return model.sample(series, mask, horizon, groups=groups, **drawing)


def _many(model: Toto1 | Toto2, request: Request) -> Request:
    random = np.random.default_rng(0)
    total, early = request["forecasts"], 0.0
    start = time.perf_counter()
    for number in range(total):
        steps, variates = int(random.integers(2, request["bars"] + 1)), int(random.integers(1, request["most"] + 1))
        series = random.standard_normal((variates, steps)).cumsum(axis=1).astype(np.float32)
        question = {"horizon": int(random.integers(1, request["horizon"] + 1)), "samples": request["samples"]}
        _asked(model, series, np.ones_like(series, dtype=np.bool_), [0] * variates, question)
        if number == int(total * _SETTLED):
            early = memory()["now_mb"]
    return {"early_mb": early, "took": time.perf_counter() - start, "counters": _counters()}


def _counters() -> dict[str, int]:
    """What torch's compiler counted in this process; nothing where it was never loaded, which takes 90 MB."""
    if "torch._dynamo" not in sys.modules:
        return {}
    from torch._dynamo.utils import counters

    return {
        "graphs": int(counters["stats"]["unique_graphs"]),
        "graph breaks": sum(counters["graph_break"].values()),
        "cudagraph skips": int(counters["inductor"]["cudagraph_skips"]),
    }


if __name__ == "__main__":
    main()
