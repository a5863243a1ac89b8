"""Seeded checkpoints in the published form: to run the program, and its tests, where no weights can be had.

Their forecasts mean nothing, but are possible bars: the four prices move as one, the high above them and the low below.
Shapes, speed and stability are real.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from forecasters import card
from forecasters.kronos.files import CONFIG, WEIGHTS, CheckpointError
from forecasters.kronos.model import Network, NetworkConfig
from forecasters.kronos.sizes import SIZES, Config
from forecasters.kronos.tokenizer import Tokenizer, TokenizerConfig

_MOVE, _SHADOW = 1.0, 0.25  # of the decoder's output for a price, and of high and low around it; standard deviations


def make_checkpoint(size: str, folder: Path, seed: int = 0) -> Path:
    """Write network/ and tokenizer/, config.json and model.safetensors in each, into `folder`. Returns the folder.

    size  one of SIZES; the same size and seed give the same tensors
    Raises CheckpointError where the size is unknown, or the folder already holds a checkpoint.
    """
    if size not in SIZES:
        raise CheckpointError(f"there is no size {size!r}: there are {', '.join(SIZES)}")
    present = [str(part) for part in (folder / "network", folder / "tokenizer") if part.exists()]
    if present:
        raise CheckpointError(f"there is {' and '.join(present)} already: give an empty folder")
    sizes = SIZES[size]
    with torch.device("meta"):
        network = Network(NetworkConfig(**_fitting(sizes.network, NetworkConfig)))
        tokenizer = Tokenizer(TokenizerConfig(**_fitting(sizes.tokenizer, TokenizerConfig)))
    _save(folder / "network", sizes.network, _drawn("network", network, seed))
    _save(folder / "tokenizer", sizes.tokenizer, _possible(_drawn("tokenizer", tokenizer, seed)))
    card.write(folder, {}, {"from": f"random weights, seed {seed}"})
    return folder


def _fitting(config: Config, kind: type) -> dict[str, int]:
    return {field.name: int(str(config[field.name])) for field in fields(kind)}


def _drawn(part: str, model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Each from a generator of its own name: another layer leaves the others as they are."""
    drawn = {}
    for name, value in model.state_dict().items():
        generator = torch.Generator().manual_seed((zlib.crc32(f"{part}.{name}".encode()) << 24) ^ seed)
        normal = torch.randn(value.shape, generator=generator)
        if value.dim() >= 2:
            drawn[name] = normal / math.sqrt(value.shape[-1])
        elif name.endswith("bias"):
            drawn[name] = 0.02 * normal
        else:
            drawn[name] = 1 + 0.1 * normal
    return drawn


def _possible(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """One row of the last matrix for all four prices."""
    move = _MOVE * tensors["head.weight"][0]
    tensors["head.weight"][:4] = move
    tensors["head.bias"] = torch.tensor([0.0, _SHADOW, -_SHADOW, 0.0, 0.0, 0.0])
    return tensors


def _save(folder: Path, config: Config, tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2) + "\n", encoding="utf-8")
