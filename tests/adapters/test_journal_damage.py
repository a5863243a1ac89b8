"""The journal when things go wrong: killed writers, damaged files, other versions, locks, full disks."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.adapters import samples
from tests.adapters.samples import BTC, NOW
from tests.adapters.schemas import tables_of, whole_schemas
from tests.waiting import let_pass
from trader.adapters.journal import DiskFull, Journal, backup, check, schema, upgrade
from trader.adapters.journal.store import BUSY_AGAIN_MS, BUSY_MS, make_engine
from trader.errors import DatabaseAway, DatabaseUnusable, Transient

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from tests.adapters import samples
from trader.adapters.journal import Journal
journal = Journal.open(sys.argv[1])
for number in range(100_000):
    name = f"c{number}"
    journal.begin_cycle(name, "trade", samples.NOW)
    journal.save_plan(name, samples.inputs(cycle_id=name), samples.plan(prefix=name))
    journal.save_sync(samples.portfolio(samples.order(number)), (), [samples.execution(number)])
    print(number, flush=True)
"""
MIGRATOR = """
import sys
from trader.adapters.journal import upgrade
print("go", flush=True)
upgrade(sys.argv[1])
"""


def file_url(folder: Path) -> str:
    return f"sqlite:///{folder}/journal.db"


def killed_after(lines: int, program: str, url: str) -> list[str]:
    """What the program had acknowledged when it was killed."""
    process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    heard = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    heard += process.stdout.read().split()
    process.wait(10)
    process.stdout.close()
    return heard


def test_what_an_order_stands_on_is_on_the_disk_before_it_is_sent(tmp_path: Path) -> None:
    """The rest of what is written does not wait for the disk, and goes there with the next that does."""
    with Journal.open(file_url(tmp_path)) as journal:
        journal.begin_cycle("c1", "trade", NOW)
        for write in (
            lambda: journal.save_plan("c1", samples.inputs(), samples.plan()),
            lambda: journal.add_intents("c1", [samples.intent("exit")], NOW),
            lambda: journal.save_sync(samples.portfolio(samples.order()), (), [samples.execution()]),
            lambda: journal.correction("cash", NOW, cash=samples.execution().price),
            lambda: journal.set_flag("halted", "a person must look", NOW),
            lambda: journal.enqueue("pause", {}, NOW),
            lambda: journal.alert("venue", "error", "it is mute", NOW),
        ):
            journal.set_meta("peak", "100000")
            assert not waits_for_the_disk(journal)
            write()
            assert waits_for_the_disk(journal)


def waits_for_the_disk(journal: Journal) -> bool:
    """How the last commit was made: synchronous is 2 for FULL, 1 for NORMAL."""
    driver = journal._writer.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return bool(driver.execute("PRAGMA synchronous").fetchone()[0] == 2)


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    url = file_url(tmp_path)
    last = int(killed_after(acknowledged, WRITER, url)[-1])
    assert check(url) == []
    with Journal.open(url) as journal:
        assert journal.believed().cash in {-100 * (last + 1), -100 * (last + 2)}
        for number in range(last + 1):
            assert journal.intent(f"c{number}-1") is not None
            assert journal.inputs(f"c{number}").cycle_id == f"c{number}"


def test_a_killed_migration_leaves_the_schema_of_one_version_whole(tmp_path: Path) -> None:
    whole = whole_schemas(tmp_path)
    assert set(schema.metadata.tables) in whole
    for round_ in range(6):
        url = f"sqlite:///{tmp_path}/j{round_}.db"
        process = subprocess.Popen([sys.executable, "-c", MIGRATOR, url], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.readline()
        let_pass(0.04 * round_)  # wherever it is by then
        process.kill()
        process.wait(10)
        process.stdout.close()
        assert tables_of(tmp_path / f"j{round_}.db") in whole
        assert upgrade(url) == schema.HEAD
        assert check(url) == []


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(url: str) -> None:
    upgrade(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        for name, table in schema.metadata.tables.items():
            made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
            assert made == {column.name: bool(column.nullable) for column in table.columns}, name
            indexed = {index["name"] for index in inspector.get_indexes(name) if not index.get("duplicates_constraint")}
            assert {index.name for index in table.indexes} <= indexed
    engine.dispose()
    assert upgrade(url) == schema.HEAD


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"this is no database at all" * 400)
    with pytest.raises(DatabaseUnusable, match="restore the last") as refused:
        Journal.open(file_url(tmp_path))
    assert refused.value.exit_code == 74
    assert file.read_bytes().startswith(b"this is no database")


def test_a_damaged_page_is_noticed_at_the_start(tmp_path: Path) -> None:
    with Journal.open(file_url(tmp_path)) as journal:
        for number in range(40):
            journal.alert("noise", "info", "x" * 2_000 + str(number), NOW)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray((tmp_path / "journal.db").read_bytes())
    for page in range(10, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    (tmp_path / "journal.db").write_bytes(bytes(data))
    with pytest.raises(DatabaseUnusable, match="restore"):
        Journal.open(file_url(tmp_path))


def test_a_newer_schema_is_refused_with_what_to_do(url: str) -> None:
    upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(DatabaseUnusable, match="newer"):
        Journal.open(url)


def test_someone_elses_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(DatabaseUnusable, match="something else"):
        Journal.open(file_url(tmp_path))


def test_a_reader_does_not_make_a_journal(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="no journal"):
        Journal.open(file_url(tmp_path), create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["nonsense", "mysterydb://host/name", "sqlite:////proc/none/journal.db"])
def test_a_url_that_can_not_be_opened_says_so(url: str) -> None:
    with pytest.raises(DatabaseUnusable):
        Journal.open(url)


def test_a_server_that_is_not_there_may_come_back_and_its_password_stays_hidden() -> None:
    with pytest.raises(DatabaseAway) as refused:
        Journal.open("postgresql://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(refused.value)
    assert refused.value.exit_code == 75
    with pytest.raises(DatabaseAway, match="resolve host"):  # as at a boot, before there are names
        Journal.open("postgresql://someone:hunter2@no-such-host.invalid/none")


def test_a_database_locked_by_another_process_is_transient_and_writes_nothing(
    tmp_path: Path,
) -> None:
    with Journal.open(file_url(tmp_path)) as journal:
        journal.begin_cycle("c1", "trade", NOW)
        with journal._read() as connection:  # the pool's connections wait for less than five seconds here
            connection.exec_driver_sql("PRAGMA busy_timeout=50")
        journal._writer.exec_driver_sql("PRAGMA busy_timeout=50")
        journal._writer.rollback()
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Transient, match="locked"):
                journal.add_intents("c1", [samples.intent("a")], NOW)
            assert journal.intents() == []
            assert patience_ms(journal) == BUSY_AGAIN_MS, "exits go on meanwhile, and come after each wait"
            other.execute("ROLLBACK")
        journal.add_intents("c1", [samples.intent("a")], NOW)
        assert len(journal.intents()) == 1
        assert patience_ms(journal) == BUSY_MS


def patience_ms(journal: Journal) -> int:
    """How long its next commit waits for another process's."""
    driver = journal._writer.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return int(driver.execute("PRAGMA busy_timeout").fetchone()[0])


def test_a_start_on_a_locked_database_is_one_to_be_tried_again(tmp_path: Path) -> None:
    """Not 74, from which systemd does not start again: whoever holds the lock will let go of it."""
    with Journal.open(file_url(tmp_path)):
        pass
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseAway, match=r"locked .*Try again") as refused:
            Journal.open(file_url(tmp_path))
        other.execute("ROLLBACK")
    assert refused.value.exit_code == 75


def fill_up(journal: Journal) -> None:
    for number in range(200):
        journal.alert("noise", "info", "x" * 4_000 + str(number), NOW)


def test_a_full_disk_raises_and_what_was_committed_stands(tmp_path: Path) -> None:
    with Journal.open(file_url(tmp_path)) as journal:
        journal.begin_cycle("c1", "trade", NOW)
        journal.add_intents("c1", [samples.intent("a")], NOW)
        pages = journal._writer.exec_driver_sql("PRAGMA page_count").scalar()
        journal._writer.rollback()
        journal._writer.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        journal._writer.rollback()
        with pytest.raises(DiskFull, match="space"):
            fill_up(journal)
        assert [record.intent.client_order_id for record in journal.intents()] == ["a"]
        journal._writer.exec_driver_sql("PRAGMA max_page_count=100000")
        journal._writer.rollback()
        journal.set_intent("a", "accepted", NOW)
    assert check(file_url(tmp_path)) == []


def test_a_backup_is_complete_and_opens_while_the_journal_is_in_use(tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "journal.db"
    with Journal.open(file_url(tmp_path)) as journal:
        journal.save_sync(samples.portfolio(samples.order()), (), [samples.execution(1)])
        backup(file_url(tmp_path), copy)
        journal.save_sync(samples.portfolio(), (), [samples.execution(2)])
    assert check(f"sqlite:///{copy}") == []
    with Journal.open(f"sqlite:///{copy}", create=False) as restored:
        assert restored.executions() == [samples.execution(1)]
        assert restored.believed().positions[BTC] == samples.execution(1).qty - samples.execution(1).fee
    with pytest.raises(DatabaseUnusable, match="itself"):
        backup(file_url(tmp_path), tmp_path / "journal.db")


def test_check_tells_when_the_books_do_not_add_up(url: str) -> None:
    with Journal.open(url) as journal:
        journal.save_sync(samples.portfolio(), (), [samples.execution(1)])
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.update(schema.books).values(amount="7"))
    engine.dispose()
    assert any("BTC/USD is 7" in problem for problem in check(url))
