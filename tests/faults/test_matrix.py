"""Each row of the matrix has a test that runs the daemon, or the table says plainly that it has none."""

from __future__ import annotations

import pytest

from tests.faults.matrix import ELSEWHERE, HERE, MISSING, ROWS, declared, rows_of

ROOT = HERE.parents[1]


def test_every_row_runs_the_daemon_or_is_named_as_one_that_does_not() -> None:
    with_daemon = {row for each in declared() if each.is_process for row in each.rows}
    assert ROWS.keys() - with_daemon <= ELSEWHERE.keys() | MISSING


def test_no_test_speaks_of_a_row_that_is_none() -> None:
    assert {row for each in declared() for row in each.rows} <= ROWS.keys() == set(range(1, 89))


@pytest.mark.parametrize("place", ELSEWHERE.values())
def test_what_stands_in_for_a_row_is_there(place: str) -> None:
    path, _, name = place.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_row_07_a_reset", (7,)),
        ("test_rows_44_to_46_one_endpoint", (44, 45, 46)),
        ("test_rows_21_and_22_numbers", (21, 22)),
        ("test_a_row_of_orders", ()),
        ("test_row_26_when_the_clock_is_set_by_an_hour", (26,)),
    ],
)
def test_a_name_says_its_rows(name: str, rows: tuple[int, ...]) -> None:
    assert rows_of(name) == rows
