"""Our kernels as operators of torch, which a compiled graph holds whole: torch.ops.kronos_native.

What they write to, the caches, is not theirs to declare: each takes what the one before it gave, and so they stay in
order. A plan is the table that Native.plan makes.

B series, R rows (samples) each, H heads, W width of a head, P places, N for drawn tokens, D width, V tokens.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from forecasters.kronos.build import kernel, library

_SIGNATURES = {
    "attend": "(Tensor queries, Tensor prefix_keys, Tensor prefix_values, Tensor lengths, Tensor suffix_keys, "
    "Tensor suffix_values, Tensor before) -> Tensor",
    "step": "(Tensor plan, Tensor calendar, Tensor s1, Tensor s2, Tensor slot) -> Tensor",
    "s1_logits": "(Tensor plan, Tensor context, int tokens) -> Tensor",
    "s2_logits": "(Tensor plan, Tensor context, Tensor s1, Tensor slot, int tokens) -> Tensor",
}


@cache
def register() -> object:
    """Raises KernelsUnavailable."""
    library()
    make: Any = torch.library.Library  # without types in torch; custom_op has them, and costs more a call
    operators = make("kronos_native", "DEF")
    ways: dict[str, tuple[Any, Any]] = {
        "attend": (attend, _attended_shape),
        "step": (_step, _step_shape),
        "s1_logits": (_s1_logits, _s1_logits_shape),
        "s2_logits": (_s2_logits, _s2_logits_shape),
    }
    for name, (way, shape) in ways.items():
        operators.define(name + _SIGNATURES[name])
        operators.impl(name, way, "CPU")
        torch.library.register_fake(f"kronos_native::{name}", shape, lib=operators)
    return operators


def attend(
    queries: Tensor,
    prefix_keys: Tensor,
    prefix_values: Tensor,
    lengths: Tensor,
    suffix_keys: Tensor,
    suffix_values: Tensor,
    before: Tensor,
) -> Tensor:
    """[B, R, H, W] scaled queries over the first `lengths` [B] places, and over the own ones up to `before` [1].

    prefix_keys [B, H, W, P], prefix_values [B, H, P, W], suffix_keys and suffix_values [B, H, S, N, W]. Where R is a
    multiple of S, a sample's rows are tokens one behind the other: each attends to one more place.
    """
    out = torch.empty_like(queries)
    series, heads, samples, own, width = suffix_keys.shape
    tensors = (out, queries, prefix_keys, prefix_values, lengths, suffix_keys, suffix_values, before)
    library().attend(
        *[each.data_ptr() for each in tensors],
        *(series, samples, queries.shape[1] // samples, heads, width, prefix_keys.shape[-1], own),
        torch.get_num_threads(),
    )
    return out


def _attended_shape(
    queries: Tensor,
    prefix_keys: Tensor,
    prefix_values: Tensor,
    lengths: Tensor,
    suffix_keys: Tensor,
    suffix_values: Tensor,
    before: Tensor,
) -> Tensor:
    return torch.empty_like(queries)


def _step(plan: Tensor, calendar: Tensor, s1: Tensor, s2: Tensor, slot: Tensor) -> Tensor:
    """The tokens [B, R] drawn at `slot` [1] -> [B, R, D], what follows them, in the dtype of the calendar."""
    out = _step_shape(plan, calendar, s1, s2, slot)
    tensors = (out, plan, s1.contiguous(), s2.contiguous(), slot)
    kernel("step", calendar.dtype)(*[each.data_ptr() for each in tensors], torch.get_num_threads())
    return out


def _step_shape(plan: Tensor, calendar: Tensor, s1: Tensor, s2: Tensor, slot: Tensor) -> Tensor:
    return calendar.new_empty((*s1.shape, calendar.shape[-1]))


def _s1_logits(plan: Tensor, context: Tensor, tokens: int) -> Tensor:
    """[B, R, D] -> [B, R, V] float32"""
    out = _s1_logits_shape(plan, context, tokens)
    tensors = (out, plan, context.contiguous())
    kernel("first", context.dtype)(*[each.data_ptr() for each in tensors], torch.get_num_threads())
    return out


def _s1_logits_shape(plan: Tensor, context: Tensor, tokens: int) -> Tensor:
    return context.new_empty((*context.shape[:-1], tokens), dtype=torch.float32)


def _s2_logits(plan: Tensor, context: Tensor, s1: Tensor, slot: Tensor, tokens: int) -> Tensor:
    """[B, R, D] and the s1 [B, R] drawn from it -> [B, R, V] float32; `slot` is the last one written, -1 for none."""
    out = _s1_logits_shape(plan, context, tokens)
    tensors = (out, plan, context.contiguous(), s1.contiguous(), slot)
    kernel("second", context.dtype)(*[each.data_ptr() for each in tensors], torch.get_num_threads())
    return out


def _s2_logits_shape(plan: Tensor, context: Tensor, s1: Tensor, slot: Tensor, tokens: int) -> Tensor:
    return _s1_logits_shape(plan, context, tokens)
