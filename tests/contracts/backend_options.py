"""What a backend is built with here: its defaults, but for one whose default is a checkpoint from elsewhere."""

from __future__ import annotations

from pathlib import Path


def options_for(name: str, folder: Path) -> dict[str, object]:
    """`folder` takes a checkpoint made for the occasion."""
    if name != "kronos":
        return {}
    import torch

    from tests.kronos.checkpoints import make_small

    torch.set_num_threads(1)  # so small a model only waits for its second thread
    if not (folder / "kronos").is_dir():
        make_small(folder / "kronos")
    return {"model_id": str(folder / "kronos"), "device": "cpu"}
