"""Compiled graphs, one for each bucket of sizes, that are made once.

`Module.compile()` and `torch.compile(module)` wrap a module's call alone, so that a model whose work is done by other
methods stays as slow as it was, silently. Here the function that does the work is what is compiled, whole: a graph
break is an error. Each bucket has a code object of its own, since the compiler counts recompilations, and gives up
after eight, by code object.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from forecasters.toto.buckets import Buckets

Given = ParamSpec("Given")
Result = TypeVar("Result")

COMPILED_BUCKETS = Buckets(
    context=(1, 2, 4, 8, 16, 32, 64, 128),
    ahead=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128),
    variates=(1, 2, 4, 8, 16, 32, 64),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """The compiler's mode and name, as torch.compile has them."""

    mode: str = "default"
    backend: str = "inductor"


def quicken(network: nn.Module, compilation: Compilation | None, device: torch.device) -> None:
    """On a CPU generated code multiplies by our own kernel: with few rows it takes little longer than reading the
    weights does, where oneDNN takes twice as long. It is built when it is first needed, as generated code is.
    """
    if compilation is not None and compilation.backend == "inductor" and device.type == "cpu":
        from forecasters.kronos.native import take_products

        take_products(network)


class Graphs:
    """Functions by bucket: compiled where it is asked for, else as they are."""

    def __init__(self, compilation: Compilation | None) -> None:
        self.compilation = compilation
        self._made: dict[tuple[str, Hashable], Callable[..., object]] = {}

    def of(self, method: Callable[Given, Result], bucket: Hashable) -> Callable[Given, Result]:
        """A bound method as one graph for one bucket, the same each time."""
        if self.compilation is None:
            return method
        assert isinstance(method, MethodType)
        key = (method.__name__, bucket)
        if key not in self._made:
            self._made[key] = self._compiled(method, f"{method.__name__}_{len(self._made)}", self.compilation)
        found: Callable[Given, Result] = self._made[key]  # type: ignore[assignment]  # kept under its own method
        return found

    @staticmethod
    def in_place(*tensors: torch.Tensor) -> None:
        """Tensors that graphs write to and that stay where they are, as CUDA graphs want."""
        for tensor in tensors:
            torch._dynamo.mark_static_address(tensor)

    @property
    def count(self) -> int:
        return len(self._made)

    @staticmethod
    def _compiled(method: MethodType, name: str, compilation: Compilation) -> Callable[..., object]:
        function = method.__func__
        assert isinstance(function, FunctionType)
        code = function.__code__.replace(co_name=name)
        twin = FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
        twin.__kwdefaults__ = function.__kwdefaults__
        bound = MethodType(twin, method.__self__)
        if compilation.backend == "inductor":  # the others have no modes
            return _apart(torch.compile(bound, fullgraph=True, dynamic=False, mode=compilation.mode))
        return _apart(torch.compile(bound, fullgraph=True, dynamic=False, backend=compilation.backend))


def _apart(compiled: Callable[..., object]) -> Callable[..., object]:
    """Each run of a CUDA graph writes where the one before wrote: a run is told apart, and its results are copied."""
    if not torch.cuda.is_available():
        return compiled

    def run(*arguments: object) -> object:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return _own(compiled(*arguments))

    return run


def _own(result: object) -> object:
    """Tensors, and tuples of them at any depth; on a CPU they are one's own already."""
    if isinstance(result, torch.Tensor):
        return result.clone() if result.is_cuda else result
    assert isinstance(result, tuple)
    parts: list[object] = [_own(part) for part in result]
    return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)  # type: ignore[arg-type]
