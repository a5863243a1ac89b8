"""An exit is no success before it has stayed a while: a venue may take it, show it, and refuse it after all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.core.make import BTC, NOW, instrument, levels, position, resting
from trader.core.decision import ExitPolicy
from trader.core.exits import ExitWish
from trader.core.protect import protect
from trader.core.types import Order, OrderStatus
from trader.trading.exit_attempts import ANOTHER_KIND_AFTER, RETRY_S, STAYS_S, ExitAttempts


def the_stop() -> ExitWish:
    action = protect(position(), None, levels(), ExitPolicy(), instrument(), NOW, (), session_close=None)
    assert action.place is not None
    return action.place


@dataclass
class Desk:
    """Seconds, and what was told."""

    seconds: float = 0.0
    told: list[str] = field(default_factory=list)

    def attempts(self) -> ExitAttempts:
        return ExitAttempts(lambda: self.seconds, lambda kind, severity, text: self.told.append(text))


WISH = the_stop()
ORDER = resting(WISH)


def taken_shown_and_refused(desk: Desk, attempts: ExitAttempts) -> None:
    def answer(order_id: str) -> Order | None:
        return replace(ORDER, status=OrderStatus.REJECTED)

    attempts.taken(WISH, ORDER)
    desk.seconds += STAYS_S / 5
    attempts.rests(BTC)
    desk.seconds += STAYS_S / 5
    attempts.look(BTC, answer, "")


def test_one_that_is_shown_and_then_refused_is_tried_ever_more_rarely() -> None:
    desk = Desk()
    attempts = desk.attempts()
    for wait in RETRY_S:
        taken_shown_and_refused(desk, attempts)
        assert desk.told[-1].endswith(f"tried again in {wait} s")
        assert not attempts.may_try(BTC, 100)
        desk.seconds += wait
        assert attempts.may_try(BTC, 100)


def test_one_that_stays_is_a_success_and_said_so() -> None:
    desk = Desk()
    attempts = desk.attempts()
    taken_shown_and_refused(desk, attempts)
    desk.seconds += RETRY_S[0]
    attempts.taken(WISH, ORDER)
    attempts.rests(BTC)
    assert not desk.told[-1].endswith("an exit rests again")
    desk.seconds += STAYS_S
    attempts.rests(BTC)
    assert desk.told[-1] == "BTC/USD: an exit rests again"
    assert attempts.next_try(BTC) == ""


def test_a_kind_that_stays_after_it_was_refused_again_and_again_is_not_avoided_any_longer() -> None:
    desk = Desk()
    attempts = desk.attempts()
    for wait in RETRY_S[:ANOTHER_KIND_AFTER]:
        taken_shown_and_refused(desk, attempts)
        desk.seconds += wait
    assert attempts.without(BTC) == {WISH.purpose}
    attempts.taken(WISH, ORDER)  # there was no other kind
    desk.seconds += STAYS_S
    attempts.rests(BTC)
    assert not attempts.without(BTC)
    assert desk.told[-1] == "BTC/USD: an exit rests again"
