"""Tensors of a checkpoint's folder, strict: every name that the config asks for, in its shape, and no other.

config.json
model.safetensors, or model.safetensors.index.json and the files that it names
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from forecasters.kronos.files import CheckpointError, weight_files
from forecasters.toto.config import SHOWN

_log = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors by name, float32. Raises CheckpointError where a file is missing or damaged."""
    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    found[name] = file.get_tensor(name)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is incomplete or damaged: {error}") from error
    return {name: tensor.to(torch.float32) for name, tensor in found.items()}


def check_tensors(tensors: Mapping[str, Tensor], shapes: Shapes, kind: str) -> None:
    """Raises CheckpointError, saying what is missing, too much, or of another shape."""
    faults = [
        *_fault("lacks", [name for name in shapes if name not in tensors]),
        *_fault("has no use for", [name for name in tensors if name not in shapes]),
        *_fault(
            "has another shape in",
            [
                f"{name} {list(tensors[name].shape)} (not {list(shape)})"
                for name, shape in shapes.items()
                if name in tensors and tuple(tensors[name].shape) != shape
            ],
        ),
    ]
    if faults:
        raise CheckpointError(f"the checkpoint is not a {kind} as its config says: it {', it '.join(faults)}")
    broken = [name for name in shapes if not bool(torch.isfinite(tensors[name]).all())]
    if broken:
        raise CheckpointError(f"the checkpoint holds NaN or infinity in {', '.join(broken[:SHOWN])}")


def without_unknown(tensors: Mapping[str, Tensor], shapes: Shapes, kind: str) -> dict[str, Tensor]:
    """As the original does, which loads what it knows of a checkpoint; what is left out is said."""
    unknown = [name for name in tensors if name not in shapes]
    for told in _fault("has no use for", unknown):
        _log.warning("%s %s in the checkpoint: left out, as the original does", kind, told)
    return {name: tensor for name, tensor in tensors.items() if name in shapes}


def _fault(verb: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{verb} {', '.join(names[:SHOWN])}{rest}"
