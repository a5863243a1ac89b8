"""How much a forecast must compute and read at the least: products of weights, each needed one once.

From the last layer over time on, only the patches that tell of what is ahead are needed; of the others only their keys
and values are, there. Attention's own products, scales and the sampling are left out: a few percent, but for the
original's own random numbers, which take longer than all else where there are many samples and one patch. V variates,
N patches of the context, K patches ahead, S samples. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecasters.toto.config import Toto1Config, Toto2Config, first_config, is_first, second_config

BYTES = 4  # a float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Once over the weights. products: of which each is two floating point operations; weights: numbers read."""

    products: float
    weights: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One after the other."""

    passes: Sequence[Pass]

    @property
    def flops(self) -> float:
        return 2.0 * sum(each.products for each in self.passes)

    @property
    def read(self) -> float:
        """Bytes."""
        return BYTES * sum(each.weights for each in self.passes)

    def seconds(self, *, flops_per_s: float, bytes_per_s: float) -> float:
        """What a machine of these speeds needs: in each pass the longer of computing and reading."""
        return sum(max(2 * each.products / flops_per_s, BYTES * each.weights / bytes_per_s) for each in self.passes)


def work_of(
    config: Mapping[str, object], *, variates: int, steps: int, horizon: int, samples: int | None = None
) -> Work:
    """One pass of Toto 2.0, or Toto 1.0 with `samples` paths (None: the mean). Raises CheckpointError."""
    if is_first(config):
        return _first(first_config(config), variates, steps, horizon, samples or 1)
    return _second(second_config(config), variates, steps, horizon)


def _first(config: Toto1Config, variates: int, steps: int, horizon: int, samples: int) -> Work:
    width, patch = config.width, config.patch_size
    layer, known = 4 * width * width + 3 * width * config.mlp_width, 2 * width * width
    embed, head = patch * width, width * patch * 4 * config.components
    context, ahead = -(-steps // patch), -(-horizon // patch)
    weights = embed + len(config.over_variates) * layer + head
    reading = context * embed + _through(config.over_variates, layer, known, context, 1) + head
    paths = Pass(products=samples * variates * weights, weights=weights)
    return Work(passes=[Pass(products=variates * reading, weights=weights), *[paths] * (ahead - 1)])


def _second(config: Toto2Config, variates: int, steps: int, horizon: int) -> Work:
    width, patch = config.width, config.patch_size
    queries, keys = config.heads * config.query_width, config.key_heads * config.query_width
    values = config.key_heads * config.value_width
    attention = width * (queries + keys + values) + config.heads * config.value_width * width
    layer, known = attention + 3 * width * config.mlp_width, width * (keys + values)
    embed = 2 * patch * 4 * width + 4 * width * width + 2 * patch * width
    outputs = patch * len(config.levels)
    head = 4 * width * width + 4 * width * outputs + width * outputs
    context, ahead = -(-steps // patch), -(-horizon // patch)
    tokens = context + ahead - 1
    products = tokens * embed + _through(config.over_variates, layer, known, tokens, ahead) + ahead * head
    weights = embed + len(config.over_variates) * layer + head
    return Work(passes=[Pass(products=variates * products, weights=weights)])


def _through(over_variates: Sequence[bool], layer: int, pair: int, tokens: int, wanted: int) -> int:
    """Products of all layers for `tokens`, of which `wanted` come out; `pair`: those of a token's keys and values."""
    last = max(index for index, over in enumerate(over_variates) if not over)
    return last * tokens * layer + (tokens - wanted) * pair + (len(over_variates) - last) * wanted * layer
