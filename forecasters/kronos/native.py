"""The same arithmetic as in arithmetic.py and cache.py, by our own kernels for a CPU: see native.cpp.

They are built for this machine with the compiler and the flags that torch.compile uses, into its cache folder, when
they are first needed. Attention is an operator that a graph holds whole.

B series, R rows (samples) each, H heads, W width of a head, P places, N for drawn tokens, T context, D width.
"""

from __future__ import annotations

from ctypes import CDLL, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forecasters.kronos.arithmetic import Arithmetic, Rotary
from forecasters.kronos.linear import FixedLinear
from forecasters.kronos.model import NORM_EPSILON

_SOURCE = Path(__file__).with_name("native.cpp")
_POINTER, _COUNT = c_void_p, c_int64
_ARGUMENTS = {
    "attend": [*[_POINTER] * 8, *[_COUNT] * 8],
    "attend_causally": [*[_POINTER] * 4, *[_COUNT] * 5],
    "normalise": [*[_POINTER] * 2, *[_COUNT] * 2, c_float, _COUNT],
    "gate": [*[_POINTER] * 2, *[_COUNT] * 3],
    "split": [*[_POINTER] * 6, *[_COUNT] * 4],
    "apply": [*[_POINTER] * 4, *[_COUNT] * 4],
}
_OF_BOTH_DTYPES = ("normalise", "gate", "split", "apply")
_PANEL, _DEPTH = 64, 32  # apply takes multiples of these
_ALIKE = 0.01  # of bfloat16, rounded; weights that lie otherwise give other numbers altogether


class Native(Arithmetic):
    native = True

    def adopt(self, network: nn.Module) -> None:
        take_products(network)

    def normalise(self, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        out = torch.empty_like(rows)
        width = rows.shape[-1]
        _kernel("normalise", rows)(
            out.data_ptr(), rows.data_ptr(), rows.numel() // width, width, NORM_EPSILON, torch.get_num_threads()
        )
        return out

    def gate(self, both: Tensor) -> Tensor:
        width = both.shape[-1] // 2
        out = both.new_empty((*both.shape[:-1], width))
        _kernel("gate", both)(out.data_ptr(), both.data_ptr(), out.numel() // width, width, torch.get_num_threads())
        return out

    def split(self, projected: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        tokens, _, heads, width = projected.shape
        cosines, sines = (table.float().contiguous() for table in rotary)
        queries = torch.empty(tokens, heads, width)
        keys, values = torch.empty(heads, width, tokens), torch.empty(heads, tokens, width)
        pointers = [each.data_ptr() for each in (queries, keys, values, projected, cosines, sines)]
        _kernel("split", projected)(*pointers, tokens, heads, width, torch.get_num_threads())
        return queries, keys, values

    def attend_causally(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        out = torch.empty_like(queries)
        tokens, heads, width = queries.shape
        pointers = [each.data_ptr() for each in (out, queries, keys, values)]
        _library().attend_causally(*pointers, tokens, heads, width, tokens, torch.get_num_threads())
        return out

    def attend_shared(
        self, queries: Tensor, keys: Tensor, values: Tensor, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        samples, count, heads, width = queries.shape
        own_keys, own_values = (part.permute(2, 0, 1, 3).contiguous()[None] for part in (keys, values))
        flat = queries.reshape(1, samples * count, heads, width)
        lengths, before = torch.tensor([prefix_keys.shape[-1]]), torch.tensor([0])
        found = _attend(flat, prefix_keys[None], prefix_values[None], lengths, own_keys, own_values, before)
        return found.view(queries.shape)


@cache
def native() -> Native:
    """Raises what torch's compiler raises where there is none."""
    _register()
    return Native()


@cache
def _library() -> CDLL:
    from torch._inductor.codecache import CppCodeCache

    load: Any = CppCodeCache.load
    built: CDLL = load(_SOURCE.read_text(encoding="utf-8"), needs_vec_isa=True)
    for name, arguments in _ARGUMENTS.items():
        for each in [f"{name}_float32", f"{name}_bfloat16"] if name in _OF_BOTH_DTYPES else [name]:
            function = getattr(built, each, None)  # apply needs AVX-512, of bfloat16 its own
            if function is not None:
                function.argtypes, function.restype = arguments, None
    return built


@cache
def _register() -> object:
    """torch.ops.kronos_native.attend, which a compiled graph may hold."""
    _library()
    make: Any = torch.library.Library  # without types in torch; custom_op has them, and costs more a call
    operators = make("kronos_native", "DEF")
    operators.define(
        "attend(Tensor queries, Tensor prefix_keys, Tensor prefix_values, Tensor lengths, Tensor suffix_keys, "
        "Tensor suffix_values, Tensor before) -> Tensor"
    )
    operators.impl("attend", _attend, "CPU")
    torch.library.register_fake("kronos_native::attend", _attended_shape, lib=operators)
    return operators


def _kernel(name: str, like: Tensor) -> Any:
    return getattr(_library(), f"{name}_{'bfloat16' if like.dtype == torch.bfloat16 else 'float32'}", None)


def take_products(network: nn.Module) -> None:
    """Let compiled graphs multiply by our kernel, which reads weights in half the time where rows are few.

    It reads them where oneDNN has packed them, in a layout that oneDNN does not promise: so it is tried first.
    """
    for module in network.modules():
        packed = module.packed() if isinstance(module, FixedLinear) else None
        if packed is None or not isinstance(module, FixedLinear):
            continue
        weight, bias, outputs = packed
        depth, function = weight.shape[1], _kernel("apply", weight)
        if function is None or outputs % _PANEL or depth % _DEPTH:
            continue
        ours = _Product(function, weight, bias, outputs)
        rows = torch.randn(2, depth, generator=torch.Generator().manual_seed(0)).to(weight.dtype)
        if alike(ours(rows), module.multiply(rows), bias):
            module.within_graphs(ours)


def alike(ours: Tensor, theirs: Tensor, bias: Tensor | None) -> bool:
    """Judged by what the weights contribute, however small that is: read in another order they would give another."""
    contributed = theirs.float() - (0.0 if bias is None else bias.float())
    tolerance = 0.05 if ours.dtype == torch.bfloat16 else 1e-3
    return bool((ours.float() - theirs.float()).abs().max() <= tolerance * contributed.abs().max())


class _Product:
    def __init__(self, function: Any, weight: Tensor, bias: Tensor | None, outputs: int) -> None:
        self._function, self._outputs = function, outputs
        self._kept = (weight, bias)  # the memory that is pointed to
        self._weight = torch.ops.mkldnn.data_ptr(weight)
        self._bias = None if bias is None else bias.data_ptr()

    def __call__(self, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        *leading, depth = rows.shape
        out = rows.new_empty((*leading, self._outputs))
        count = rows.numel() // depth
        self._function(
            out.data_ptr(),
            rows.data_ptr(),
            self._weight,
            self._bias,
            count,
            depth,
            self._outputs,
            torch.get_num_threads(),
        )
        return out


def _attend(
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
    _library().attend(
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
