"""How much a forecast must compute and read at the least: products of weights, each needed one once.

Attention's own products, scales and the sampling are left out: a few percent. V variates, N patches of the context,
K patches ahead, S samples. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forecasters.toto.config import Toto1Config, Toto2Config, first_config, is_first, second_config

BYTES = 4  # a float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """flops: two for each product; read: bytes of weights, once for each pass over them."""

    flops: float
    read: float

    def seconds(self, *, flops_per_s: float, bytes_per_s: float) -> float:
        """The longer of the two: what a machine of these speeds needs."""
        return max(self.flops / flops_per_s, self.read / bytes_per_s)


def work_of(
    config: Mapping[str, object], *, variates: int, steps: int, horizon: int, samples: int | None = None
) -> Work:
    """One pass of Toto 2.0, or Toto 1.0 with `samples` paths (None: the mean). Raises CheckpointError."""
    if is_first(config):
        return _first(first_config(config), variates, steps, horizon, samples or 1)
    return _second(second_config(config), variates, steps, horizon)


def _first(config: Toto1Config, variates: int, steps: int, horizon: int, samples: int) -> Work:
    width, patch = config.width, config.patch_size
    layers = len(config.over_variates) * (4 * width * width + 3 * width * config.mlp_width) + patch * width
    head = width * patch * 4 * config.components
    context, ahead = -(-steps // patch), -(-horizon // patch)
    rows = variates * context * layers + variates * head + (ahead - 1) * samples * variates * (layers + head)
    return Work(flops=2.0 * rows, read=float(BYTES * ahead * (layers + head)))


def _second(config: Toto2Config, variates: int, steps: int, horizon: int) -> Work:
    width, patch = config.width, config.patch_size
    queries, keys = config.heads * config.query_width, config.key_heads * config.query_width
    values = config.key_heads * config.value_width
    attention = width * (queries + keys + values) + config.heads * config.value_width * width
    layer = attention + 3 * width * config.mlp_width
    embed = 2 * patch * 4 * width + 4 * width * width + 2 * patch * width
    outputs = patch * len(config.levels)
    head = 4 * width * width + 4 * width * outputs + width * outputs
    context, ahead = -(-steps // patch), -(-horizon // patch)
    count = len(config.over_variates)
    tokens = variates * (context + ahead - 1)
    flops = tokens * (embed + count * layer) + variates * ahead * head
    return Work(flops=2.0 * flops, read=float(BYTES * (embed + count * layer + head)))
