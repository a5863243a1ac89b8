"""What the tests of every folder share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def data_folder() -> Path:
    """Where real market data lies, if anywhere: TRADER_DATA, or `shared/data` beside the checkout."""
    return Path(os.environ.get("TRADER_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data("bars/SPY.parquet")` is that file; the test is skipped, with the reason, where it is not there."""

    def find(name: str) -> Path:
        path = data_folder() / name
        if not path.is_file():
            pytest.skip(f"no {name} in {data_folder()} (set TRADER_DATA to a folder that has it)")
        return path

    return find
