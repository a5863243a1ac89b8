"""The same arithmetic as in arithmetic.py, cache.py and folded.py, by our own kernels for a CPU: see kernels/.

They are built for this machine with the compiler and the flags that torch.compile uses, into its cache folder, when
they are first needed; paths.py says for what of it. Attention and a whole step are operators that a graph holds whole.

B series, R rows (samples) each, H heads, W width of a head, P places, N for drawn tokens, T context, D width.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from forecasters.kronos.arithmetic import PLAIN, Arithmetic, Rotary
from forecasters.kronos.build import KernelsUnavailable, kernel, library
from forecasters.kronos.linear import LEAST_ROWS, FixedLinear
from forecasters.kronos.model import DEPENDENCY_HEADS, NORM_EPSILON, rotary_table
from forecasters.kronos.operators import attend, register
from forecasters.kronos.pages import take_large_pages
from forecasters.kronos.panels import panels_of, suits
from forecasters.kronos.paths import said_of

if TYPE_CHECKING:
    from forecasters.kronos.folded import FoldedBlock, FoldedNetwork, NetworkCache

_log = logging.getLogger(__name__)


class Native(Arithmetic):
    native = True

    def __init__(self) -> None:
        self._blocks: WeakKeyDictionary[FoldedBlock, Tensor | None] = WeakKeyDictionary()

    def least_rows(self, network: FoldedNetwork) -> int:
        """A whole step's products do not depend on how many rows there are."""
        return LEAST_ROWS if self._weights(network) is None else 1

    def plan(self, network: FoldedNetwork, cache: NetworkCache) -> Tensor | None:
        """What a whole step looks at, as Plan in network.cpp has it; the cache keeps it, and what it points to."""
        weights = self._weights(network)
        if weights is None:
            return None
        blocks, more_addresses = weights
        take_large_pages([*_places(network), *_places(cache)])
        shape, config = cache.shape, network.config
        cosines, sines = cache.keep(*rotary_table(len(network.rotary[0]), network.head_width))
        tables = (network.s1_table, network.s2_table, cache.calendar, network.norm_weight, network.query_table)
        cache_addresses = [
            [tensor.data_ptr() for tensor in layer.tensors()] for layer in (cache.dependency, *cache.layers)
        ]
        entries = [shape.series, shape.rows, shape.context, shape.drawn, config.n_layers]
        entries += [config.d_model, config.n_heads, config.ff_dim]
        entries += [DEPENDENCY_HEADS, 2**config.s1_bits, 2**config.s2_bits]
        entries += [tensor.data_ptr() for tensor in (cache.lengths, cosines, sines, *tables)]
        entries += more_addresses + cache_addresses[0]
        for block, layer in zip(blocks, cache_addresses[1:], strict=True):
            entries += [*block.tolist(), *layer]
        return torch.tensor(entries, dtype=torch.int64, device="cpu")

    def whole(self, block: FoldedBlock, rows: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        weights = self._of_block(block)
        if weights is None:
            return super().whole(block, rows, rotary)
        (count, width), cosines, sines = rows.shape, *(table.float().contiguous() for table in rotary)
        out = rows.to(torch.float32, copy=True)
        keys, values = out.new_empty(block.heads, width // block.heads, count), out.new_empty(count * width)
        pointers = [each.data_ptr() for each in (out, keys, values, weights, cosines, sines)]
        kernel("read", block.dtype)(*pointers, count, width, block.heads, block.hidden, torch.get_num_threads())
        return out, keys, values.view(block.heads, count, -1)

    def follow(
        self, block: FoldedBlock, rows: Tensor, rotary: Rotary, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        weights = self._of_block(block)
        if weights is None:
            return super().follow(block, rows, rotary, prefix_keys, prefix_values)
        samples, count, width = rows.shape
        out = rows.to(torch.float32, copy=True).contiguous()
        cosines, sines = (table.float().contiguous() for table in rotary)
        first = [each.data_ptr() for each in (out, prefix_keys, prefix_values)]
        second = [each.data_ptr() for each in (weights, cosines, sines)]
        sizes = (samples, count, width, block.heads, block.hidden)
        kernel("follow", block.dtype)(*first, prefix_keys.shape[-1], *second, *sizes, torch.get_num_threads())
        return out

    def normalise(self, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        out = torch.empty_like(rows)
        width = rows.shape[-1]
        kernel("normalise", rows.dtype)(
            out.data_ptr(), rows.data_ptr(), rows.numel() // width, width, NORM_EPSILON, torch.get_num_threads()
        )
        return out

    def gate(self, both: Tensor) -> Tensor:
        width = both.shape[-1] // 2
        out = both.new_empty((*both.shape[:-1], width))
        kernel("gate", both.dtype)(
            out.data_ptr(), both.data_ptr(), out.numel() // width, width, torch.get_num_threads()
        )
        return out

    def split(self, projected: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        tokens, _, heads, width = projected.shape
        cosines, sines = (table.float().contiguous() for table in rotary)
        queries, keys, values = (
            projected.new_empty(shape, dtype=torch.float32)
            for shape in ((tokens, heads, width), (heads, width, tokens), (heads, tokens, width))
        )
        pointers = [tensor.data_ptr() for tensor in (queries, keys, values, projected, cosines, sines)]
        kernel("split", projected.dtype)(*pointers, tokens, heads, width, torch.get_num_threads())
        return queries, keys, values

    def attend_causally(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        out = torch.empty_like(queries)
        tokens, heads, width = queries.shape
        pointers = [each.data_ptr() for each in (out, queries, keys, values)]
        library().attend_causally(*pointers, tokens, heads, width, tokens, torch.get_num_threads())
        return out

    def attend_shared(
        self, queries: Tensor, keys: Tensor, values: Tensor, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        samples, count, heads, width = queries.shape
        own_keys, own_values = (part.permute(2, 0, 1, 3).float().contiguous()[None] for part in (keys, values))
        flat = queries.reshape(1, samples * count, heads, width).float()
        lengths, before = (torch.tensor([number], device="cpu") for number in (prefix_keys.shape[-1], 0))
        result = attend(flat, prefix_keys[None], prefix_values[None], lengths, own_keys, own_values, before)
        return result.view(queries.shape).to(queries.dtype)

    def _weights(self, network: FoldedNetwork) -> tuple[list[Tensor], list[int]] | None:
        """Of the blocks, and of what follows them; None where one product does not suit our kernels."""
        blocks = [tensor for block in network.folded_blocks() if (tensor := self._of_block(block)) is not None]
        linears = (network.dependency_inputs, network.dependency_output, network.s1_head, network.s2_head)
        linear_addresses = [panels.addresses() for linear in linears if (panels := panels_of(linear)) is not None]
        if len(blocks) < len(network.blocks) or len(linear_addresses) < len(linears):
            return None
        return blocks, [address for pair in linear_addresses for address in pair]

    def _of_block(self, block: FoldedBlock) -> Tensor | None:
        """[6] addresses, as Weights in network.cpp has them; None where one product does not suit our kernels."""
        if block not in self._blocks:
            self._blocks[block] = _packed(block) if _suits(block) else None
        return self._blocks[block]


def _suits(block: FoldedBlock) -> bool:
    """All its products do, and each half of the gate: they are multiplied beside each other."""
    linears = (block.inputs, block.output, block.gate, block.down)
    sizes = [(each.outputs, each.depth) for each in linears] + [(block.hidden, block.gate.depth)]
    return all(suits(outputs, depth, block.dtype) for outputs, depth in sizes)


def _packed(block: FoldedBlock) -> Tensor:
    panels = [panels_of(linear) for linear in (block.inputs, block.output, block.gate, block.down)]
    inputs, output, gate, down = [panel.addresses() for panel in panels if panel is not None]
    return torch.tensor([*inputs, *output, gate[0], down[0]], dtype=torch.int64, device="cpu")


def _places(owner: FoldedNetwork | NetworkCache) -> list[tuple[int, int]]:
    """Addresses and sizes of what a step reads from end to end."""
    if isinstance(owner, torch.nn.Module):
        panels = [panels_of(module) for module in owner.modules() if isinstance(module, FixedLinear)]
        return [each.place() for each in panels if each is not None]
    tensors = [tensor for layer in (owner.dependency, *owner.layers) for tensor in layer.tensors()]
    return [(each.data_ptr(), each.numel() * each.element_size()) for each in tensors]


def take_products(network: nn.Module) -> None:
    """Let compiled graphs multiply by our kernel, which reads weights in half the time where rows are few."""
    for module in network.modules():
        if isinstance(module, FixedLinear) and (panels := panels_of(module)) is not None:
            module.within_graphs(panels.multiply)


@cache
def native() -> Native:
    """Raises KernelsUnavailable."""
    register()
    return Native()


@cache
def native_or_plain() -> Arithmetic:
    """Slower, but the same, where our kernels can't be had; the log says why."""
    try:
        return native()
    except KernelsUnavailable as error:
        _log.warning("Kronos runs without its own kernels. %s", said_of(None, str(error)))
        return PLAIN
