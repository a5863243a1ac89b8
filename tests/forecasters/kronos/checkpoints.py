"""Checkpoints made on the spot. Nothing here needs torch until one is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.rebuild import golden_config, weights


def save(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], *, buffers: bool = False) -> Path:
    """config.json and model.safetensors in `folder`; `buffers` adds what the published files hold besides."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    stored = dict(tensors)
    if buffers:
        stored["transformer.0.self_attn.rotary.inv_freq"] = np.ones(8, dtype=np.float32)
        stored["encoder.0.self_attn.rotary.inv_freq"] = np.ones(8, dtype=np.float32)
        stored["tokenizer.bsq.basis"] = np.arange(12)
        stored["tokenizer.bsq.group_basis"] = np.arange(4)
    save_file(stored, folder / "model.safetensors")
    return folder


def make_golden(folder: Path, name: str, *, buffers: bool = True) -> Path:
    config = golden_config(name)
    for index, part in enumerate(("tokenizer", "network")):
        save(folder / part, config[part], weights(part, config[part], config["seed"] + index), buffers=buffers)
    return folder


def make_seeded(folder: Path, seed: int) -> Path:
    """Of the smallest golden sizes, with other weights."""
    config = golden_config("tiny")
    for index, part in enumerate(("tokenizer", "network")):
        save(folder / part, config[part], weights(part, config[part], seed + index))
    return folder


def make_small(folder: Path, *, bits: int = 6, seed: int = 5, proper: bool = True, layers: int = 2) -> Path:
    """One random checkpoint, quick to run. `proper`: its bars are possible ones, as a trained one's mostly are."""
    config = golden_config("tiny")
    sizes = {"s1_bits": bits, "s2_bits": bits}
    tokenizer = {**config["tokenizer"], **sizes}
    network = {**config["network"], **sizes, "n_layers": layers, "max_context": 256}
    tensors = weights("tokenizer", tokenizer, seed)
    if proper:
        move = 4 * tensors["head.weight"][0]
        tensors["head.weight"] = np.stack([move, move, move, move, *tensors["head.weight"][4:]])
        tensors["head.bias"] = np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0], dtype=np.float32)
    save(folder / "tokenizer", tokenizer, tensors)
    save(folder / "network", network, weights("network", network, seed + 1))
    return folder


def assert_the_originals(paths: np.ndarray, golden: dict[str, np.ndarray]) -> None:
    """[H, 6] as the original predicted, to 1e-5, or to 1e-6 of the bars' spread.

    An amount near zero is what is left of numbers a thousand times as large: its last digits are the machine's.
    """
    spread = golden["bars"].std(axis=0)
    allowed = 1e-5 * np.abs(golden["predicted"]) + 1e-6 * spread
    assert paths.shape == golden["predicted"].shape
    assert (np.abs(paths - golden["predicted"]) <= allowed).all(), np.abs(paths - golden["predicted"]) / allowed
