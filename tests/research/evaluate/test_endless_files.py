"""Files that a backend names, as its weights or by an option: hashed in the command, so they cost it bounded time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forecasters.base import ForecastError
from trader.research.forecasts.sources_of import MOST_BYTES, hash_of_files

pytestmark = pytest.mark.timeout(60)


def test_what_would_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for endless in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(ForecastError, match="can't be read: it is no file"):
            hash_of_files([endless])


def test_files_of_holes_are_not_read(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, MOST_BYTES // 2 + 1)
    with pytest.raises(ForecastError, match=f"{tmp_path} can't be read: its files have more than"):
        hash_of_files([tmp_path / "one", tmp_path / "other"])


def test_of_a_file_without_a_size_nothing_is_read() -> None:
    """The map of this process's pages has no size, and 256 GiB."""
    assert hash_of_files([Path("/proc/self/pagemap")])
