"""Checkpoints and loaded models that several tests share. What needs torch is skipped, with the reason, without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.forecasters.kronos.checkpoints import make_golden, make_small

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
    pytest.importorskip("safetensors", reason="Kronos needs safetensors: pip install '.[models]'")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folders(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kronos")
    return {
        "tiny": make_golden(root / "tiny", "tiny"),
        "mini": make_golden(root / "mini", "mini"),
        "small": make_small(root / "small"),
        "wild": make_small(root / "wild", proper=False),
        "two bits": make_small(root / "two-bits", bits=2, layers=1),
    }


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, Kronos]:
    from forecasters.kronos import load_kronos

    return {name: load_kronos(folder) for name, folder in folders.items()}


@pytest.fixture(scope="session")
def tiny(models: dict[str, Kronos]) -> Kronos:
    return models["tiny"]
