"""The weights behind the golden outputs: each tensor is drawn from a generator seeded by its own name.

`kronos-NAME.json` holds the configs as published files have them, and the seed: the tokenizer's weights use it, the
network's use the next one. `kronos-NAME.npz` holds what the original computed with these weights, on generated bars.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def golden_config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((HERE / f"kronos-{name}.json").read_text())
    return config


def golden_outputs(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"kronos-{name}.npz") as stored:
        return {key: stored[key] for key in stored}


def drawn(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Matrices N(0, 1 / inputs), biases N(0, 0.02^2), norm weights 1 + N(0, 0.1^2); float32."""
    random = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed]))
    values = random.standard_normal(shape)
    if len(shape) > 1:
        values = values / np.sqrt(shape[-1])
    elif name.endswith("bias"):
        values = 0.02 * values
    else:
        values = 1 + 0.1 * values
    return np.asarray(values, dtype=np.float32)


def weights(part: str, config: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """`part` is tokenizer or network."""
    import torch

    from forecasters.kronos.model import Network, NetworkConfig
    from forecasters.kronos.tokenizer import Tokenizer, TokenizerConfig

    model: torch.nn.Module
    with torch.device("meta"):
        if part == "tokenizer":
            model = Tokenizer(TokenizerConfig(**{each.name: config[each.name] for each in fields(TokenizerConfig)}))
        else:
            model = Network(NetworkConfig(**{each.name: config[each.name] for each in fields(NetworkConfig)}))
    return {name: drawn(name, tuple(value.shape), seed) for name, value in model.state_dict().items()}
