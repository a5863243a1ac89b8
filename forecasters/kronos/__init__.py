"""Kronos, a language model of bars, for inference: our own port of the published architecture.

The architecture is that of github.com/shiyu-coder/Kronos (MIT; its notice is in LICENSE.upstream). Importing this
package is cheap: torch comes with the first checkpoint.

Shapes stand behind the line that makes them. In every file the letters are
B series, T bars of context, H bars of horizon, S samples, R rows of a series in a cache (samples, filled up),
P places of a cache for the context, N tokens drawn, D width, F hidden width, h heads, w width of a head, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forecasters.kronos.features import DEFAULT_CLIP
from forecasters.kronos.files import CheckpointError
from forecasters.kronos.hub import locate_folder

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

__all__ = ["CheckpointError", "load_kronos"]


def load_kronos(
    folder: str | Path,
    compile: bool = False,
    *,
    max_context: int | None = None,
    clip: float = DEFAULT_CLIP,
    dtype: Literal["float32", "bfloat16"] = "float32",
    device: str = "cpu",
    compile_backend: str = "inductor",
    compile_mode: str | None = None,
) -> Kronos:
    """folder/network and folder/tokenizer, config.json and model.safetensors in each. Raises CheckpointError.

    max_context  bars, by default what network/config.json declares, or 2048 at the shape of mini and 512 else
    clip         standard deviations
    dtype        of the network; the tokenizer is float32 always
    device       as torch names it
    compile      the step of the loop, for each shape when it is first met. The paths are the same.
    compile_mode as torch.compile names it; None is default on a CPU, reduce-overhead (CUDA graphs) on a GPU
    """
    import torch

    from forecasters.kronos.generate import Kronos
    from forecasters.kronos.weights import load

    checkpoint = load(locate_folder(Path(folder)), max_context=max_context)
    where = torch.device(device)
    step = None
    if compile:
        from forecasters.kronos.compiled import compiled_advance, default_mode

        step = compiled_advance(backend=compile_backend, mode=compile_mode or default_mode(where))
    return Kronos(checkpoint, clip=clip, dtype=getattr(torch, dtype), device=where, step=step)
