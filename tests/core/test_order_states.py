"""The life of an order: total, monotone, the same whatever order the reports come in."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import NOW, order
from trader.core.orders import IntentEvent, IntentState, merge_order, next_state, seen
from trader.core.types import Order, OrderStatus

D = Decimal
STAGE = {
    IntentState.PLANNED: 0,
    IntentState.SENT: 1,
    IntentState.UNKNOWN: 1,
    IntentState.ACCEPTED: 2,
    IntentState.REJECTED: 3,
    IntentState.DONE: 4,
}
BACK = (IntentEvent.NOT_SENT, IntentEvent.ABSENT)  # only these undo a sending, and only one that did not arrive


def test_every_state_has_an_answer_to_every_event() -> None:
    for state, event in itertools.product(IntentState, IntentEvent):
        assert isinstance(next_state(state, event), IntentState)


def test_terminal_never_reopens() -> None:
    for state, event in itertools.product(IntentState, IntentEvent):
        if state.is_terminal:
            assert next_state(state, event).is_terminal
    assert all(next_state(IntentState.DONE, event) is IntentState.DONE for event in IntentEvent)


@given(st.sampled_from(IntentState), st.lists(st.sampled_from([e for e in IntentEvent if e not in BACK]), max_size=12))
def test_a_life_only_goes_forward(state: IntentState, events: list[IntentEvent]) -> None:
    for event in events:
        after = next_state(state, event)
        assert STAGE[after] >= STAGE[state]
        state = after


@given(st.lists(st.sampled_from(IntentEvent), max_size=12))
def test_what_the_venue_has_shown_is_not_taken_back(events: list[IntentEvent]) -> None:
    state = IntentState.ACCEPTED
    for event in events:
        state = next_state(state, event)
    ended = IntentEvent.SEEN_TERMINAL in events
    assert state is (IntentState.DONE if ended else IntentState.ACCEPTED)


def test_guard_12_an_order_that_may_exist_is_never_planned_again_unasked() -> None:
    for event in IntentEvent:
        if event not in BACK:
            assert next_state(IntentState.UNKNOWN, event) is not IntentState.PLANNED
            assert next_state(IntentState.SENT, event) is not IntentState.PLANNED
    assert next_state(IntentState.UNKNOWN, IntentEvent.GIVEN_UP) is IntentState.UNKNOWN


# ---- reports ----

STATUSES = st.sampled_from([s for s in OrderStatus if s not in (OrderStatus.FILLED, OrderStatus.REPLACED)])


@st.composite
def reports(draw: st.DrawFn) -> Order:
    filled = draw(st.integers(0, 4))
    status = OrderStatus.FILLED if filled == 4 else draw(STATUSES)
    return order(
        qty="4",
        filled_qty=D(filled),
        filled_avg_price=D(100) + filled if filled else None,
        status=status,
        updated_at=NOW + timedelta(seconds=draw(st.integers(0, 5))),
    )


def merged(sequence: tuple[Order, ...]) -> Order:
    known: Order | None = None
    for report in sequence:
        known = merge_order(known, report)
    assert known is not None
    return known


@given(st.lists(reports(), min_size=1, max_size=4))
def test_reports_out_of_order_end_in_the_same_order(seen_reports: list[Order]) -> None:
    ends = {
        (end.status.is_terminal, end.status is OrderStatus.FILLED, end.filled_qty)
        for end in map(merged, itertools.permutations(seen_reports))
    }
    assert len(ends) == 1
    ((terminal, filled, qty),) = ends
    assert qty == max(report.filled_qty for report in seen_reports)
    assert terminal == any(report.status.is_terminal for report in seen_reports)
    assert filled == any(report.status is OrderStatus.FILLED for report in seen_reports)


@given(reports(), reports())
def test_the_same_report_twice_changes_nothing(first: Order, second: Order) -> None:
    known = merge_order(first, second)
    assert merge_order(known, second) == known
    assert merge_order(known, known) == known


def test_a_fill_wins_over_a_cancel() -> None:
    filled = order(qty="1", filled_qty=D(1), status=OrderStatus.FILLED, filled_avg_price=D(100))
    canceled = replace(filled, filled_qty=D(0), status=OrderStatus.CANCELED, updated_at=NOW + timedelta(seconds=9))
    for end in (merge_order(filled, canceled), merge_order(canceled, filled)):
        assert end.status is OrderStatus.FILLED
        assert end.filled_qty == 1
        assert end.filled_avg_price == 100


def test_a_late_report_of_a_smaller_fill_is_not_a_loss() -> None:
    more = order(qty="4", filled_qty=D(3), status=OrderStatus.PARTIALLY_FILLED)
    less = replace(more, filled_qty=D(1), updated_at=NOW + timedelta(seconds=1))
    assert merge_order(more, less).filled_qty == 3


def test_an_open_report_is_seen_as_open_even_if_its_status_is_strange() -> None:
    assert seen(order(status=OrderStatus.UNKNOWN)) is IntentEvent.SEEN_OPEN
    assert seen(order(status=OrderStatus.EXPIRED)) is IntentEvent.SEEN_TERMINAL
