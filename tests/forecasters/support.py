"""Bars to forecast from, and a third-party package of backends that misbehave, installed by its metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecasters.contract import made_bars
from forecasters.types import Context

HOUR = np.timedelta64(3600, "s")
START = np.datetime64("2024-03-04T00:00:00", "us")


def hours(count: int, first: np.datetime64 = START) -> NDArray[np.datetime64]:
    times: NDArray[np.datetime64] = first + np.arange(count) * HOUR
    return times.astype("datetime64[us]")


def bars(count: int, *, seed: int = 7, last_close: float = 100.0, volatility: float = 0.004) -> NDArray[np.float64]:
    """[T, 6] a random walk with shadows, ending at `last_close`."""
    return made_bars(count, seed=seed, last_close=last_close, volatility=volatility)


def context(
    symbol: str = "BTC/USD", *, count: int = 200, horizon: int = 1, seed: int = 7, last_close: float = 100.0
) -> Context:
    times = hours(count + horizon)
    values = bars(count, seed=seed, last_close=last_close)
    return Context(symbol=symbol, times=times[:count], values=values, future_times=times[count:])


def install_oddities(folder: Path, *, name: str = "oddities", points: dict[str, str] | None = None) -> Path:
    """Lay out an installed distribution in `folder`: its code and its metadata. Returns the folder, for PYTHONPATH."""
    source = Path(__file__).parent / "oddities"
    package = folder / name
    package.mkdir(parents=True)
    for file in source.glob("*.py"):
        (package / file.name).write_text(file.read_text())
    found = points if points is not None else {each: f"{name}.{each}" for each in _modules(source)}
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{key} = {value}" for key, value in found.items())
    (metadata / "entry_points.txt").write_text(f"[forecasters.backends]\n{lines}\n")
    return folder


def _modules(source: Path) -> Iterator[str]:
    return (file.stem for file in sorted(source.glob("*.py")) if not file.stem.startswith("_"))


@contextmanager
def torch_defaults(name: str) -> Iterator[None]:
    """Another default of torch meanwhile: a dtype of floats, or "meta", a device without any numbers."""
    import torch

    if name == "meta":
        with torch.device("meta"):
            yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)
