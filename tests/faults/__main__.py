"""`python -m tests.faults`: the rows of matrix.py, each with its tests, and what a person would have waited for."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.faults.matrix import ELSEWHERE, ROWS, Declared, declared


@dataclass
class Seen:
    """What became of the tests: by node id their outcome, and the alarms that they measured."""

    outcomes: dict[str, str] = field(default_factory=dict)
    alarms: list[tuple[int, str, float, float | None, float | None]] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            before = self.outcomes.get(report.nodeid)
            self.outcomes[report.nodeid] = report.outcome if before in (None, "passed") else before
        if report.when == "call":
            self.alarms += [tuple(value) for name, value in report.user_properties if name == "alarm"]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: each row has a test that runs the daemon, and all are green. 1: not so. 2: nothing could be learned."""
    asked = _parser().parse_args(arguments)
    chosen = [row for row in sorted(ROWS) if not asked.row or row in asked.row]
    tests = [each for each in declared() if set(each.rows) & set(chosen)]
    places = sorted({each.place for each in tests} | {ELSEWHERE[row] for row in chosen if row in ELSEWHERE})
    if asked.list:
        print("\n".join(places))
        return 0
    seen, began = Seen(), time.monotonic()
    command = ["-q", "--tb=short", "-p", "no:cacheprovider", "--timeout=600", *places]
    if asked.jobs > 1:
        command += ["-n", str(asked.jobs), "--dist", "loadfile"]
    status = pytest.main(command, plugins=[seen])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return 2
    print(f"\n{_table(chosen, tests, seen)}\n\n{_alarms(seen)}")
    failed = [row for row in chosen if _result(row, tests, seen)[0] not in ("green", "green in part", "in process")]
    counts = f"{len(seen.outcomes)} tests of {len(chosen)} rows in {time.monotonic() - began:.0f} s"
    print(f"\n{counts}; not green: {', '.join(map(str, failed)) or 'none'}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--row", type=int, action="append", default=[], help="this one alone (repeatable)")
    parser.add_argument("-n", "--jobs", type=int, default=1, help="so many files of tests at once")
    parser.add_argument("--list", action="store_true", help="say which tests these are, and run nothing")
    return parser


def _table(rows: Iterable[int], tests: Sequence[Declared], seen: Seen) -> str:
    lines = [("row", "fault", "survived where", "tests", "result")]
    for row in rows:
        result, names = _result(row, tests, seen)
        lines.append((str(row), ROWS[row].fault, ROWS[row].passes, names, result))
    return _columns(lines)


def _result(row: int, tests: Sequence[Declared], seen: Seen) -> tuple[str, str]:
    """Red, green, in process or missing; and the tests, by file with how many ran."""
    ours = [each for each in tests if row in each.rows]
    counted = defaultdict[str, list[str]](list)
    for each in ours:
        for node, outcome in seen.outcomes.items():
            if node.partition("[")[0] == each.place:
                counted[each.place.partition("::")[0].rpartition("/")[2]].append(outcome)
    names = ", ".join(f"{name} ({len(found)})" for name, found in counted.items())
    outcomes = [outcome for found in counted.values() for outcome in found]
    if not any(each.is_process for each in ours):
        elsewhere = ELSEWHERE.get(row, "")
        outcomes += [outcome for node, outcome in seen.outcomes.items() if node.partition("[")[0] == elsewhere]
        names = ", ".join(filter(None, (names, elsewhere.rpartition("/")[2])))
        usual = "in process" if outcomes else "missing"
    else:
        usual = "green"
    if "failed" in outcomes:
        return "RED", names
    if usual == "green" and "skipped" in outcomes:
        usual = "green in part" if "passed" in outcomes else "skipped"
    return usual, names


def _alarms(seen: Seen) -> str:
    """Those with the settings as they come: where `own` is known."""
    lines = [("row", "what", "s from fault to post", "of these its own wait", "s to the all-clear")]
    for row, what, after_s, own_s, cleared_s in sorted(seen.alarms, key=lambda each: (each[0], each[1])):
        if own_s is not None:
            cleared = "-" if cleared_s is None else f"{cleared_s:.1f}"
            lines.append((str(row), what, f"{after_s:.1f}", f"{own_s:.0f}", cleared))
    return _columns(lines)


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
