"""Out of memory is told from what else a GPU may say, and a GPU that is not used is said."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.base import ForecastError  # noqa: E402
from forecasters.compiled.faults import breaks_the_device, free_device_memory, in_words, is_out_of_memory  # noqa: E402
from forecasters.options import chosen_device  # noqa: E402

OTHERS = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: invalid argument"),
    RuntimeError("out of memory"),  # anybody may say so
    ValueError("memory"),
]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: 99 bytes"),
    ],
)
def test_memory_that_is_not_to_be_had_is_out_of_memory(error: BaseException) -> None:
    assert is_out_of_memory(error)
    assert not breaks_the_device(error)
    assert in_words(error).startswith("out of memory: ")


def test_what_the_allocator_really_raises_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize("error", OTHERS)
def test_no_other_error_is_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)
    assert breaks_the_device(error) is isinstance(error, torch.AcceleratorError)
    assert in_words(error).startswith(type(error).__name__)


def test_only_the_first_line_that_says_something_is_kept() -> None:
    assert in_words(RuntimeError("\n\n  it broke\nCompiling with `TORCH_USE_CUDA_DSA`")) == "RuntimeError: it broke"
    assert in_words(KeyError()) == "KeyError"


def test_giving_memory_back_needs_no_gpu() -> None:
    free_device_memory()


def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error_and_no_cpu() -> None:
    with pytest.raises(ForecastError, match="KRONOS_DEVICE is cuda, but torch sees no GPU"):
        chosen_device("cuda", torch_has_gpu=False, setting="KRONOS_DEVICE")
    assert chosen_device("cuda", torch_has_gpu=True, setting="KRONOS_DEVICE") == ("cuda", [])
    assert chosen_device("auto", torch_has_gpu=True, setting="KRONOS_DEVICE") == ("cuda", [])
    assert chosen_device("cpu", torch_has_gpu=True, setting="KRONOS_DEVICE") == ("cpu", [])
