"""A time exit that left something: the next ones come ever more rarely, and the stop is in force in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.core.make import BTC, CLOSE, NOW, SPY, instrument, levels, position, quote, resting
from trader.core.decision import ExitPolicy, Levels
from trader.core.exits import ExitWish
from trader.core.overdue import Overdue, after_exit, meanwhile
from trader.core.protect import ProtectAction, protect
from trader.core.types import EntrySide, Order, OrderType, Purpose, Symbol, TimeInForce

DUE = NOW - timedelta(minutes=1)
UP = levels(expires_at=DUE)


def wish(purpose: Purpose = Purpose.TIME_EXIT, tif: TimeInForce = TimeInForce.IOC, symbol: Symbol = BTC) -> ExitWish:
    return ExitWish(
        symbol=symbol, purpose=purpose, entry_side=EntrySide.LONG, qty=Decimal(1), type=OrderType.LIMIT, tif=tif
    )


def left(exits: int, at: datetime = NOW, known: Levels = UP) -> Overdue:
    overdue: Overdue | None = None
    for _ in range(exits):
        overdue = after_exit(overdue, wish(), known, at)
    assert overdue is not None
    return overdue


def acted(seconds: float, mid: str = "100", rests: Sequence[Order] = ()) -> ProtectAction:
    """So long after the first exit of a position whose time is up."""
    now = NOW + timedelta(seconds=seconds)
    free = 1 - sum((each.remaining for each in rests), Decimal(0))
    held, known = position(available=str(free)), meanwhile(UP, left(1), now)
    return protect(held, quote(mid=mid), known, ExitPolicy(), instrument(), now, rests, session_close=None)


@pytest.mark.parametrize(("exits", "wait"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (50, 60)])
def test_each_wait_is_longer_up_to_a_minute(exits: int, wait: int) -> None:
    overdue = left(exits)
    assert overdue.rests(NOW)
    assert overdue.rests(NOW + timedelta(seconds=wait - 0.001))
    assert not overdue.rests(NOW + timedelta(seconds=wait))


def test_the_stop_rests_meanwhile_and_then_it_is_left_again() -> None:
    waiting = acted(4.9).place
    assert waiting is not None
    assert (waiting.purpose, waiting.stop_price) == (Purpose.STOP, UP.stop)
    stop = resting(waiting)
    assert (acted(4.9, rests=[stop]).keep, acted(4.9, rests=[stop]).cancel) == (stop.id, ())
    again = acted(5, rests=[stop])
    assert again.cancel == (stop.id,)
    assert again.place is not None
    assert again.place.purpose is Purpose.TIME_EXIT


def test_a_stop_that_is_reached_waits_for_nothing() -> None:
    out = acted(0.1, mid="94").place
    assert out is not None
    assert (out.purpose, out.tif) == (Purpose.STOP, TimeInForce.IOC)


def test_an_exit_that_is_still_under_way_is_waited_for() -> None:
    """The venue may not have said yet how much it took."""
    sent = acted(5).place
    assert sent is not None
    assert acted(0.1, rests=[resting(sent)]).keep == "x1"


def test_another_position_begins_anew() -> None:
    later = levels(expires_at=NOW)
    assert meanwhile(later, left(3), NOW) == later
    overdue = after_exit(left(3), wish(), later, NOW)
    assert overdue == Overdue(due=NOW, exits=1, last=NOW)


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    assert meanwhile(UP, left(5, NOW + timedelta(hours=1)), NOW) == UP


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (wish(Purpose.STOP), UP),
        (wish(Purpose.FLATTEN), UP),
        (wish(Purpose.TARGET, TimeInForce.GTC), UP),
        (wish(), None),
        (wish(), levels(expires_at=None)),
        (wish(tif=TimeInForce.DAY, symbol=SPY), levels(SPY, expires_at=DUE)),
    ],
    ids=["stop", "flatten", "target", "no levels", "no time", "a share's stays until it is done"],
)
def test_only_a_time_exit_that_ends_by_itself_is_counted(sent: ExitWish, known: Levels | None) -> None:
    assert after_exit(None, sent, known, NOW) is None
    before = left(2)
    assert after_exit(before, sent, known, NOW) is before


def test_what_is_left_before_the_close_for_the_night_is_not_counted() -> None:
    """Its time is not up: the market closes first, and no wait may reach over that."""
    assert after_exit(None, wish(symbol=SPY), levels(SPY, expires_at=CLOSE + timedelta(hours=5)), NOW) is None


def test_the_levels_are_otherwise_as_they_were() -> None:
    assert meanwhile(UP, left(1), NOW) == replace(UP, expires_at=None)
    assert meanwhile(UP, None, NOW) == UP
