"""The life of an intent: a total state machine."""

from __future__ import annotations

from enum import StrEnum

from trader.core.ids import purpose_of
from trader.core.types import Order, Purpose


class IntentState(StrEnum):
    PLANNED = "planned"  # journaled, not sent
    SENT = "sent"  # the request may have left
    UNKNOWN = "unknown"  # it left, and the venue did not say
    ACCEPTED = "accepted"  # open at the venue
    REJECTED = "rejected"  # refused by the venue, or given up before it reached the venue
    DONE = "done"  # terminal at the venue: filled, cancelled, expired

    @property
    def is_terminal(self) -> bool:
        return self in (IntentState.REJECTED, IntentState.DONE)


class IntentEvent(StrEnum):
    SENDING = "sending"  # journaled just before the request goes out
    NOT_SENT = "not_sent"  # it surely never left: the same id may go again
    UNDETERMINED = "undetermined"  # no intelligible answer
    REFUSED = "refused"  # the venue said no (and not because the id exists already)
    ABSENT = "absent"  # asked by client id after a grace time: the venue does not know it
    GIVEN_UP = "given_up"  # we will not send it any more; only for one that is not at the venue
    SEEN_OPEN = "seen_open"
    SEEN_TERMINAL = "seen_terminal"


_P, _S, _U, _A, _R, _D = (
    IntentState.PLANNED, IntentState.SENT, IntentState.UNKNOWN, IntentState.ACCEPTED, IntentState.REJECTED,
    IntentState.DONE,
)  # fmt: skip
# Columns: the state before. What the venue has shown (accepted, done) is never taken back by what we failed to hear.
_TABLE: dict[IntentEvent, dict[IntentState, IntentState]] = {
    IntentEvent.SENDING: {_P: _S, _S: _S, _U: _U, _A: _A, _R: _R, _D: _D},
    IntentEvent.NOT_SENT: {_P: _P, _S: _P, _U: _U, _A: _A, _R: _R, _D: _D},
    IntentEvent.UNDETERMINED: {_P: _U, _S: _U, _U: _U, _A: _A, _R: _R, _D: _D},
    IntentEvent.REFUSED: {_P: _R, _S: _R, _U: _R, _A: _A, _R: _R, _D: _D},
    IntentEvent.ABSENT: {_P: _P, _S: _P, _U: _P, _A: _A, _R: _R, _D: _D},
    IntentEvent.GIVEN_UP: {_P: _R, _S: _S, _U: _U, _A: _A, _R: _R, _D: _D},
    IntentEvent.SEEN_OPEN: {_P: _A, _S: _A, _U: _A, _A: _A, _R: _R, _D: _D},
    IntentEvent.SEEN_TERMINAL: {_P: _D, _S: _D, _U: _D, _A: _D, _R: _D, _D: _D},
}


def next_state(state: IntentState, event: IntentEvent) -> IntentState:
    """Defined for every pair. Terminal never reopens; a refusal gives way to an order that did happen."""
    return _TABLE[event][state]


def seen(order: Order) -> IntentEvent:
    """The event that a report of the order is."""
    return IntentEvent.SEEN_TERMINAL if order.status.is_terminal else IntentEvent.SEEN_OPEN


def is_stop(order: Order, order_id: str) -> bool:
    """Whether `order_id` is a stop of ours: `order` itself, or its leg where it carries target and stop together."""
    purpose = purpose_of(order)
    if purpose is Purpose.PROTECT:  # the venue gives a leg a name of its own, and fills it under that
        return any(leg.id == order_id and leg.stop_price is not None for leg in order.legs)
    return purpose is Purpose.STOP and order.id == order_id


def is_over(order: Order | None) -> bool:
    """Whether the venue shows it, and as terminal."""
    return order is not None and order.status.is_terminal
