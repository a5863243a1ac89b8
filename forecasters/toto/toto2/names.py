"""The tensors of a published Toto 2.0 checkpoint, by name."""

from __future__ import annotations

from forecasters.toto.config import Toto2Config


def tensor_shapes(config: Toto2Config) -> dict[str, tuple[int, ...]]:
    """{name: shape}; linear weights are [outputs, inputs], `*_tau` are scalars."""
    width, patch, hidden = config.width, config.patch_size, 4 * config.width
    shapes = _residual("patch_proj", 2 * patch, hidden, width)
    for layer in range(len(config.over_variates)):
        shapes |= _layer(f"transformer.layers.{layer}", config)
    if config.norm_weights:
        shapes["transformer.out_norm.weight"] = (width,)
    return shapes | _residual("output_head.param_projection.proj", width, hidden, patch * len(config.levels))


def _layer(base: str, config: Toto2Config) -> dict[str, tuple[int, ...]]:
    width, inner = config.width, config.heads * config.value_width
    projected = config.query_width * (config.heads + config.key_heads) + config.value_width * config.key_heads
    shapes: dict[str, tuple[int, ...]] = {f"{base}.attn_tau": (), f"{base}.mlp_tau": ()}
    shapes |= _linear(f"{base}.attn.in_proj", width, projected, config.attention_bias)
    shapes |= _linear(f"{base}.attn.out_proj", inner, width, config.attention_bias)
    if config.query_norm and config.query_norm_weights:
        shapes |= {f"{base}.attn.{name}.weight": (config.query_width,) for name in ("q_norm", "k_norm")}
    if config.query_scale:
        shapes[f"{base}.attn._pds.per_dim_scale"] = (config.query_width,)
    if config.norm_weights:
        shapes |= {f"{base}.{name}.weight": (width,) for name in ("norm1", "norm2")}
    shapes |= _linear(f"{base}.ffn.fc1", width, 2 * config.mlp_width, config.mlp_bias)
    return shapes | _linear(f"{base}.ffn.fc2", config.mlp_width, width, config.mlp_bias)


def _residual(base: str, inputs: int, hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return (
        _linear(f"{base}.linear1", inputs, hidden)
        | _linear(f"{base}.linear2", hidden, outputs)
        | _linear(f"{base}.skip_proj", inputs, outputs)
    )


def _linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs)}
    if bias:
        shapes[f"{name}.bias"] = (outputs,)
    return shapes
