"""Checkpoints that anyone can rebuild: seeded ones, and those that the golden outputs were made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parents[2] / "golden"


def golden_arrays(name: str) -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def golden_description(name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return described


def golden_folder(name: str, folder: Path) -> Path:
    """The checkpoint behind a golden output, in the published form."""
    from safetensors.torch import save_file

    from tests.golden.weights_by_name import state_dict_for

    described = golden_description(name)
    weights = state_dict_for(described["shapes"], described["seed"], unit=described["generation"] == 2)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(described["config"]))
    return folder


def walk(variates: int, steps: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A group of random walks, all observed."""
    random = np.random.default_rng(seed)
    series = random.standard_normal((variates, steps)).cumsum(axis=1).astype(np.float32)
    return series, np.ones((variates, steps), dtype=np.bool_)
