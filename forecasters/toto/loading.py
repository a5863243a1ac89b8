"""A checkpoint's folder to a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from forecasters.toto.buckets import EXACT, Buckets
from forecasters.toto.compilation import COMPILED_BUCKETS, Compilation
from forecasters.toto.config import first_config, is_first, read_config, second_config
from forecasters.toto.model import Toto
from forecasters.toto.tensors import check_tensors, read_tensors, without_unknown
from forecasters.toto.toto1 import names as names1
from forecasters.toto.toto1.model import Toto1
from forecasters.toto.toto2 import names as names2
from forecasters.toto.toto2.model import Toto2

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def buckets_for(folder: str | Path, *, bars: int, horizons: Sequence[int], variates: Sequence[int]) -> Buckets:
    """The fewest that do for contexts of up to `bars` and the `horizons`, both in steps, of so many `variates`."""
    config = read_config(Path(folder))
    patch = first_config(config).patch_size if is_first(config) else second_config(config).patch_size
    ahead = sorted({-(-horizon // patch) for horizon in horizons})
    return Buckets(context=(-(-bars // patch),), ahead=tuple(ahead), variates=tuple(sorted(variates)))


def load_toto(
    folder: str | Path,
    compile: bool = False,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    buckets: Buckets | None = None,
    mode: str = "default",
    backend: str = "inductor",
) -> Toto:
    """Toto 1.0 or 2.0, as the folder's config.json says.

    folder         config.json and model.safetensors, or its shards and their index
    compile        one graph for each bucket of sizes, made when it is first needed (a minute with inductor)
    dtype          of the matrix products: float32, or bfloat16, with scales, sums and attention in float32 or better
    buckets        None: every size as it is, or a usual set where it is compiled
    mode, backend  of torch.compile
    Raises CheckpointError where the folder holds anything else, ValueError where the rest can't be had together.
    """
    if dtype not in DTYPES:
        raise ValueError(f"Toto is computed in {' or '.join(DTYPES)}, not in {dtype}")
    sizes = buckets or (COMPILED_BUCKETS if compile else EXACT)
    if mode == "reduce-overhead" and not device.startswith("cuda"):
        mode = "default"  # without a GPU there are no CUDA graphs, and each graph would count as one that was skipped
    compilation = Compilation(mode=mode, backend=backend) if compile else None
    place, target = Path(folder), torch.device(device)
    config = read_config(place)
    if is_first(config):
        first = first_config(config)
        shapes = names1.tensor_shapes(first)
        tensors = without_unknown(names1.canonical(read_tensors(place)), shapes, "Toto 1.0")
        check_tensors(tensors, shapes, "Toto 1.0")
        return Toto1(first, tensors, device=target, buckets=sizes, dtype=DTYPES[dtype], compilation=compilation)
    second = second_config(config)
    tensors = read_tensors(place)
    check_tensors(tensors, names2.tensor_shapes(second), "Toto 2.0")
    return Toto2(second, tensors, device=target, buckets=sizes, dtype=DTYPES[dtype], compilation=compilation)
