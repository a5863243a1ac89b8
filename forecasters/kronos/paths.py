"""Which of our kernels' paths suits this processor: the one place that says so. Without torch.

The best that the processor has, unless one of the two variables by which torch and oneDNN are held to less says less:
ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forecasters.compiled.toolchain import missing_tools


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPath:
    """name     as a person reads it
    needs    of the processor, as /proc/cpuinfo names it
    defines  what the source is compiled with
    flags    and the compiler, beyond what torch gives it
    """

    name: str
    needs: frozenset[str]
    defines: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


_AVX2 = frozenset({"avx2", "fma", "f16c"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_OF_AVX512 = ("CPU_CAPABILITY AVX512", "CPU_CAPABILITY_AVX512")

BFLOAT16 = KernelPath(
    name="AVX-512 BF16", needs=_AVX512 | {"avx512_bf16"}, defines=(*_OF_AVX512, "KERNELS_BFLOAT16_PAIRS")
)
AVX512 = KernelPath(name="AVX-512", needs=_AVX512, defines=_OF_AVX512)
AVX2 = KernelPath(name="AVX2", needs=_AVX2, defines=("CPU_CAPABILITY AVX2", "CPU_CAPABILITY_AVX2"))
PLAIN = KernelPath(name="plain C++, slower", needs=frozenset(), flags=("-ftree-loop-vectorize",))
PATHS = (BFLOAT16, AVX512, AVX2, PLAIN)  # the best first

# What a variable's value allows at most. Other values allow all: neither torch nor oneDNN is held to less by them.
_AT_MOST = {
    "ATEN_CPU_CAPABILITY": {"DEFAULT": PLAIN, "AVX2": AVX2},
    "ONEDNN_MAX_CPU_ISA": {
        **dict.fromkeys(("SSE41", "AVX"), PLAIN),
        **dict.fromkeys(("AVX2", "AVX2_VNNI", "AVX2_VNNI_2"), AVX2),
        **dict.fromkeys(("AVX512_CORE", "AVX512_CORE_VNNI"), AVX512),
    },
}


def allowed(processor: frozenset[str] | None = None, environ: Mapping[str, str] = os.environ) -> tuple[KernelPath, ...]:
    """The best first, plain C++ last. A later one serves where the compiler can't build an earlier one."""
    has = _abilities() if processor is None else processor
    most = max((PATHS.index(path) for _, path in _limits(environ)), default=0)
    return tuple(path for path in PATHS[most:] if path.needs <= has)


def expected() -> str:
    """One sentence, without building anything: what a compiled model on this machine's CPU will run on."""
    lacks = missing_tools()
    return said_of(None, for_want_of(lacks)) if lacks else said_of(allowed()[0])


def for_want_of(lacks: Sequence[str]) -> str:
    return f"for want of {' and '.join(lacks)}"


def said_of(path: KernelPath | None, why: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """One sentence of the path that is used, or of None; `why` no better one is, where that is not the processor."""
    if path is None:
        return f"kernels: none, PyTorch's operators serve: {why}"
    limit_reasons = [f"{setting} says so" for setting, most in _limits(environ) if most is path]
    reasons = [reason for reason in (*limit_reasons, why) if reason]
    return f"kernels: {path.name}" + (f" ({'; '.join(reasons)})" if reasons else "")


def _limits(environ: Mapping[str, str]) -> list[tuple[str, KernelPath]]:
    """`NAME=VALUE` of each variable that holds us to less, and to what."""
    found = [
        (f"{name}={environ.get(name)}", values.get(environ.get(name, "").upper())) for name, values in _AT_MOST.items()
    ]
    return [(setting, most) for setting, most in found if most is not None]


def _abilities() -> frozenset[str]:
    """As Linux names them on x86-64; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
