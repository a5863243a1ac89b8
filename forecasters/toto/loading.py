"""A checkpoint's folder to a model."""

from __future__ import annotations

from pathlib import Path

import torch

from forecasters.base import ForecastError
from forecasters.toto.buckets import EXACT, Buckets
from forecasters.toto.config import first_config, is_first, read_config, second_config
from forecasters.toto.model import Toto
from forecasters.toto.tensors import check_tensors, read_tensors
from forecasters.toto.toto1 import names as names1
from forecasters.toto.toto1.model import Toto1
from forecasters.toto.toto2 import names as names2
from forecasters.toto.toto2.model import Toto2


def load_toto(folder: str | Path, compile: bool = False, *, device: str = "cpu", buckets: Buckets = EXACT) -> Toto:
    """Toto 1.0 or 2.0, as the folder's config.json says.

    folder   config.json and model.safetensors, or its shards and their index
    Raises CheckpointError where the folder holds anything else.
    """
    if compile:
        raise ForecastError("Toto can't be compiled yet: ask for it without")
    place, target = Path(folder), torch.device(device)
    config = read_config(place)
    if is_first(config):
        first = first_config(config)
        tensors = names1.canonical(read_tensors(place))
        check_tensors(tensors, names1.tensor_shapes(first), "Toto 1.0")
        return Toto1(first, tensors, device=target, buckets=buckets)
    second = second_config(config)
    tensors = read_tensors(place)
    check_tensors(tensors, names2.tensor_shapes(second), "Toto 2.0")
    return Toto2(second, tensors, device=target, buckets=buckets)
