"""Which path our kernels take on which processor, who is told, and that each path computes the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forecasters.compiled.toolchain import missing_tools
from forecasters.kronos.paths import AVX2, AVX512, BFLOAT16, PATHS, PLAIN, KernelPath, allowed, expected, said_of

needs_compiler = pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}")
CROSS_COMPILER = "aarch64-linux-gnu-g++"
HASWELL = AVX2.needs | {"sse4_2"}
SKYLAKE = AVX512.needs | {"avx512cd"}
ZEN_4 = BFLOAT16.needs | {"avx512_vnni"}
SAPPHIRE_RAPIDS = ZEN_4 | {"amx_tile", "amx_bf16"}
HELD_TO = {  # the variables that hold a process to a path
    BFLOAT16: {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    AVX512: {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    AVX2: {"ATEN_CPU_CAPABILITY": "avx2"},
    PLAIN: {"ATEN_CPU_CAPABILITY": "default"},
}


@pytest.mark.parametrize(
    ("has", "path"),
    [(SAPPHIRE_RAPIDS, BFLOAT16), (ZEN_4, BFLOAT16), (SKYLAKE, AVX512), (HASWELL, AVX2), ({"asimd"}, PLAIN)],
)
def test_a_processor_gets_the_best_path_that_it_has(has: frozenset[str], path: KernelPath) -> None:
    found = allowed(frozenset(has), {})
    assert found == PATHS[PATHS.index(path) :]  # and those below it, where the compiler can't build it


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_torch_held_to_less_holds_our_kernels_too(path: KernelPath) -> None:
    assert allowed(ZEN_4, HELD_TO[path])[0] is path
    (setting,) = HELD_TO[path].items()
    held = path is not BFLOAT16  # the best is no less
    assert ("=".join(setting) in said_of(path, "", HELD_TO[path])) == held


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, AVX2),
        ({"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, BFLOAT16),
        ({"ATEN_CPU_CAPABILITY": "", "ONEDNN_MAX_CPU_ISA": "sse41"}, PLAIN),
    ],
)
def test_the_lower_of_two_limits_holds(environ: dict[str, str], path: KernelPath) -> None:
    assert allowed(ZEN_4, environ)[0] is path


def test_a_limit_gives_no_path_that_the_processor_lacks() -> None:
    assert allowed(HASWELL, HELD_TO[AVX512]) == (AVX2, PLAIN)


def test_what_is_used_is_one_sentence() -> None:
    assert said_of(BFLOAT16, "", {}) == "kernels: AVX-512 BF16"
    assert said_of(PLAIN, "", {}) == "kernels: plain C++, slower"
    assert said_of(AVX2, "AVX-512 can't be built: x", {}) == "kernels: AVX2 (AVX-512 can't be built: x)"
    assert said_of(None, "there is no g++", {}) == "kernels: none, PyTorch's operators serve: there is no g++"


@pytest.mark.parametrize("backend", ["kronos", "toto"])
def test_the_menu_of_backends_says_it(backend: str) -> None:
    from forecasters.registry import available

    (row,) = [each for each in available() if each.name == backend]
    assert sum(note.endswith(expected()) for note in row.notes) == 1


@needs_compiler
@pytest.mark.timeout(900)  # it may be the first to build them, beside whatever else this machine does
def test_what_is_expected_is_what_is_built_and_the_log_says_it(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
    from forecasters.kronos.build import built

    built.cache_clear()
    with caplog.at_level("INFO", logger="forecasters.kronos.build"):
        said = built().said
    assert [record.getMessage() for record in caplog.records] == [said]
    assert said == expected()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_compiler
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_path_that_this_processor_can_run_gives_the_same(path: KernelPath, tmp_path: Path) -> None:
    """The tests of all kernels once more, in a process of its own that is held to the path."""
    pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
    if path not in allowed(environ={}):
        pytest.skip(f"this processor lacks {', '.join(sorted(path.needs - allowed(environ={})[0].needs))}")
    script = "from forecasters.kronos.build import built; print(built().path.name)"
    environment = {
        name: value for name, value in os.environ.items() if not any(name in each for each in HELD_TO.values())
    }
    environment |= HELD_TO[path] | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True
    )
    assert said.stdout.strip() == path.name, said.stderr
    files = [str(Path(__file__).with_name(f"test_kronos_{name}.py")) for name in ("native", "kernels", "panels")]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which(CROSS_COMPILER) is None, reason=f"{CROSS_COMPILER} is not installed")
def test_the_plain_path_compiles_for_aarch64(tmp_path: Path) -> None:
    """With Debian's cross compiler (g++-aarch64-linux-gnu); that it runs there is not tested."""
    pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
    from torch.utils.cpp_extension import include_paths

    from forecasters.kronos.build import source

    (code := tmp_path / "kernels.cpp").write_text(source(PLAIN), encoding="utf-8")
    includes = [f"-I{folder}" for folder in include_paths()]
    argv = [CROSS_COMPILER, "-std=c++20", "-O0", "-fopenmp", "-fPIC", "-c", str(code), "-o", str(tmp_path / "out.o")]
    done = subprocess.run([*argv, *includes], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.o").read_bytes()[18] == 183  # e_machine of an ELF file: EM_AARCH64
