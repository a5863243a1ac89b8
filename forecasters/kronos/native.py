"""The same arithmetic as in arithmetic.py, cache.py and folded.py, by our own kernels for a CPU: see kernels/.

They are built for this machine with the compiler and the flags that torch.compile uses, into its cache folder, when
they are first needed. Attention, and a whole step where registers are as broad as oneDNN's layout asks (AVX-512), are
operators that a graph holds whole.

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

if TYPE_CHECKING:
    from forecasters.kronos.folded import FoldedBlock, FoldedNetwork, NetworkCache

_log = logging.getLogger(__name__)

_PANEL, _DEPTH = 64, 32  # products are of so many outputs, or a multiple, and of so many inputs


class Native(Arithmetic):
    native = True

    def __init__(self) -> None:
        self._blocks: WeakKeyDictionary[FoldedBlock, Tensor | None] = WeakKeyDictionary()
        self._linears: WeakKeyDictionary[FixedLinear, list[int] | None] = WeakKeyDictionary()

    def least_rows(self, network: FoldedNetwork) -> int:
        """A whole step's products do not depend on how many rows there are."""
        return LEAST_ROWS if self._weights(network) is None else 1

    def plan(self, network: FoldedNetwork, cache: NetworkCache) -> Tensor | None:
        """What a whole step looks at, as Plan in network.cpp has it; the cache keeps it, and what it points to."""
        weights = self._weights(network)
        if weights is None:
            return None
        blocks, others = weights
        take_large_pages([*_places(network), *_places(cache)])
        shape, config = cache.shape, network.config
        cosines, sines = cache.keep(*rotary_table(len(network.rotary[0]), network.head_width))
        tables = (network.s1_table, network.s2_table, cache.calendar, network.norm_weight, network.query_table)
        kept = [[tensor.data_ptr() for tensor in layer.tensors()] for layer in (cache.dependency, *cache.layers)]
        entries = [shape.series, shape.rows, shape.context, shape.drawn, config.n_layers]
        entries += [config.d_model, config.n_heads, config.ff_dim]
        entries += [DEPENDENCY_HEADS, 2**config.s1_bits, 2**config.s2_bits]
        entries += [tensor.data_ptr() for tensor in (cache.lengths, cosines, sines, *tables)]
        entries += others + kept[0]
        for block, layer in zip(blocks, kept[1:], strict=True):
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
        pointers = [each.data_ptr() for each in (queries, keys, values, projected, cosines, sines)]
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
        found = attend(flat, prefix_keys[None], prefix_values[None], lengths, own_keys, own_values, before)
        return found.view(queries.shape).to(queries.dtype)

    def _weights(self, network: FoldedNetwork) -> tuple[list[Tensor], list[int]] | None:
        """Of the blocks, and of what follows them; None where one product does not suit our kernel."""
        blocks = [found for block in network.folded_blocks() if (found := self._of_block(block)) is not None]
        linears = (network.dependency_inputs, network.dependency_output, network.s1_head, network.s2_head)
        others = [pair for linear in linears if (pair := self._of_linear(linear)) is not None]
        if len(blocks) < len(network.blocks) or len(others) < len(linears):
            return None
        return blocks, [address for both in others for address in both]

    def _of_block(self, block: FoldedBlock) -> Tensor | None:
        """[6] addresses, as Weights in network.cpp has them; None where one product does not suit our kernel."""
        if block not in self._blocks:
            linears = (block.inputs, block.output, block.gate, block.down)
            found = [pair for linear in linears if (pair := self._of_linear(linear)) is not None]
            whole = len(found) == len(linears) and block.hidden % _PANEL == 0  # each half of the gate is of panels
            inputs, output, gate, down = found if whole else [[0, 0]] * 4
            entries = torch.tensor([*inputs, *output, gate[0], down[0]], dtype=torch.int64, device="cpu")
            self._blocks[block] = entries if whole else None
        return self._blocks[block]

    def _of_linear(self, linear: FixedLinear) -> list[int] | None:
        """Addresses of weight and bias; None where the product does not suit our kernel."""
        if linear not in self._linears:
            self._linears[linear] = addresses(linear)
        return self._linears[linear]


def _places(owner: FoldedNetwork | NetworkCache) -> list[tuple[int, int]]:
    """Addresses and sizes of what a step reads from end to end."""
    if isinstance(owner, torch.nn.Module):
        packed = [
            found[0] for module in owner.modules() if isinstance(module, FixedLinear) and (found := module.packed())
        ]
        return [(torch.ops.mkldnn.data_ptr(each), each.numel() * each.element_size()) for each in packed]
    kept = [tensor for layer in (owner.dependency, *owner.layers) for tensor in layer.tensors()]
    return [(each.data_ptr(), each.numel() * each.element_size()) for each in kept]


def take_products(network: nn.Module) -> None:
    """Let compiled graphs multiply by our kernel, which reads weights in half the time where rows are few."""
    for module in network.modules():
        pair = addresses(module) if isinstance(module, FixedLinear) else None
        if pair is not None and isinstance(module, FixedLinear):
            module.within_graphs(_Product(module, pair))


class _Product:
    def __init__(self, linear: FixedLinear, pair: list[int]) -> None:
        self._kept = packed = linear.packed()  # the memory that is pointed to
        assert packed is not None
        self._pair, self._outputs = pair, packed[2]

    def __call__(self, rows: Tensor) -> Tensor:
        return product(self._pair, rows, self._outputs)


def addresses(linear: FixedLinear) -> list[int] | None:
    """Of weight and bias where oneDNN has packed them; None where our kernel does not read them as oneDNN does.

    It reads a layout that oneDNN does not promise: so it is tried first.
    """
    packed = linear.packed()
    if packed is None:
        return None
    weight, bias, outputs = packed
    depth = weight.shape[1]
    if kernel("apply", weight.dtype) is None or outputs % _PANEL or depth % _DEPTH:
        return None
    rows = torch.randn(2, depth, generator=torch.Generator().manual_seed(0), device="cpu").to(weight.dtype)
    pair = [torch.ops.mkldnn.data_ptr(weight), 0 if bias is None else bias.data_ptr()]
    return pair if alike(product(pair, rows, outputs), linear.multiply(rows), bias) else None


def product(pair: list[int], rows: Tensor, outputs: int) -> Tensor:
    """[..., K] -> [..., N] by our kernel; `pair` of addresses()."""
    rows = rows.contiguous()
    *leading, depth = rows.shape
    out = rows.new_empty((*leading, outputs))
    count = rows.numel() // depth
    kernel("apply", rows.dtype)(out.data_ptr(), rows.data_ptr(), *pair, count, depth, outputs, torch.get_num_threads())
    return out


def alike(ours: Tensor, theirs: Tensor, bias: Tensor | None) -> bool:
    """Judged by what the weights contribute, however small that is: read in another order they would give another."""
    contributed = theirs.float() - (0.0 if bias is None else bias.float())
    tolerance = 0.05 if ours.dtype == torch.bfloat16 else 1e-3
    return bool((ours.float() - theirs.float()).abs().max() <= tolerance * contributed.abs().max())


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
        _log.warning("Kronos runs without its own kernels, on PyTorch's operators alone: %s", error)
        return PLAIN
