"""What the desk keeps in mind is what the journal would tell, and after a write that failed the journal is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.adapters import samples
from tests.adapters.samples import BTC, NOW
from trader.adapters.journal import Journal
from trader.core.equity import Counted
from trader.core.orders import IntentState
from trader.core.types import OrderIntent, Purpose
from trader.errors import DatabaseAway
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.journal_cache import LIVE, Known

COUNT = Counted(equity=Decimal(100), moved=Decimal(0), doubtful=False)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as opened:
        yield opened


@pytest.fixture
def known(journal: Journal) -> Known:
    """One that has been asked for everything, so that it has all of it in memory."""
    made = Known(journal)
    made.live(), made.books(), made.levels()
    return made


def assert_agree(known: Known, journal: Journal) -> None:
    told = [(r.intent, r.state, r.order_id, r.created_at) for r in known.live()]
    assert told == [(r.intent, r.state, r.order_id, r.created_at) for r in journal.intents(LIVE)]
    assert known.levels() == journal.levels()
    books, believed = known.books(), journal.believed()
    assert (books.positions, books.cash) == (believed.positions, believed.cash)


def test_every_write_leaves_memory_and_journal_in_agreement(known: Known, journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    known.save_plan("c1", samples.inputs(), samples.plan())
    assert_agree(known, journal)
    assert known.live()
    assert known.levels()
    known.add_intent("c1", samples.intent("exit", purpose=Purpose.TARGET), NOW)
    assert_agree(known, journal)
    known.set_intent("exit", IntentState.ACCEPTED, NOW, order_id="order-2")
    known.set_intent("exit", IntentState.UNKNOWN, NOW, reason="the order id stays")
    assert_agree(known, journal)
    for record in known.live():
        known.set_intent(record.intent.client_order_id, IntentState.DONE, NOW)
        assert_agree(known, journal)
    assert not known.live()
    assert known.save_sync(samples.portfolio(), [samples.order()], [samples.execution()], COUNT)
    assert_agree(known, journal)
    known.correct("cash", NOW, symbol=BTC, qty=samples.execution().qty, cash=samples.execution().price)
    assert_agree(known, journal)
    fresh = replace(known.levels()[BTC], stop=Decimal("1.5"))
    known.save_levels([fresh])
    assert_agree(known, journal)
    assert known.levels() == {BTC: fresh}
    known.drop_levels(BTC)
    assert_agree(known, journal)
    assert not known.levels()


def test_a_write_that_failed_leaves_nothing_to_trust(known: Known, journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    known.save_plan("c1", samples.inputs(), samples.plan())
    with pytest.raises(sa.exc.IntegrityError):  # that cycle has its plan
        known.save_plan("c1", samples.inputs(), samples.plan(prefix="other"))
    assert_agree(known, journal)
    with pytest.raises(sa.exc.IntegrityError):
        known.add_intent("c1", known.live()[0].intent, NOW)
    assert_agree(known, journal)
    with pytest.raises(KeyError):
        known.set_intent("nobody", IntentState.DONE, NOW)
    assert_agree(known, journal)


class Unsure(MemoryJournal):
    """Writes, and can't tell that it has: the connection ends before the answer."""

    ends = False

    def add_intents(self, cycle_id: str, intents: Sequence[OrderIntent], at: datetime) -> None:
        super().add_intents(cycle_id, intents, at)
        self._answer()

    def set_intent(
        self, client_order_id: str, state: str, at: datetime, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        super().set_intent(client_order_id, state, at, order_id=order_id, reason=reason)
        self._answer()

    def _answer(self) -> None:
        if self.ends:
            raise DatabaseAway("connection reset")


def test_a_write_that_was_done_and_told_as_failed_is_known_all_the_same() -> None:
    journal = Unsure()
    known = Known(journal)
    assert not known.live()
    journal.ends = True
    with pytest.raises(DatabaseAway):
        known.add_intent("c1", samples.intent("entry"), NOW)
    assert [record.intent.client_order_id for record in known.live()] == ["entry"]
    with pytest.raises(DatabaseAway):
        known.set_intent("entry", IntentState.DONE, NOW)
    assert not known.live()


def test_an_intent_that_was_over_stays_over_in_memory(known: Known, journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    known.add_intent("c1", samples.intent("entry"), NOW)
    known.set_intent("entry", IntentState.REJECTED, NOW)
    known.set_intent("entry", IntentState.REJECTED, NOW, reason="said twice")
    assert_agree(known, journal)
    assert not known.live()
