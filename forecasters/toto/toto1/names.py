"""The tensors of a published Toto 1.0 checkpoint, by name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from forecasters.toto.config import Toto1Config

_FUSED = {"mlp.0.w12.": "mlp.0.", "mlp.0.w3.": "mlp.2."}  # as written by a fused implementation of the layer


def tensor_shapes(config: Toto1Config) -> dict[str, tuple[int, ...]]:
    """{name: shape}; linear weights are [outputs, inputs]."""
    width, patch = config.width, config.patch_size
    shapes = _linear("model.patch_embed.projection", patch, width)
    for layer in range(len(config.over_variates)):
        base = f"model.transformer.layers.{layer}"
        shapes |= {f"{base}.norm1.scale": (width,), f"{base}.norm2.scale": (width,)}
        shapes |= _linear(f"{base}.attention.wQKV", width, 3 * width) | _linear(f"{base}.attention.wO", width, width)
        shapes |= _linear(f"{base}.mlp.0", width, 2 * config.mlp_width)
        shapes |= _linear(f"{base}.mlp.2", config.mlp_width, width)
    shapes |= _linear("model.unembed", width, width * patch)
    for part in ("df", "loc_proj", "scale_proj", "mixture_weights"):
        shapes |= _linear(f"model.output_distribution.{part}", width, config.components)
    return shapes


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fused names replaced, and the rotary tables, which are no weights, left out."""
    weights = {}
    for name, tensor in tensors.items():
        if ".rotary_emb." in name:
            continue
        for fused, plain in _FUSED.items():
            name = name.replace(fused, plain)
        weights[name] = tensor
    return weights


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
