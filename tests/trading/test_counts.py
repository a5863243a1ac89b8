"""What is counted in a row and by the day, over restarts."""

from __future__ import annotations

from decimal import Decimal

from tests.core.make import NOW, execution, position
from trader.core.types import OrderSide
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.counts import Counts

HELD = position(entry="100")


def sold(counts: Counts, journal: MemoryJournal, order: str, price: str) -> None:
    counts.filled(execution(order_id=order, side=OrderSide.SELL, price=price), HELD, journal)


def test_an_exit_of_many_fills_is_one_loss() -> None:
    counts, journal = Counts(), MemoryJournal()
    for fill in range(5):
        sold(counts, journal, "first", str(90 + fill))
    assert counts.losing_exits == 1
    sold(counts, journal, "second", "95")
    assert counts.losing_exits == 2
    sold(counts, journal, "third", "105")
    assert counts.losing_exits == 0


def test_what_adds_to_a_position_is_no_exit() -> None:
    counts = Counts()
    counts.filled(execution(price="50"), HELD, MemoryJournal())
    assert counts.losing_exits == 0


def test_the_next_start_goes_on_counting_and_the_next_day_begins_anew() -> None:
    counts, journal = Counts(), MemoryJournal()
    counts.begin(NOW.date())
    counts.sent(Decimal("1234.5"), journal)
    counts.refused(journal)
    sold(counts, journal, "first", "90")
    counts.refused(journal)
    again = Counts.recalled(journal)
    assert again == counts
    sold(again, journal, "first", "90")
    assert again.losing_exits == 1, "the same exit, told of by another fill"
    again.begin(NOW.date().replace(day=13))
    assert (again.notional, again.orders, again.losing_exits) == (0, 0, 1)
