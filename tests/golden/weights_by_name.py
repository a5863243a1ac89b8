"""Weights that any implementation can rebuild: each tensor is drawn from a generator seeded by its own name.

Fill a module whose state_dict has the published checkpoints' names, and its outputs must equal the golden ones.
Every learned tensor of the state_dict is replaced; fixed buffers (rotary `inv_freq`, the quantizer's bases) are left.
"""

import zlib

import numpy as np
import torch

FIXED = ("inv_freq", "basis", "group_basis", "group_codebook", "freqs", "scale_buffer")


def tensor_for(name: str, shape: tuple[int, ...], seed: int, unit: bool = False) -> torch.Tensor:
    """float32 tensor of that shape for that state_dict name.

    N(0, 1/fan_in) for matrices (N(0, 1/width) for embeddings), or N(0, 1) where `unit` (models that scale
    their products themselves: Toto 2.0); 1 + N(0, 0.1^2) for norm weights and scalars, N(0, 0.02^2) for biases.
    """
    draw = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed])).standard_normal(shape)
    if len(shape) >= 2:
        draw = draw if unit else draw / np.sqrt(shape[-1])
    elif name.endswith("bias"):
        draw = 0.02 * draw
    else:
        draw = 1 + 0.1 * draw
    return torch.from_numpy(np.asarray(draw, dtype=np.float32))


def state_dict_for(
    names_and_shapes: dict[str, tuple[int, ...]], seed: int, unit: bool = False
) -> dict[str, torch.Tensor]:
    return {
        name: tensor_for(name, tuple(shape), seed, unit)
        for name, shape in names_and_shapes.items()
        if name.split(".")[-1] not in FIXED
    }


def fill(module: torch.nn.Module, seed: int, unit: bool = False) -> None:
    own = module.state_dict()
    new = state_dict_for({k: tuple(v.shape) for k, v in own.items()}, seed, unit)
    module.load_state_dict({**own, **new})
