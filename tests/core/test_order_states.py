"""The life of an order: total and monotone."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import order
from trader.core.orders import IntentEvent, IntentState, next_state, seen
from trader.core.types import OrderStatus

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


def test_an_open_report_is_seen_as_open_even_if_its_status_is_strange() -> None:
    assert seen(order(status=OrderStatus.UNKNOWN)) is IntentEvent.SEEN_OPEN
    assert seen(order(status=OrderStatus.EXPIRED)) is IntentEvent.SEEN_TERMINAL
