"""Activities in the journal: each once, reasons found later, fees that are settled; and journals of before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.adapters import samples
from tests.adapters.samples import BTC, NOW
from trader.adapters.journal import Journal, check
from trader.adapters.journal.upgrade import MIGRATIONS
from trader.core.postings import Posting
from trader.research.backtest.memory_journal import MemoryJournal

D = Decimal
LATER = NOW + timedelta(hours=5)
DEPOSIT = Posting(id="1", kind="CSD", day=NOW.date(), cash=D(5000))
INTEREST = Posting(id="2", kind="INT", day=NOW.date(), cash=D(30))
FEE = Posting(id="3", kind="CFEE", day=NOW.date(), symbol=BTC, qty=D("-0.0015"))


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[tuple[Journal, MemoryJournal]]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as opened:
        yield opened, MemoryJournal()
    assert check(f"sqlite:///{tmp_path}/journal.db") == []


def test_a_correction_with_its_reason_is_booked_once_and_counted(journals: tuple[Journal, MemoryJournal]) -> None:
    for journal in journals:
        journal.correction("transfer", NOW, cash=DEPOSIT.cash, posting=DEPOSIT)
        assert [each.posting for each in journal.postings(NOW.date())] == [DEPOSIT]
        assert not journal.postings(NOW.date() + timedelta(days=1))
        assert not journal.unclaimed(NOW)
        assert (journal.moved(), journal.believed().cash) == (5000, 5000)
        assert journal.believed().positions == {}


def test_reasons_that_come_later_divide_what_was_booked(journals: tuple[Journal, MemoryJournal]) -> None:
    for journal in journals:
        journal.correction("transfer", NOW, cash=D(5030))
        (lump,) = journal.unclaimed(NOW)
        journal.claim(lump.id, {"transfer": [DEPOSIT], "int": [INTEREST]})
        assert sorted((each.kind, each.cash) for each in journal.unclaimed(NOW)) == []
        assert (journal.moved(), journal.believed().cash) == (5000, 5030)
        assert {each.posting.id for each in journal.postings(NOW.date())} == {"1", "2"}
    assert sorted((c.kind, c.cash) for c in journals[0].corrections()) == [("int", 30), ("transfer", 5000)]
    assert sorted((c.kind, c.cash) for c in journals[1].corrections) == [("int", 30), ("transfer", 5000)]


def test_a_settled_fee_moves_the_books_and_one_that_is_freed_does_not_stay(
    journals: tuple[Journal, MemoryJournal],
) -> None:
    fill = replace(samples.execution(1, fee="0.0025"), fee_estimated=True)
    charged = replace(fill, fee=D("0.0015"), fee_estimated=False)
    for journal in journals:
        journal.save_sync(samples.portfolio(), (), [fill])
        for _ in range(2):
            journal.settle_fees([charged], {fill.id: FEE}, (), NOW)
            assert journal.believed().positions[BTC] == fill.qty - D("0.0015")
        assert [(each.posting, each.fill) for each in journal.postings(NOW.date())] == [(FEE, fill.id)]
        journal.settle_fees([fill], {}, [FEE.id], LATER)
        assert journal.believed().positions[BTC] == fill.qty - D("0.0025")
        assert not journal.postings(NOW.date())
    changes = journals[0].fee_changes()
    assert [(each.execution_id, each.fee, each.at) for each in changes] == [
        (fill.id, D("0.0025"), NOW),
        (fill.id, D("0.0015"), LATER),
    ]


def test_a_journal_of_before_is_read_and_its_equity_counts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = {"at": NOW.isoformat(timespec="microseconds"), "equity": "101.5", "cash": "50"}
        connection.execute(sa.text("INSERT INTO equity (at, equity, cash) VALUES (:at, :equity, :cash)"), row)
        connection.commit()
    engine.dispose()
    with Journal.open(url) as journal:
        (point,) = journal.equity_points()
        assert (point.equity, point.own, point.moved, point.doubtful) == (D("101.5"), None, 0, False)
        assert journal.last_equity(NOW + timedelta(seconds=1)) == point
        assert journal.moved() == 0
