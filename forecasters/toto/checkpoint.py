"""Seeded checkpoints in the published form: to run the program, and its tests, where no weights can be had.

Their forecasts mean nothing, but are modest: about the distribution of the context's own values, quantiles in their
order. Shapes, speed and stability are real.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from forecasters import card
from forecasters.kronos.files import CONFIG, WEIGHTS, CheckpointError
from forecasters.toto.config import (
    LEVELS,
    first_config,
    is_first,
    second_config,
)
from forecasters.toto.tensors import Shapes
from forecasters.toto.toto1 import names as names1
from forecasters.toto.toto2 import names as names2

_FIRST: dict[str, object] = {
    "patch_size": 64,
    "stride": 64,
    "dropout": 0.1,
    "spacewise_first": False,
    "scaler_cls": "<class 'model.scaler.CausalPatchStdMeanScaler'>",
    "output_distribution_classes": ["<class 'model.distribution.MixtureOfStudentTsOutput'>"],
    "use_memory_efficient_attention": False,
    "stabilize_with_global": True,
    "scale_factor_exponent": 10.0,
}
_SECOND: dict[str, object] = {
    "patch_size": 32,
    "num_variate_layers_per_group": 1,
    "variate_layer_first": False,
    "norm_eps": 1e-4,
    "attn_bias": True,
    "mlp_bias": False,
    "num_output_patches": 1,
    "per_dim_scale": True,
    "qk_norm": False,
    "norm_include_weight": False,
    "use_xpos": True,
    "qk_dim": 64,
    "v_dim": 64,
    "residual_mult": 0.75,
    "residual_attn_ratio": 5.136215466577748,
}


def _first(width: int, layers: int, heads: int, mlp: int, every: int, components: int) -> dict[str, object]:
    return _FIRST | {
        "embed_dim": width,
        "num_layers": layers,
        "num_heads": heads,
        "mlp_hidden_dim": mlp,
        "spacewise_every_n_layers": every,
        "output_distribution_kwargs": {"k_components": components},
    }


def _second(width: int, layers: int, group: int, heads: int, mlp: int) -> dict[str, object]:
    return _SECOND | {
        "d_model": width,
        "num_layers": layers,
        "layer_group_size": group,
        "num_heads": heads,
        "d_ff": mlp,
    }


SIZES: Mapping[str, Mapping[str, object]] = {
    "tiny": _second(64, 4, 4, 1, 176),
    "4m": _second(256, 4, 4, 4, 688),
    "22m": _second(512, 6, 6, 8, 1368),
    "tiny-1.0": _first(64, 4, 4, 128, 4, 4),
    "base-1.0": _first(768, 12, 12, 3072, 12, 24),
}


def make_checkpoint(size: str, folder: Path, seed: int = 0) -> Path:
    """Write config.json and model.safetensors into `folder`, which is made. Returns the folder.

    size  one of SIZES; the same size and seed give the same tensors
    Raises CheckpointError where the size is unknown, or the folder already holds a checkpoint.
    """
    if size not in SIZES:
        raise CheckpointError(f"there is no size {size!r}: there are {', '.join(SIZES)}")
    taken = [name for name in (CONFIG, WEIGHTS) if (folder / name).exists()]
    if taken:
        raise CheckpointError(f"{folder} already holds {' and '.join(taken)}")
    config = SIZES[size]
    if is_first(config):
        tensors = _modest_mixture(_drawn(names1.tensor_shapes(first_config(config)), seed, unit=False))
    else:
        tensors = _modest_quantiles(_drawn(names2.tensor_shapes(second_config(config)), seed, unit=True))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2) + "\n", encoding="utf-8")
    card.write(folder, {}, {"from": f"random weights, seed {seed}"})
    return folder


def _modest_mixture(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Components near the middle, as wide as the context, with tails that are not too long."""
    base = "model.output_distribution"
    tensors[f"{base}.loc_proj.weight"] *= 0.1
    tensors[f"{base}.scale_proj.weight"] *= 0.3
    tensors[f"{base}.scale_proj.bias"] += 0.5
    tensors[f"{base}.df.bias"] += 3.0
    return tensors


def _modest_quantiles(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The normal distribution's, and a little of what the network says."""
    base = "output_head.param_projection.proj"
    for part in ("linear2", "skip_proj"):
        tensors[f"{base}.{part}.weight"] *= 0.1
    straight = tensors[f"{base}.skip_proj.weight"]  # [P x Q, D], read out divided by D and by the root of 2
    deviates = torch.special.ndtri(torch.tensor(LEVELS, dtype=torch.float64)).float()
    steps = straight.shape[0] // len(LEVELS)
    tensors[f"{base}.skip_proj.bias"] = math.sqrt(2) * straight.shape[1] * deviates.asinh().repeat(steps)
    return tensors


def _drawn(shapes: Shapes, seed: int, *, unit: bool) -> dict[str, Tensor]:
    """Each from a generator of its own name: another layer leaves the others as they are."""
    drawn = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed((zlib.crc32(name.encode()) << 24) ^ seed)
        normal = torch.randn(shape, generator=generator)
        if len(shape) >= 2:
            drawn[name] = normal if unit else normal / math.sqrt(shape[-1])
        elif name.endswith("bias"):
            drawn[name] = 0.02 * normal
        else:
            drawn[name] = 1 + 0.1 * normal
    return drawn
