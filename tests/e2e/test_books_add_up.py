"""The daemon on the simulated exchange, end to end: every cent, unit and order is accounted for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.core import make
from tests.e2e.books import problems_of, replay_problems
from tests.e2e.running import ask, trouble_in
from trader.adapters.journal import Correction, Journal
from trader.adapters.journal.records import FeeChange
from trader.adapters.journal.schema import stamp, unstamp
from trader.commands.audit import MOST_SKEW, Books, audit, brought_up_to, compare, with_fees_of_then
from trader.core.types import OrderSide, OrderStatus, TimeInForce


def run_and_audit(state: Path, *arguments: str, cycles: int, trades: bool = True, **environment: str) -> None:
    run = ("run", "--plain", "--speed", "max", "--cycles", str(cycles), *arguments)
    done = ask(state, *run, **environment)
    assert done.code == 0, done.out[-2000:] + done.err
    assert not trouble_in(done.out + done.err)
    assert problems_of(state) == []
    assert replay_problems(state, every=7) == []
    with Journal.open(f"sqlite:///{state / 'journal-sim.db'}", create=False) as journal:
        assert len(journal.plan_cycles()) == cycles
        assert journal.trades() or not trades


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("ran")
    run_and_audit(state, cycles=40)
    return state


def test_generated_crypto(ran: Path) -> None:
    assert (ran / "journal-sim.db").exists()


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM executions WHERE rowid = (SELECT min(rowid) FROM executions)",
        "UPDATE executions SET fee = '0' WHERE rowid = (SELECT min(rowid) FROM executions)",
        "UPDATE executions SET qty = qty * 2 WHERE rowid = (SELECT min(rowid) FROM executions)",
    ],
)
def test_a_fill_that_is_missing_or_another_is_found_by_the_check(tmp_path: Path, ran: Path, tampering: str) -> None:
    copy = shutil.copy(ran / "journal-sim.db", tmp_path / "journal-sim.db")
    with closing(sqlite3.connect(copy)) as connection, connection:
        assert connection.execute(tampering).rowcount == 1
    with Journal.open(f"sqlite:///{copy}", create=False) as journal:
        assert audit(journal)[1]
    assert ask(tmp_path, "db", "check").code == 74


def test_fills_told_by_another_clock_are_allowed_for_where_there_are_two_clocks(tmp_path: Path, ran: Path) -> None:
    copy = shutil.copy(ran / "journal-sim.db", tmp_path / "journal-sim.db")
    with closing(sqlite3.connect(copy)) as connection, connection:
        for number, at in connection.execute("SELECT rowid, at FROM executions").fetchall():
            later = stamp(unstamp(at) + timedelta(hours=1.2))
            connection.execute("UPDATE executions SET at = ? WHERE rowid = ?", (later, number))
    with Journal.open(f"sqlite:///{copy}", create=False) as journal:
        assert audit(journal)[1]
        assert not audit(journal, MOST_SKEW)[1]


def test_generated_crypto_and_stocks_together(tmp_path: Path) -> None:
    run_and_audit(tmp_path, "--symbols", "BTC/USD,AAPL,SPY", "--timeframe", "15Min", cycles=35)


def test_generated_stocks_by_the_minute(tmp_path: Path) -> None:
    run_and_audit(tmp_path, "--symbols", "AAPL", "--timeframe", "5Min", "--seed", "3", cycles=30)


def test_fractions_of_a_share_are_held_overnight_by_an_exit_placed_again_at_each_open(tmp_path: Path) -> None:
    few = {"SIM__CASH": "1000", "STOCKS_OVERNIGHT": "true", "HOLD": "carry"}
    run_and_audit(tmp_path, "--symbols", "AAPL,SPY", "--timeframe", "1Hour", cycles=35, **few)
    with Journal.open(f"sqlite:///{tmp_path / 'journal-sim.db'}", create=False) as journal:
        orders = sorted(journal.orders(500), key=lambda order: order.submitted_at)
    assert {order.tif for order in orders} == {TimeInForce.DAY}  # a fraction is refused with any other
    assert all(order.qty % 1 for order in orders)
    exits = [order for order in orders if order.side is OrderSide.SELL]
    expired = [order for order in exits if order.status is OrderStatus.EXPIRED and not order.filled_qty]
    again = [
        later
        for earlier in expired
        for later in exits
        if later.qty == earlier.qty and later.submitted_at.date() > earlier.submitted_at.date()
    ]
    assert again


@pytest.mark.parametrize(
    ("files", "cycles"),
    [
        (["BTC/USD=BTCUSDT__binance-spot__1h", "ETH/USD=ETHUSDT__binance-spot__1h"], 40),
        (["SPY=SPY__yahoo-rth__5m", "AAPL=AAPL__yahoo-rth__5m"], 30),
    ],
    ids=["btc-and-eth", "spy-and-aapl"],
)
def test_real_bars(tmp_path: Path, real_data: Callable[[str], Path], files: list[str], cycles: int) -> None:
    given = [f"--data={s}={real_data(f'bars/{name}.parquet')}" for s, name in (each.split("=") for each in files)]
    run_and_audit(tmp_path, *given, cycles=cycles)


def test_real_bars_with_their_quotes(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    name = "SPY__lean-nbbo-20131004-20131009__1m.parquet"
    bars, quotes = real_data(f"bars/{name}"), real_data(f"quotes/{name}")
    run_and_audit(tmp_path, f"--data=SPY={bars}", f"--quotes=SPY={quotes}", cycles=40, trades=False)


MINUTE = timedelta(minutes=1)
OPENING = Correction(
    id=1, kind="opening", symbol=None, qty=Decimal(0), cash=Decimal(1000), at=make.NOW - 9 * MINUTE, detail=""
)
BOUGHT = make.execution(qty="2", price="100", at=make.NOW - 5 * MINUTE)
MORE = make.execution("e2", qty="1", price="100", at=make.NOW - MINUTE)


def told(qty: str, mark: str, cash: str, equity: str) -> list[str]:
    """What the check finds where the venue said this, after both fills."""
    held = replace(make.position(qty=qty), mark=Decimal(mark))
    portfolio = make.portfolio([held], of=make.account(equity, cash=Decimal(cash)))
    nothing = Books(cash=Decimal(0), units={}, booked=0)
    books = brought_up_to(nothing, [OPENING, BOUGHT, MORE], portfolio)
    return [difference.what for difference in compare("c", books, portfolio)]


def test_a_fee_counts_from_when_it_was_settled_and_not_before() -> None:
    fill = replace(BOUGHT, fee=Decimal("0.003"), fee_currency="BTC")
    then = FeeChange(execution_id=fill.id, fee=Decimal("0.005"), fee_currency="BTC", at=make.NOW + MINUTE)
    assert list(with_fees_of_then([fill, MORE], [])) == [fill, MORE]
    first, settled, more = with_fees_of_then([fill, MORE], [then])
    assert (first, more) == (replace(fill, fee=then.fee), MORE)
    books = Books(cash=Decimal(1000), units={}, booked=0)
    books.add(first)
    assert (books.units, books.cash) == ({fill.symbol: Decimal("1.995")}, 800)
    books.add(settled)
    assert (books.units, books.cash) == ({fill.symbol: Decimal("1.997")}, 800)
    in_cash = replace(then, fee=Decimal("0.5"), fee_currency="USD")
    books.add(list(with_fees_of_then([fill], [in_cash]))[1])
    assert (books.units, books.cash) == ({fill.symbol: Decimal("1.994")}, Decimal("800.5"))


def test_a_market_that_moves_between_two_answers_of_the_venue_is_no_difference() -> None:
    assert told("3", "100", "700", "1000") == []
    assert told("3", "100", "700", "1013") == []  # marked anew before the account was told
    assert told("2", "100", "700", "1013") == []  # filled and marked anew in between
    assert told("3", "100", "713", "1013") == ["equity"]
    assert told("1", "100", "900", "1000") == ["BTC/USD", "equity"]
