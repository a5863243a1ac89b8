"""The shapes that a checkpoint may begin with: the published ones, and smaller ones of the same architecture.

The configs are the constructor arguments of the published code, whose names and meanings they keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Config = Mapping[str, int | float | bool]

_CODER = (256, 4, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The two config.json of a checkpoint."""

    tokenizer: Config
    network: Config


def _shape(
    *, width: int, layers: int, heads: int, hidden: int, context: int = 512, bits: int = 10,
    coder: tuple[int, int, int] = _CODER,
) -> Shape:  # fmt: skip
    """`coder` is the tokenizer's width, layers of each half (of which one is not a block) and hidden width."""
    coder_width, coder_layers, coder_hidden = coder
    dropout = {"ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0}
    bit_counts = {"s1_bits": bits, "s2_bits": bits}
    return Shape(
        tokenizer={
            "d_in": 6,
            "d_model": coder_width,
            "n_heads": 4,
            "ff_dim": coder_hidden,
            "n_enc_layers": coder_layers,
            "n_dec_layers": coder_layers,
            **dropout,
            **bit_counts,
            "beta": 0.05,
            "gamma0": 1.0,
            "gamma": 1.1,
            "zeta": 0.05,
            "group_size": 5 if context > 512 else 4,
        },
        network={
            **bit_counts,
            "n_layers": layers,
            "d_model": width,
            "n_heads": heads,
            "ff_dim": hidden,
            **dropout,
            "token_dropout_p": 0.0,
            "learn_te": True,
            "max_context": context,
        },
    )


SIZES: Mapping[str, Shape] = {
    "tiny": _shape(width=32, layers=2, heads=4, hidden=64, bits=6, coder=(32, 2, 64)),
    "pico": _shape(width=32, layers=2, heads=4, hidden=64, bits=6, coder=(32, 3, 64)),
    "nano": _shape(width=64, layers=3, heads=4, hidden=128, bits=8, coder=(64, 3, 192)),
    "mini": _shape(width=256, layers=4, heads=4, hidden=512, context=2048),
    "small": _shape(width=512, layers=8, heads=8, hidden=1024),
    "base": _shape(width=832, layers=12, heads=16, hidden=2048),
}
