"""What a backend is built with here: its defaults, but for those whose default is a checkpoint from elsewhere."""

from __future__ import annotations

from pathlib import Path


def options_for(name: str, folder: Path) -> dict[str, object]:
    """`folder` takes a checkpoint made for the occasion."""
    if name not in ("kronos", "toto"):
        return {}
    import torch

    torch.set_num_threads(1)  # so small a model only waits for its second thread
    if not (folder / name).is_dir():
        _make(name, folder / name)
    return {"model_id": str(folder / name), "device": "cpu"}


def _make(name: str, folder: Path) -> None:
    if name == "kronos":
        from tests.forecasters.kronos.checkpoints import make_small

        make_small(folder)
    else:
        from forecasters.toto.checkpoint import make_checkpoint

        make_checkpoint("tiny", folder)
