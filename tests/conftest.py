"""What the tests of every folder share."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, so that a red suite is red for what was changed; `make explore` draws new ones.
# How long an example takes, or is drawn for, is the machine's affair.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", PATIENT, derandomize=True)
settings.register_profile("explore", PATIENT, derandomize=False, print_blob=True)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
# Tests in these run whole programs, some of them with torch: 20 s on a quiet machine, minutes on one that is not.
WHOLE_PROGRAMS = ("chaos", "contracts", "e2e", "faults", "forecasters", "research", "systemd")
PATIENCE_S = 400
# The longest files first: one that is begun last keeps one worker busy after the others have ended. Those that wait for
# programs take turns with those that compute, so that neither all workers wait nor all of them want a core.
WAITING = ("examples", "packaging", "e2e", "faults", "docs")
COMPUTING = ("research/backtest", "chaos", "forecasters")
COMPUTING_FOR_EACH_WAITING = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limit of a test is against hanging only."""
    paths = list(dict.fromkeys(item.path for item in items))
    patient = {path for path in paths if _turn(path, WHOLE_PROGRAMS) is not None}
    for item in items:
        if item.get_closest_marker("timeout") is None and item.path in patient:
            item.add_marker(pytest.mark.timeout(PATIENCE_S))
    turns = {path: turn for turn, path in enumerate(_mixed(paths))}
    items.sort(key=lambda item: turns[item.path])  # before the plug-ins' hooks: `--random-order` has the last word


def _mixed(paths: Sequence[Path]) -> Iterator[Path]:
    """Files of one folder keep their order."""
    turns = {path: _turn(path, WAITING) for path in paths}
    waiting = sorted((path for path in paths if turns[path] is not None), key=lambda path: turns[path] or 0)
    rest = [path for path in paths if turns[path] is None]
    turns = {path: _turn(path, COMPUTING) for path in rest}
    known = sorted((path for path in rest if turns[path] is not None), key=lambda path: turns[path] or 0)
    computing = iter([*known, *(path for path in rest if turns[path] is None)])
    for path in waiting:
        yield path
        yield from islice(computing, COMPUTING_FOR_EACH_WAITING)
    yield from computing


def _turn(path: Path, names: Sequence[str]) -> int | None:
    """Which of the folders it is in, if any."""
    places = (Path(__file__).parent / name for name in names)
    return next((turn for turn, place in enumerate(places) if place in path.parents), None)


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
    """Recorded data is one reason, whichever file is not there: pytest lists each above."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "TRADER_DATA" in told:
        return f"no recorded market data in {data_folder()} (set TRADER_DATA)"
    return told.removeprefix("Skipped: ")
