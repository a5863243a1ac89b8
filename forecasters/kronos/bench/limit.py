"""What the machine could do at best: each product at the speed of its best product, each weight read once a step.

The floor of a forecast is the larger of arithmetic and memory traffic, of context, steps and tokenizer each, added up.
Sampling, norms and rotations count nothing, so that it can be approached, never reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from forecasters.kronos.bench.cells import CONTEXT, HORIZON, Cell, Clock, seconds
from forecasters.kronos.generate import Kronos
from forecasters.kronos.linear import FixedLinear

_TRIES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """gflops  billions of operations a second, of a packed linear layer; gbytes  read from memory a second."""

    gflops: float
    gbytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    operations: float
    bytes: float

    def seconds(self, ceiling: Ceiling) -> float:
        return max(self.operations / ceiling.gflops, self.bytes / ceiling.gbytes) / 1e9


def ceiling(dtype: torch.dtype, device: torch.device, clock: Clock) -> Ceiling:
    """Measured here and now, with torch's number of threads."""
    rows = torch.randn(512, 1024, dtype=dtype, device=device)
    linear = FixedLinear(torch.randn(2048, 1024, device=device), None, dtype=dtype)
    product = _best(lambda: linear(rows), device, clock)
    far = torch.ones(1 << 26, dtype=torch.float32, device=device)
    reading = _best(lambda: far.sum(), device, clock)
    return Ceiling(gflops=2 * 512 * 1024 * 2048 / product / 1e9, gbytes=far.numel() * 4 / reading / 1e9)


def floor_seconds(kronos: Kronos, cell: Cell, exact: Ceiling, own: Ceiling) -> float:
    """exact  the ceiling of float32, which the tokenizer uses; own  that of the network's dtype."""
    config, coder = kronos._network.config, kronos._tokenizer.config
    size = torch.finfo(kronos.dtype).bits // 8
    width, vocabulary, rows = config.d_model, 2**config.s1_bits, cell.series * cell.samples
    block = 4 * width**2 + 3 * width * config.ff_dim
    dependency = 4 * width**2
    context = cell.series * (
        config.n_layers * (2 * CONTEXT * block + 2 * CONTEXT**2 * width) + 2 * CONTEXT * 2 * width**2
    )
    matrices = config.n_layers * block + 2 * width * vocabulary + dependency - width**2
    reach = CONTEXT + HORIZON / 2
    step = Work(
        operations=rows * (2 * matrices + 4 * reach * width * (config.n_layers + 1)),
        bytes=size * (matrices + 2 * width * (config.n_layers + 1) * (cell.series * CONTEXT + rows * HORIZON / 2)),
    )
    coding = 4 * coder.d_model**2 + 3 * coder.d_model * coder.ff_dim
    whole = coder.n_enc_layers - 1 + coder.n_dec_layers - 2  # of the decoder's last block keys and values are enough
    tokens = cell.series * whole * (2 * CONTEXT * coding + 2 * CONTEXT**2 * coder.d_model)
    tokens += cell.series * 2 * CONTEXT * 2 * coder.d_model**2
    drawn = rows * HORIZON * (coder.n_dec_layers - 1) * (2 * coding + 4 * reach * coder.d_model)
    return (
        Work(operations=context, bytes=size * matrices).seconds(own)
        + (HORIZON - 1) * step.seconds(own)
        + Work(operations=tokens + drawn, bytes=0).seconds(exact)
    )


def _best(call: Callable[[], object], device: torch.device, clock: Clock) -> float:
    def finished() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()

    finished()
    return min(seconds(finished, clock) for _ in range(_TRIES))
