"""What serves: the same functions as model.py and tokenizer.py with everything constant worked out beforehand.

Norm weights and the attention's scale are multiplied into the matrices that follow; query, key and value are one
matrix, both halves of the gate are one; the token embedding with its fusion, and the dependency layer's query, are
tables. A context is computed once a series; then one token a sample. One block of it is in arithmetic.py.

B series, R rows (samples) each, T context, h heads, w width of a head, D width, V tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecasters.kronos.arithmetic import PLAIN, Arithmetic, FoldedBlock, Rotary
from forecasters.kronos.cache import CacheShape, LayerCache, Reach, prefix_mask, suffix_mask
from forecasters.kronos.linear import LEAST_ROWS, FixedLinear
from forecasters.kronos.model import DEPENDENCY_HEADS, Block, Network, normalise, rotary_table, rotate
from forecasters.kronos.tokenizer import Tokenizer

__all__ = ["FoldedBlock", "FoldedNetwork", "FoldedTokenizer", "NetworkCache", "WholeSteps", "least_rows"]


class FoldedTokenizer(nn.Module):
    """One series at a time: what comes out does not depend on what else is asked. float32."""

    def __init__(self, tokenizer: Tokenizer, positions: int) -> None:
        super().__init__()
        config = tokenizer.config
        self.original = tokenizer
        self.encoder = _folded(tokenizer.encoder, torch.float32)
        self.decoder = _folded(tokenizer.decoder, torch.float32)
        device = tokenizer.embed.weight.device
        self.rotary = tuple(table.to(device) for table in rotary_table(positions, config.d_model // config.n_heads))

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """[T, 6] standardised -> s1 and s2, [T] int64 each: signs, so every way of serving rounds them alike."""
        rows = self.original.embed(values)  # [T, D]
        for block in self.encoder:
            rows, _, _ = PLAIN.whole(_block(block), rows, self._rotary(len(values)))
        return self.original.tokens(rows)

    def decode_suffix(
        self, s1: Tensor, s2: Tensor, drawn_s1: Tensor, drawn_s2: Tensor, arithmetic: Arithmetic = PLAIN
    ) -> Tensor:
        """[T] tokens of the context and [S, N] drawn after it -> [S, N, 6] standardised, of the drawn ones alone.

        Exact, since the decoder is causal: the context's keys and values are computed once for all samples.
        """
        context = self._embedded(s1, s2)  # [T, D]
        rows = self._embedded(drawn_s1, drawn_s2)  # [S, N, D]
        before, count = len(context), rows.shape[1]
        rotary = self._rotary(before + count)
        for index, module in enumerate(self.decoder):
            block = _block(module)
            if index + 1 < len(self.decoder):
                context, prefix_keys, prefix_values = arithmetic.whole(block, context, self._rotary(before))
            else:
                _, prefix_keys, prefix_values = arithmetic.split(
                    block.project(context, arithmetic), self._rotary(before)
                )
            rows = arithmetic.follow(block, rows, rotary, prefix_keys, prefix_values)
        result: Tensor = self.original.head(rows)
        return result

    def _embedded(self, s1: Tensor, s2: Tensor) -> Tensor:
        rows: Tensor = self.original.post_quant_embed(self.original.codes(s1, s2))
        return rows

    def _rotary(self, count: int) -> Rotary:
        cosines, sines = self.rotary  # [positions, w]
        if count > len(cosines):  # a context beyond what the network takes can still be tokenized
            config = self.original.config
            cosines, sines = (
                table.to(cosines.device) for table in rotary_table(count, config.d_model // config.n_heads)
            )
            self.rotary = (cosines, sines)
        return cosines[:count], sines[:count]


class FoldedNetwork(nn.Module):
    def __init__(self, network: Network, positions: int, dtype: torch.dtype) -> None:
        super().__init__()
        config = network.config
        width, device = config.d_model, network.norm.weight.device
        self.dtype = dtype
        self.head_width = width // config.n_heads
        self.blocks = _folded(network.transformer, dtype)
        self.time_emb = network.time_emb
        self.norm_weight = network.norm.weight.to(dtype)
        embedding = network.embedding
        fuse_s1, fuse_s2 = embedding.fusion_proj.weight.chunk(2, dim=1)  # [D, D]
        root = math.sqrt(width)
        self.s1_table = (F.linear(embedding.emb_s1.weight * root, fuse_s1, embedding.fusion_proj.bias)).to(dtype)
        self.s2_table = (F.linear(embedding.emb_s2.weight * root, fuse_s2)).to(dtype)  # [V, D]
        layer = network.dep_layer.cross_attn
        scale = 1 / math.sqrt(width // DEPENDENCY_HEADS)
        self.query_table = (layer.q_proj(embedding.emb_s1.weight) * scale).to(dtype)  # [V, D]
        keys_values = torch.cat((layer.k_proj.weight, layer.v_proj.weight))  # [2 D, D]
        self.dependency_inputs = FixedLinear(
            keys_values, torch.cat((layer.k_proj.bias, layer.v_proj.bias)), dtype=dtype
        )
        self.dependency_output = FixedLinear(layer.out_proj.weight, layer.out_proj.bias, dtype=dtype)
        self.s1_head = FixedLinear(network.head.proj_s1.weight, network.head.proj_s1.bias, dtype=dtype)
        s2_weight = network.head.proj_s2.weight * network.dep_layer.norm.weight
        self.s2_head = FixedLinear(s2_weight, network.head.proj_s2.bias, dtype=dtype)
        self.rotary = tuple(table.to(device, dtype) for table in rotary_table(positions, self.head_width))
        self.config = config

    def calendar(self, stamps: Tensor) -> Tensor:
        """[..., 5] -> [..., D]"""
        embedded: Tensor = self.time_emb(stamps)
        return embedded.to(self.dtype)

    def prefill(self, cache: NetworkCache, series: int, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """One series' context [T] into its place of the cache -> [D], the last row that comes out."""
        rows = self.s1_table[s1] + self.s2_table[s2] + self.calendar(stamps)  # [T, D]
        rotary = (self.rotary[0][: len(rows)], self.rotary[1][: len(rows)])
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            rows, keys, values = cache.arithmetic.whole(_block(block), rows, rotary)
            layer.fill(series, keys, values)
        context = cache.arithmetic.normalise(rows).to(self.dtype) * self.norm_weight  # [T, D]
        keys, values = self._dependency_inputs(context)  # [T, h, w]
        cache.dependency.fill(series, keys.permute(1, 2, 0), values.transpose(0, 1))
        return context[-1]

    def step(self, cache: NetworkCache, s1: Tensor, s2: Tensor, slot: Tensor) -> Tensor:
        """The tokens [B, R] drawn at `slot` [1], whose keys and values are kept -> [B, R, D], what follows them."""
        if cache.plan is not None:
            context: Tensor = torch.ops.kronos_native.step(cache.plan, cache.calendar, s1, s2, slot)
            return context
        calendar = cache.calendar.index_select(1, slot)  # [B, 1, D]
        rows = self.s1_table[s1] + self.s2_table[s2] + calendar  # [B, R, D]
        place = cache.lengths + slot  # [B]
        cosines, sines = (table[place][:, None, None] for table in self.rotary)  # [B, 1, 1, w]
        reach = cache.reach(slot)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            queries, keys, values = _block(block).project(rows).unbind(-3)  # [B, R, h, w]
            layer.append(slot, rotate(keys, cosines, sines), values)
            rows = _block(block).finish(rows, layer.attend(rotate(queries, cosines, sines), reach))
        context = normalise(rows) * self.norm_weight  # [B, R, D]
        cache.dependency.append(slot, *self._dependency_inputs(context))
        return context

    def s1_logits(self, cache: NetworkCache, context: Tensor) -> Tensor:
        """[B, R, D] -> [B, R, V]"""
        logits: Tensor
        if cache.plan is not None:
            logits = torch.ops.kronos_native.s1_logits(cache.plan, context, 2**self.config.s1_bits)
        else:
            logits = self.s1_head(context)
        return logits

    def s2_logits(self, cache: NetworkCache, context: Tensor, s1: Tensor, slot: Tensor) -> Tensor:
        """[B, R, D] and the s1 [B, R] drawn from it -> [B, R, V]; `slot` is the last one written, -1 for none."""
        logits: Tensor
        if cache.plan is not None:
            logits = torch.ops.kronos_native.s2_logits(cache.plan, context, s1, slot, 2**self.config.s2_bits)
            return logits
        queries = self.query_table[s1].view(*s1.shape, DEPENDENCY_HEADS, -1)  # [B, R, h, w]
        attended = cache.dependency.attend(queries, cache.reach(slot)).flatten(-2)  # [B, R, D]
        logits = self.s2_head(normalise(context + self.dependency_output(attended)))
        return logits

    def folded_blocks(self) -> Iterator[FoldedBlock]:
        return (_block(block) for block in self.blocks)

    def _dependency_inputs(self, context: Tensor) -> tuple[Tensor, Tensor]:
        both = self.dependency_inputs(context).view(*context.shape[:-1], 2, DEPENDENCY_HEADS, -1)  # [..., 2, h, w]
        keys, values = both.unbind(-3)  # [..., h, w]
        return keys, values


class NetworkCache:
    """All that a running generation keeps, in memory taken once, and the arithmetic that it is computed by."""

    def __init__(self, network: FoldedNetwork, shape: CacheShape, arithmetic: Arithmetic) -> None:
        config, dtype, device = network.config, network.dtype, network.s1_table.device
        self.shape = shape
        self.arithmetic = arithmetic

        def layer(heads: int) -> LayerCache:
            kept, native = torch.float32 if arithmetic.native else dtype, arithmetic.native
            return LayerCache(shape, heads, config.d_model // heads, dtype=kept, device=device, native=native)

        self.layers = [layer(config.n_heads) for _ in range(config.n_layers)]
        self.dependency = layer(DEPENDENCY_HEADS)
        width = config.d_model
        self.calendar = torch.zeros(shape.series, shape.drawn, width, dtype=dtype, device=device)  # [B, N, D]
        self.lengths = torch.zeros(shape.series, dtype=torch.int64, device=device)  # [B]
        self.prefix_mask = torch.zeros(shape.series, 1, 1, shape.context, dtype=dtype, device=device)
        self._kept: list[Tensor] = []
        self.plan = arithmetic.plan(network, self) if isinstance(arithmetic, WholeSteps) else None
        if device.type == "cuda":
            self._keep_addresses()

    def keep(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """For as long as this cache: a plan points to them."""
        self._kept += tensors
        return tensors

    def _keep_addresses(self) -> None:
        """Tell the compiler that this memory stays where it is: else it gives up CUDA graphs for what is written to."""
        from torch._dynamo import mark_static_address

        kept = [tensor for layer in (*self.layers, self.dependency) for tensor in layer.tensors()]
        for tensor in (*kept, self.calendar, self.lengths, self.prefix_mask):
            mark_static_address(tensor)

    def begin(self, lengths: Sequence[int], calendar: Tensor) -> None:
        """A new generation: context lengths [B], and the calendar [B, N, D] of what will be drawn."""
        self.lengths.copy_(torch.tensor(lengths, device="cpu"))
        self.prefix_mask.copy_(prefix_mask(self.lengths, self.shape.context, self.prefix_mask.dtype))
        self.calendar.copy_(calendar)

    def reach(self, slot: Tensor) -> Reach:
        suffix = suffix_mask(slot, self.shape.drawn, self.prefix_mask.dtype)
        return Reach(lengths=self.lengths, slot=slot, prefix=self.prefix_mask, suffix=suffix)


@runtime_checkable
class WholeSteps(Protocol):
    """An arithmetic that can compute a whole step as one kernel: see native.py."""

    def least_rows(self, network: FoldedNetwork) -> int:
        """As least_rows() below."""

    def plan(self, network: FoldedNetwork, cache: NetworkCache) -> Tensor | None:
        """All that the kernel needs to know; None where this network's steps go as FoldedNetwork.step says."""


def least_rows(network: FoldedNetwork, arithmetic: Arithmetic) -> int:
    """Fewer than these are filled up: so that a row's result does not depend on how many there are."""
    return arithmetic.least_rows(network) if isinstance(arithmetic, WholeSteps) else LEAST_ROWS


def _folded(blocks: nn.ModuleList, dtype: torch.dtype) -> nn.ModuleList:
    return nn.ModuleList(FoldedBlock(block, dtype) for block in blocks if isinstance(block, Block))


def _block(module: nn.Module) -> FoldedBlock:
    assert isinstance(module, FoldedBlock)
    return module
