"""What a position is left by: no figure that another one contradicts, and none that is too old or too wide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import NOW, position, quote
from trader.core.decision import ExitPolicy
from trader.core.exit_price import JUMP_STANDS_S, MARK_MOVES_S, Judged, Seen, judge
from trader.core.types import Quote

D = Decimal
POLICY = ExitPolicy()
CALM = Seen(price=D(100), mark=D(100), mark_moved_at=0.0)
LATER = MARK_MOVES_S + 1


def look(bid: Quote | None, mark: str | None, seen: Seen = CALM, seconds: float = LATER) -> tuple[Judged, Seen]:
    held = replace(position(), mark=None if mark is None else D(mark))
    return judge(seen, bid, held, POLICY, NOW, seconds)


def test_a_quote_that_agrees_is_what_counts() -> None:
    judged, seen = look(quote(), "100")
    assert judged.quote is not None
    assert seen.price == judged.quote.bid


@pytest.mark.parametrize(
    "bad",
    [
        None,
        quote(at=NOW - timedelta(hours=17)),
        quote(at=NOW + timedelta(hours=1)),
        quote(bid=D(150), ask=D(260)),
        quote(bid=D(0), ask=D(0)),
        quote(bid=D("NaN"), ask=D("NaN")),
    ],
)
def test_without_a_fit_quote_the_mark_is_the_price(bad: Quote | None) -> None:
    judged, _ = look(bad, "90")
    assert (judged.quote, judged.mark) == (None, D(90))
    for mark in (None, "0", "-100", "NaN", "10", "1000"):
        assert look(bad, mark)[0].mark is None


@pytest.mark.parametrize("factor", ["0.1", "10"])
def test_a_quote_that_mark_and_memory_contradict_is_not_acted_on(factor: str) -> None:
    strange = quote(mid=D(100) * D(factor))
    seen, judged = CALM, Judged()
    for second in range(0, 600, 5):  # the mark moves, as a living one does
        judged, seen = look(strange, f"100.{second % 7}", seen, LATER + second)
        assert (judged.quote, judged.mark) == (None, None)
    assert "last price 100" in judged.problem


def test_a_mark_that_jumps_alone_is_not_acted_on() -> None:
    for mark in ("10", "1000", "0", "NaN"):
        judged, _ = look(quote(), mark)
        assert judged.quote is not None
        assert judged.mark is None


def test_a_gap_that_the_mark_shows_too_is_believed_at_once() -> None:
    assert look(quote(mid="70"), "70")[0].quote is not None


def test_a_gap_that_nothing_confirms_and_nothing_contradicts_is_believed_once_it_stands() -> None:
    judged, seen = look(quote(mid="70"), "100")
    assert judged.quote is None
    judged, seen = look(quote(mid="70"), "100", seen, LATER + JUMP_STANDS_S - 1)
    assert judged.quote is None
    assert look(quote(mid="70"), "100", seen, LATER + JUMP_STANDS_S)[0].quote is not None
    back, seen = look(quote(), "100", seen, LATER + JUMP_STANDS_S)
    assert (back.quote is not None, seen.jumped_at) == (True, None)


@pytest.mark.parametrize("before", [CALM, Seen()], ids=["in the midst", "after a restart"])
@pytest.mark.parametrize("mid", ["10", "49", "151", "1000"])
def test_a_gap_that_no_market_makes_is_not_believed_however_long_it_stands(mid: str, before: Seen) -> None:
    """A mark that stands still contradicts nothing, and a stop that rests at the venue knows its own market."""
    _, seen = look(quote(mid=mid), "100", before)
    for minutes in (1, 10, 1000):
        judged, seen = look(quote(mid=mid), "100", seen, LATER + 60.0 * minutes)
        assert (judged.quote, judged.mark) == (None, None)


def test_at_the_first_look_mark_and_quote_must_agree() -> None:
    assert look(quote(), "100", Seen(), 0.0)[0].quote is not None
    assert look(quote(), None, Seen(), 0.0)[0].quote is not None
    assert look(quote(mid="1000"), "100", Seen(), 0.0)[0].quote is None


PRICES = st.decimals("0.1", "1000", places=2)


@given(PRICES, PRICES, PRICES, st.integers(0, 120))
def test_whatever_is_told_no_price_that_all_others_contradict_is_taken_at_once(
    bid: Decimal, mark: Decimal, last: Decimal, age_s: int
) -> None:
    told = replace(quote(mid=bid), at=NOW - timedelta(seconds=age_s))
    judged, _ = look(told, str(mark), Seen(price=last, mark=last, mark_moved_at=0.0))
    if judged.quote is not None:
        price = judged.quote.bid
        assert age_s <= 60
        assert min(abs(price / mark - 1), abs(price / last - 1)) <= D("0.1")
    assert judged.quote is None or judged.mark is None
