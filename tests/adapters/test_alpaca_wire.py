"""What the clients do when the venue stalls, breaks off, refuses or talks nonsense."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError

from tests.adapters import samples
from tests.adapters.test_alpaca_convert import ACCOUNT, ORDER, POSITION
from tests.adapters.wire import Answer, reply, reset, trickle, wire
from trader.adapters.alpaca.broker import AlpacaBroker, order_request
from trader.adapters.alpaca.clients import AlpacaEndpoints, RequestLimiter, _describe, build_clients
from trader.adapters.clock import RealClock
from trader.core.types import OrderClass
from trader.errors import CredentialsRefused, Transient, VenueUnreachable
from trader.trading.ports import Accepted, Refused, Undetermined

INTENT = samples.intent("c")
SECRET = "very-secret-key"


def broker_at(url: str, *, deadline_s: float = 5.0, problems: list[tuple[str, str]] | None = None) -> AlpacaBroker:
    endpoints = AlpacaEndpoints(key="k", secret=SECRET, trading_url=url, data_url=url, trade_stream_url="")
    heard: list[tuple[str, str]] = [] if problems is None else problems
    clients = build_clients(endpoints, deadline_s=deadline_s, first_backoff_s=0.01)
    return AlpacaBroker(clients, RealClock(), lambda kind, detail: heard.append((kind, detail)))


def refused_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "trouble",
    [reply(500, "<html>"), reply(502, ""), reply(429, {"code": 1, "message": "slow"}), reset, reply(200, "{")],
)
def test_a_read_is_tried_again(trouble: Answer) -> None:
    with wire(trouble, reply(200, ACCOUNT)) as venue:
        assert broker_at(venue.url).account().equity == Decimal("100.5")
        assert len(venue.asked) == 2


def test_reads_are_bounded_and_then_transient() -> None:
    with wire(reply(503, "busy")) as venue:
        with pytest.raises(Transient, match="503"):
            broker_at(venue.url).account()
        assert len(venue.asked) == 4


def test_a_server_that_trickles_is_given_up_at_the_deadline() -> None:
    with wire(trickle) as venue, pytest.raises(Transient, match="ReadTimeout"):  # and not the end of what it sends
        broker_at(venue.url, deadline_s=0.3).account()


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (reply(500, {"code": 50010000, "message": "oops"}), True),
        (reply(504, "<html>gateway</html>"), True),
        (reply(302, "", {"Location": "http://127.0.0.1:1/"}), True),
        (reply(200, "<html>hello</html>"), True),
        (reply(200, {"id": "o"}), True),
        (reply(200, {**ORDER, "client_order_id": "another"}), True),
        (reply(403, "<html>firewall</html>"), True),
        (reset, True),
        (reply(429, {"code": 42910000, "message": "rate limit exceeded"}), False),
    ],
)
def test_guard_25_an_order_is_posted_once_and_an_unclear_answer_is_undetermined(answer: Answer, sent: bool) -> None:
    with wire(answer) as venue:
        outcome = broker_at(venue.url).submit(INTENT)
        assert isinstance(outcome, Undetermined)
        assert outcome.sent is sent
        assert len(venue.asked) == 1
        assert SECRET not in outcome.reason


def test_a_post_that_stalls_is_undetermined_at_the_deadline() -> None:
    with wire(trickle) as venue:
        outcome = broker_at(venue.url, deadline_s=0.3).submit(INTENT)
        assert isinstance(outcome, Undetermined)
        assert outcome.sent
        assert len(venue.asked) == 1


def test_an_order_that_never_left_may_go_again() -> None:
    outcome = broker_at(refused_port()).submit(INTENT)
    assert isinstance(outcome, Undetermined)
    assert not outcome.sent


@pytest.mark.parametrize(
    ("status", "body", "duplicate"),
    [
        (422, {"code": 40010001, "message": "client_order_id must be unique"}, True),
        (422, {"code": 42210000, "message": "invalid limit_price"}, False),
        (403, {"code": 40310000, "message": "insufficient balance for USD"}, False),
        (404, {"message": "asset not found"}, False),
    ],
)
def test_a_refused_order_is_a_value(status: int, body: dict[str, object], duplicate: bool) -> None:
    with wire(reply(status, body)) as venue:
        outcome = broker_at(venue.url).submit(INTENT)
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.code, outcome.duplicate) == (status, body.get("code", 0), duplicate)


@pytest.mark.parametrize(
    "body", ['{"code": 40110000, "message": "request is not authorized"}', "", '{"message": "forbidden."}']
)
@pytest.mark.parametrize("status", [401, 403])
def test_guard_16_refused_keys_are_told_at_once_and_never_read_as_no_money(status: int, body: str) -> None:
    with wire(reply(status, body)) as venue:
        broker = broker_at(venue.url)
        for act in (broker.account, broker.positions, broker.validate, lambda: broker.submit(INTENT)):
            with pytest.raises(CredentialsRefused) as refused:
                act()
            assert refused.value.exit_code == 77
            assert SECRET not in str(refused.value)
        assert len(venue.asked) == 13, "each read is asked four times, an order once"


def test_guard_15_an_account_that_can_not_be_read_is_trouble_not_a_default() -> None:
    with wire(reply(200, {**ACCOUNT, "equity": None})) as venue, pytest.raises(Transient, match="equity"):
        broker_at(venue.url).account()


def test_guard_28_an_unreadable_position_is_shown_and_hides_no_other() -> None:
    problems: list[tuple[str, str]] = []
    odd = [{**POSITION, "qty": "many"}, {**POSITION, "symbol": "~", "qty": "1"}, None]
    with wire(reply(200, [POSITION, *odd])) as venue:
        broker = broker_at(venue.url, problems=problems)
        for _ in range(2):
            assert [str(each.symbol) for each in broker.positions()] == ["BTC/USD"]
            assert [str(each.symbol) for each in broker.opaque()] == ["BTC/USD", "None", "None"]
        assert len(problems) == 3, "each is told once"
    with wire(reply(200, [])) as venue:
        broker = broker_at(venue.url)
        broker.positions()
        assert not broker.opaque()


def test_a_mark_that_is_no_number_is_unknown_and_an_absurd_fill_quarantines_its_order() -> None:
    with wire(reply(200, [{**POSITION, "current_price": "NaN"}])) as venue:
        assert broker_at(venue.url).positions()[0].mark is None
    odd = [{**ORDER, "id": "p", "filled_qty": "99999"}, {**ORDER, "id": "q", "filled_qty": "-1"}]
    with wire(reply(200, [ORDER, *odd])) as venue:
        broker = broker_at(venue.url)
        assert [order.id for order in broker.open_orders()] == ["o"]
        assert [each.kind for each in broker.opaque()] == ["order", "order"]


def test_an_unreadable_order_is_quarantined_and_the_others_stand() -> None:
    problems: list[tuple[str, str]] = []
    with wire(reply(200, [ORDER, {**ORDER, "id": "p", "side": "up"}, None])) as venue:
        found = broker_at(venue.url, problems=problems).open_orders()
    assert [order.id for order in found] == ["o"]
    assert len(problems) == 2


def test_orders_past_one_page_are_all_found() -> None:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    book = [
        {**ORDER, "id": f"o{i}", "submitted_at": (start - timedelta(seconds=i // 3)).isoformat()} for i in range(501)
    ]
    with wire(reply(200, book[:500]), reply(200, book[495:])) as venue:
        assert len(broker_at(venue.url).open_orders()) == 501
        assert "until=" in venue.asked[1].path


@pytest.mark.parametrize(("status", "told"), [(204, True), (422, False), (404, False)])
def test_guard_04_a_cancel_says_whether_it_was_taken(status: int, told: bool) -> None:
    with wire(reply(status, "" if status == 204 else {"code": 42210000, "message": "not cancelable"})) as venue:
        assert broker_at(venue.url).cancel("o") is told
        assert venue.asked[0].method == "DELETE"


def test_guard_04_a_cancel_that_fails_raises() -> None:
    with wire(reply(500, "")) as venue, pytest.raises(Transient):
        broker_at(venue.url).cancel("o")


def test_an_unknown_order_is_none_and_trouble_is_not() -> None:
    with wire(reply(404, {"code": 40410000, "message": "order not found"}), reply(400, {"message": "bad"})) as venue:
        broker = broker_at(venue.url)
        assert broker.order_by_client_id("x") is None
        with pytest.raises(Transient):
            broker.order_by_client_id("x")


def test_an_order_is_sent_as_exact_text_with_its_client_id() -> None:
    odd = replace(INTENT, qty=Decimal("0.1") + Decimal("0.2"), limit_price=Decimal("0.0000150"))
    with wire(reply(200, ORDER)) as venue:
        assert isinstance(broker_at(venue.url).submit(odd), Accepted)
        body = json.loads(venue.asked[0].body)
    assert (body["qty"], body["limit_price"], body["client_order_id"]) == ("0.3", "0.000015", "c")
    assert "order_class" not in body
    both = order_request(replace(INTENT, order_class=OrderClass.OCO, stop_price=Decimal(95)))
    assert both["take_profit"] == {"limit_price": "99.5"}
    assert both["stop_loss"] == {"stop_price": "95"}
    assert "limit_price" not in both
    with pytest.raises(ValueError, match="OCO"):
        order_request(replace(INTENT, order_class=OrderClass.OCO))


def test_the_start_says_what_is_wrong_with_the_account() -> None:
    with pytest.raises(VenueUnreachable) as unreachable:
        broker_at(refused_port(), deadline_s=0.2).validate()
    assert unreachable.value.exit_code == 69
    assert "Connection refused" in str(unreachable.value)


def test_what_a_connection_failed_of_is_told_however_long_the_question_was() -> None:
    cause = NewConnectionError(HTTPConnection("nowhere.invalid"), "Name or service not known")
    pool = HTTPConnectionPool("nowhere.invalid")
    error = requests.ConnectionError(MaxRetryError(pool, "/v1beta3/bars?start=" + "2024-01-01" * 40, cause))
    told = _describe(error)
    assert told.startswith("ConnectionError NewConnectionError(")
    assert "Name or service not known" in told
    assert "start=" not in told
    assert _describe(requests.ReadTimeout("Read timed out.")) == "ReadTimeout Read timed out."


def test_the_start_refuses_an_account_that_is_not_active() -> None:
    with wire(reply(200, {**ACCOUNT, "status": "ONBOARDING"})) as venue, pytest.raises(Exception, match="ONBOARDING"):
        broker_at(venue.url).validate()


def test_a_proxy_in_the_environment_does_not_capture_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", refused_port())
    with wire(reply(200, ACCOUNT)) as venue:
        assert broker_at(venue.url).account().id == "a"


def test_the_endpoints_do_not_show_their_keys() -> None:
    assert SECRET not in repr(
        AlpacaEndpoints(key=SECRET, secret=SECRET, trading_url="", data_url="", trade_stream_url="")
    )


class StillClock:
    """Time moves only when someone waits. `set_back`: how far the wall clock is behind its own seconds."""

    def __init__(self) -> None:
        self.at = samples.NOW
        self.set_back = timedelta(0)
        self.woken = 0
        self.early: Callable[[], bool] = lambda: False

    def now(self) -> datetime:
        return self.at - self.set_back

    def monotonic(self) -> float:
        return (self.at - samples.NOW).total_seconds()

    def wait_until(self, moment: datetime) -> datetime:
        moment += self.set_back
        self.at = self.at + (moment - self.at) / 2 if self.early() else moment
        return self.now()

    def wake(self) -> None:
        self.woken += 1


def test_the_limiter_spends_market_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"it slept {seconds} s"))
    clock = StillClock()
    limiter = RequestLimiter(60, clock)
    for _ in range(60):
        limiter()
    assert clock.now() == samples.NOW
    for _ in range(60):
        limiter()
    assert clock.now() - samples.NOW == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=1))
    assert clock.woken == 0


def test_a_clock_that_is_set_back_stops_no_request() -> None:
    clock = StillClock()
    limiter = RequestLimiter(60, clock)
    for _ in range(60):
        limiter()
    clock.set_back = timedelta(hours=1)
    limiter()
    assert clock.at - samples.NOW <= timedelta(seconds=1.1)


def test_the_limiter_hands_on_a_wake_up_that_it_took() -> None:
    clock = StillClock()
    limiter = RequestLimiter(1, clock)
    limiter()
    turns = iter([True, True])
    clock.early = lambda: next(turns, False)
    limiter()
    assert clock.woken == 1
