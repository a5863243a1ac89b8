"""How long it takes until a person hears of it: from the fault to the post at a webhook, and from its end to the
all-clear. Real time, on the paper path; all of them at once, each with an exchange and a daemon of its own.

Twice: with short waits for every day, and with the settings as they come, which is the run that is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Scene, scenes
from tests.faults.paper import SOON_S, buy, is_protected, paper, running
from tests.faults.script import OUTAGE, at
from tests.forking import Zygote
from tests.receiver import Receiver, receiving
from tests.waiting import GENEROUS_S

BTC, ETH = "BTC/USD", "ETH/USD"
QUICK, AS_THEY_COME = {"ALERT_UNWATCHED_S": "3", "EXITS__MAX_QUOTE_AGE_S": "6"}, {"MANAGE_INTERVAL_S": "5"}
UNWATCHED_S, MAX_QUOTE_AGE_S, LAG_S = 60.0, 60.0, 60.0  # by default, and what a list may lag
BACK_OFF_S = 80.0  # the longest wait for another try at an exit, and until it counts as a success


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One that must be posted. `own_s`: how long the daemon itself waits before it is one, as settings come."""

    kind: str
    severity: str = "error"
    own_s: float = 0.0
    says: str = ""
    is_cleared: bool = True


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """`bought` before the fault, and protected; `then` is done once the fault is there, `mended` when it is taken away.
    Without alarms what is measured is how long it takes until `protected` has its stop."""

    rules: tuple[dict[str, Any], ...] = ()
    bought: tuple[str, ...] = (BTC,)
    then: Callable[[Scene], None] = lambda one: None
    mended: Callable[[Scene], None] = lambda one: None
    alarms: tuple[Alarm, ...] = ()
    protected: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    what: str
    after_s: float
    own_s: float
    cleared_s: float | None


def unprotected(*more: Alarm) -> tuple[Alarm, ...]:
    return (Alarm(kind="unprotected"), Alarm(kind="unwatched", own_s=UNWATCHED_S, says="no exit at rest"), *more)


def person_s_order_goes(one: Scene) -> None:
    order = one.ledger()["orders"]["rests"]["id"]
    assert one.session.delete(f"{one.url}/v2/orders/{order}", timeout=20).status_code == 204


READS = ["account", "positions", "orders", "activities", "order", "order_by_client_id"]
NO_REPORT = Alarm(kind="unwatched", own_s=UNWATCHED_S, says="no report")
# the last quote is a price until it is too old to leave by; the stop rests meanwhile
NO_PRICE = Alarm(kind="unwatched", own_s=MAX_QUOTE_AGE_S + UNWATCHED_S, says="no price")
DIFFERS = Alarm(kind="books", own_s=LAG_S)
TROUBLES: dict[int, Trouble] = {
    41: Trouble(
        rules=(at("submit", {"status": 403, "code": 40310010, "message": "not now"}, side="sell"),),
        bought=(), then=buy, alarms=unprotected(),
    ),
    43: Trouble(rules=(at(READS, {"status": 401}),), alarms=(Alarm(kind="keys"), NO_REPORT)),
    # bought by hand: nothing says whose it is until the activities come; an entry of ours has its stop all the same
    44: Trouble(
        rules=(at("activities", {"status": 502}),),
        bought=(), then=buy, alarms=(Alarm(kind="unwatched", own_s=UNWATCHED_S, says="no exit at rest"),),
    ),
    45: Trouble(rules=(at("order_by_client_id", {"status": 502}),), bought=(), then=buy, protected=BTC),
    46: Trouble(rules=(at("account", {"status": 502}),), bought=(), then=buy, protected=BTC),
    49: Trouble(
        rules=(at("submit", {"reject_late": "not today"}, side="sell"),),
        bought=(), then=buy, alarms=(Alarm(kind="unprotected", says="and then rejected"),),
    ),
    51: Trouble(rules=(at("positions", {"lack": True}, symbol=ETH),), bought=(BTC, ETH), alarms=(DIFFERS,)),
    52: Trouble(rules=(at("positions", {"lag_s": 20}),), bought=(ETH,), then=buy, protected=BTC),
    57: Trouble(
        rules=({"on": {"symbol": BTC}, "do": {"asset": {"tick": 5}}},),
        bought=(), then=buy, alarms=(Alarm(kind="rules", severity="warning", is_cleared=False),),
    ),
    59: Trouble(rules=({"on": {"symbol": BTC}, "do": {"asset": {"delisted": True}}},), alarms=unprotected()),
    61: Trouble(rules=(at("account", {"figure": "equity", "times": 10}),), alarms=(Alarm(kind="equity"),)),
    62: Trouble(rules=(at("account", {"figure": "equity", "times": 0.1}),), alarms=(Alarm(kind="equity"),)),
    64: Trouble(rules=(at("account", {"figure": "cash", "times": -1}),), alarms=(DIFFERS,)),
    65: Trouble(rules=(at("positions", {"figure": "qty", "times": 10}),), alarms=(DIFFERS,)),
    66: Trouble(
        rules=(at("positions", {"figure": "mark", "value": 0}), {"on": {"path": "quotes"}, "do": {"quote": "zero"}}),
        alarms=(NO_PRICE,),
    ),
    67: Trouble(
        rules=({"on": {"symbol": BTC}, "do": {"quote": "swapped", "with": ETH}},),
        bought=(BTC, ETH), alarms=(Alarm(kind="price", severity="warning"),),
    ),
    80: Trouble(
        bought=(), then=lambda one: buy(one, ETH), mended=person_s_order_goes,
        environment={"ADOPT": "adopt"},  # that order is there from the start
        alarms=(
            Alarm(kind="unprotected", says="beside an order that is not ours"),
            Alarm(kind="unwatched", own_s=UNWATCHED_S, says="no exit at rest"),
        ),
    ),
    83: Trouble(
        rules=(at("positions", {"inject": {"symbol": "WHAT IS THIS?", "qty": "none", "asset_class": "art"}}),),
        alarms=(Alarm(kind="unreadable", severity="warning", is_cleared=False),),
    ),
    85: Trouble(rules=(OUTAGE,), alarms=(NO_REPORT,), environment={"TIMEFRAME": "1Hour"}),
}  # fmt: skip
BY_THE_CLOCK = frozenset({51, 64, 65})  # these wait for LAG_S, which is no setting: measured as they come only


@pytest.fixture(scope="module", params=["quick", pytest.param("as_they_come", marks=pytest.mark.slow)])
def board(request: pytest.FixtureRequest, zygote: Zygote, worker: Path) -> Iterator[dict[int, Future[list[Told]]]]:
    """What became of each trouble, by row."""
    is_quick = request.param == "quick"
    chosen = TROUBLES.keys() - (BY_THE_CLOCK if is_quick else frozenset())
    with ThreadPoolExecutor(len(chosen)) as pool:
        yield {row: pool.submit(_played, zygote, worker, TROUBLES[row], is_quick) for row in sorted(chosen)}


def _played(zygote: Zygote, worker: Path, trouble: Trouble, is_quick: bool) -> list[Told]:
    with scenes(zygote, worker) as scene, receiving() as receiver:
        pace = QUICK if is_quick else AS_THEY_COME
        one = paper(scene, in_step=True, ALERT_WEBHOOK_URL=receiver.url, **pace, **trouble.environment)
        return _measured(one, trouble, receiver)


def _measured(one: Scene, trouble: Trouble, receiver: Receiver) -> list[Told]:
    with running(one, *(() if trouble.mended is person_s_order_goes else (None,))):
        for symbol in trouble.bought:
            buy(one, symbol)
            one.until(lambda symbol=symbol: is_protected(one, symbol))  # type: ignore[misc]
        began = time.monotonic()
        one.faults(*trouble.rules)
        trouble.then(one)
        if trouble.protected:
            one.until(lambda: is_protected(one, trouble.protected))
            told = [Told("a stop rests", time.monotonic() - began, 0.0, None)]
        else:
            told = _heard(one, trouble, receiver, began)
        one.faults()
        one.until(lambda: all(is_protected(one, symbol) for symbol in one.ledger()["holdings"]), BACK_OFF_S + SOON_S)
    one.assert_universal(external=True)
    return told


def _heard(one: Scene, trouble: Trouble, receiver: Receiver, began: float) -> list[Told]:
    posts = [
        receiver.wait(each.kind, each.severity, says=each.says, after=began, within_s=each.own_s + GENEROUS_S)
        for each in trouble.alarms
    ]
    ended = time.monotonic()
    one.faults()
    trouble.mended(one)
    found = list[Told]()
    for alarm, post in zip(trouble.alarms, posts, strict=True):
        cleared: float | None = None
        if alarm.is_cleared:
            over = receiver.wait(alarm.kind, "info", after=ended, within_s=BACK_OFF_S + GENEROUS_S)
            cleared = over.at - ended
        found.append(Told(alarm.kind, post.at - began, alarm.own_s, cleared))
    return found


@pytest.fixture
def told(board: dict[int, Future[list[Told]]], record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """`told(41)`: the row's trouble was heard of, and ended; what was measured goes into the table."""

    def check(row: int) -> None:
        for each in board[row].result():
            own_s = each.own_s if board.keys() == TROUBLES.keys() else None
            record_property("alarm", [row, each.what, each.after_s, own_s, each.cleared_s])

    return check


AS_THEY_COME_ONLY = pytest.mark.parametrize(
    "board", [pytest.param("as_they_come", marks=pytest.mark.slow)], indirect=True, scope="module"
)


def test_row_41_an_exit_that_is_refused_is_told(told: Callable[[int], None]) -> None:
    told(41)


def test_row_43_keys_that_are_refused_are_told(told: Callable[[int], None]) -> None:
    told(43)


def test_row_44_what_nobody_explains_while_the_activities_are_away_is_told(told: Callable[[int], None]) -> None:
    told(44)


def test_row_45_without_the_look_up_a_fill_has_its_stop(told: Callable[[int], None]) -> None:
    told(45)


def test_row_46_without_the_account_a_fill_has_its_stop(told: Callable[[int], None]) -> None:
    told(46)


def test_row_49_an_exit_that_is_rejected_later_is_told(told: Callable[[int], None]) -> None:
    told(49)


@AS_THEY_COME_ONLY
def test_row_51_a_position_that_is_left_out_is_told(told: Callable[[int], None]) -> None:
    told(51)


def test_row_52_a_fill_that_the_list_does_not_show_yet_has_its_stop(told: Callable[[int], None]) -> None:
    told(52)


def test_row_57_a_tick_that_changes_is_told_and_the_stop_rests(told: Callable[[int], None]) -> None:
    told(57)


def test_row_59_a_symbol_that_is_delisted_while_held_is_told(told: Callable[[int], None]) -> None:
    told(59)


def test_row_61_a_tenfold_equity_is_told(told: Callable[[int], None]) -> None:
    told(61)


def test_row_62_an_equity_of_a_tenth_is_told(told: Callable[[int], None]) -> None:
    told(62)


@AS_THEY_COME_ONLY
def test_row_64_cash_of_the_wrong_sign_is_told(told: Callable[[int], None]) -> None:
    told(64)


@AS_THEY_COME_ONLY
def test_row_65_tenfold_units_are_told(told: Callable[[int], None]) -> None:
    told(65)


def test_row_66_without_any_price_that_is_told(told: Callable[[int], None]) -> None:
    told(66)


def test_row_67_swapped_quotes_are_told(told: Callable[[int], None]) -> None:
    told(67)


def test_row_80_an_order_that_blocks_our_stop_is_named(told: Callable[[int], None]) -> None:
    told(80)


def test_row_83_what_can_not_be_read_is_told(told: Callable[[int], None]) -> None:
    told(83)


def test_row_85_an_outage_with_something_held_is_told_at_any_timeframe(told: Callable[[int], None]) -> None:
    told(85)
