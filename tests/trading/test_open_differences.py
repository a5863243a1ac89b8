"""A person is asked about a difference that lasts, and about that one only."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.core.make import NOW, account, portfolio, position
from trader.core.reconcile import Believed, Reconciliation, Reported, reconcile
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.open_differences import ANSWERS, PATIENCE, OpenDifferences


def differing(qty: str) -> Reconciliation:
    cash = account().cash
    return reconcile(Believed(positions={}, cash=cash), Reported(portfolio=portfolio([position(qty=qty)])))


def heard(differences: OpenDifferences, qty: str, first: float, last: float, times: int) -> str:
    """So often between the two minutes; what is asked at the end."""
    for each in range(times):
        differences.heard(differing(qty), NOW + timedelta(minutes=first + (last - first) * each / max(times - 1, 1)))
    return differences.question(NOW + timedelta(minutes=last))


MINUTES = PATIENCE / timedelta(minutes=1)


def test_one_that_lasts_in_many_answers_is_asked_about() -> None:
    differences = OpenDifferences(MemoryJournal())
    assert "1 at the venue, 0 by the books" in heard(differences, "1", 0, MINUTES, ANSWERS)
    differences.ask()
    assert differences.question(NOW + 2 * PATIENCE) == "", "once"


def test_a_few_answers_far_apart_are_not_enough() -> None:
    """The machine may have slept in between."""
    assert heard(OpenDifferences(MemoryJournal()), "1", 0, 10 * MINUTES, ANSWERS - 1) == ""


def test_many_answers_in_a_short_time_are_not_enough() -> None:
    assert heard(OpenDifferences(MemoryJournal()), "1", 0, MINUTES - 1, 5 * ANSWERS) == ""


def test_another_difference_has_a_patience_of_its_own() -> None:
    differences = OpenDifferences(MemoryJournal())
    heard(differences, "1", 0, MINUTES, ANSWERS)
    differences.ask()
    assert differences.accepted("") == "BTC/USD 1"
    assert heard(differences, "2", MINUTES, MINUTES + 1, 2) == ""
    assert differences.accepted("") == "", "nobody was asked about this one"
    assert "2 at the venue" in heard(differences, "2", MINUTES + 1, 2 * MINUTES + 1, ANSWERS)


def test_the_next_start_goes_on_counting() -> None:
    journal = MemoryJournal()
    heard(OpenDifferences(journal), "1", 0, MINUTES, ANSWERS - 1)
    again = OpenDifferences(journal)
    assert heard(again, "1", MINUTES, MINUTES, 1)
    again.over()
    assert OpenDifferences(journal).key == ""
    assert Decimal(differing("1").key.removeprefix("BTC/USD ")) == 1
