"""What the tests of every folder share."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time, so that a red suite is red for what was changed; `make explore` draws new ones.
settings.register_profile("suite", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
# Tests in these run whole programs, some of them with torch: 20 s on a quiet machine, minutes on one that is not.
WHOLE_PROGRAMS = ("chaos", "contracts", "e2e", "faults", "forecasters", "research", "systemd")
PATIENCE_S = 400
# The longest files first: one that is begun last keeps one worker busy after the others have ended.
LONGEST_FIRST = ("examples", "research/backtest", "packaging", "e2e", "faults", "chaos", "docs", "forecasters")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limit of a test is against hanging only."""
    folders = [Path(__file__).parent / name for name in WHOLE_PROGRAMS]
    for item in items:
        if item.get_closest_marker("timeout") is None and any(folder in item.path.parents for folder in folders):
            item.add_marker(pytest.mark.timeout(PATIENCE_S))
    items.sort(key=_turn)  # before the plug-ins' hooks: `--random-order` has the last word


def _turn(item: pytest.Item) -> int:
    """Files, and the tests in each, keep their order otherwise: the sort is stable."""
    places = (Path(__file__).parent / name for name in LONGEST_FIRST)
    return next((turn for turn, place in enumerate(places) if place in item.path.parents), len(LONGEST_FIRST))


@pytest.fixture(autouse=True)
def _temporary_folder_as_before() -> Iterator[None]:
    """A compiled backend in the test's own process gives it another one: see forecasters/compiled/toolchain.py."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    yield
    os.environ.pop("TMPDIR", None)
    if before[0] is not None:
        os.environ["TMPDIR"] = before[0]
    tempfile.tempdir = before[1]


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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Last, what was left out and why, in one line; after it comes only pytest's closing line."""
    yield
    why = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    each = "; ".join(f"{count} {reason}" for reason, count in why.most_common())
    terminalreporter.write_line(f"skipped: {why.total()}" + (f" ({each})" if each else ""))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")
