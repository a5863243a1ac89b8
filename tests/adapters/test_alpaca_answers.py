"""What an error answer means, and when refused keys are believed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.adapters.test_alpaca_convert import ACCOUNT
from tests.adapters.test_alpaca_wire import INTENT
from tests.adapters.wire import reply, wire
from trader.adapters.alpaca.answers import LONGEST_HOLD_S, Failure, Keys, Meaning, retry_after_s
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, build_clients
from trader.adapters.clock import RealClock
from trader.errors import CredentialsRefused, KeysDoubted, Transient
from trader.trading.ports import Accepted, Refused, Undetermined

FORBIDDEN = {"message": "forbidden."}


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (401, "", Meaning.KEYS),
        (401, '{"code": 40110000, "message": "request is not authorized"}', Meaning.KEYS),
        (403, '{"code": 40110000, "message": "request is not authorized"}', Meaning.KEYS),
        (403, '{"message": "forbidden."}', Meaning.KEYS),
        (403, "", Meaning.KEYS),
        (403, '{"code": 40310000, "message": "insufficient balance"}', Meaning.REFUSED),
        (403, '{"code": 40310100, "message": "pattern day trading protection"}', Meaning.REFUSED),
        (403, '{"code": 40310010, "message": "trading is halted"}', Meaning.REFUSED),
        (403, '{"code": 40399999, "message": "something new"}', Meaning.REFUSED),
        (403, '{"message": "subscription does not permit querying recent SIP data"}', Meaning.REFUSED),
        (403, "<html>forbidden</html>", Meaning.TROUBLE),
        (404, '{"code": 40410000, "message": "order not found"}', Meaning.ABSENT),
        (422, '{"code": 40010001, "message": "client_order_id must be unique"}', Meaning.DUPLICATE),
        (422, '{"code": 42210000, "message": "invalid limit_price"}', Meaning.REFUSED),
        (418, '{"code": 1, "message": "short and stout"}', Meaning.REFUSED),
        (429, "", Meaning.LATER),
        (408, "", Meaning.TROUBLE),
        (500, '{"code": 50010000, "message": "internal"}', Meaning.TROUBLE),
        (502, "<html>", Meaning.TROUBLE),
    ],
)
def test_each_answer_means_one_thing(status: int, body: str, meaning: Meaning) -> None:
    assert Failure.of(status, body).meaning is meaning


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Mon, 02 Mar 2026 00:00:09 GMT", 9.0), ("Sun, 01 Mar 2026 00:00:09 GMT", 0.0), ("", 0.0),
     ("soon", 0.0), ("86400", LONGEST_HOLD_S)],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms(header: str, seconds: float) -> None:
    assert retry_after_s(header, datetime(2026, 3, 2, tzinfo=UTC)) == seconds


def test_refused_keys_are_believed_only_after_minutes_of_nothing_else() -> None:
    now = [0.0]
    keys, told = Keys(600.0, lambda: now[0]), list[str]()
    keys.on_doubt = told.append
    assert isinstance(keys.refused("401"), KeysDoubted)
    assert keys.doubt() == "", "one answer is no reason yet"
    now[0] = 10.0
    assert isinstance(keys.refused("401"), KeysDoubted)
    assert "590 s more" in keys.doubt()
    assert told == [keys.doubt()], "at once, and once"
    now[0] = 599.0
    keys.taken()
    assert keys.doubt() == ""
    now[0] = 700.0
    assert isinstance(keys.refused("401"), KeysDoubted), "good ones in between: it begins anew"
    now[0] = 1300.0
    assert isinstance(keys.refused("401", counts=False), KeysDoubted), "market data does not end the daemon"
    assert isinstance(keys.refused("401"), CredentialsRefused)


def patient_broker(url: str, confirm_s: float = 600.0) -> AlpacaBroker:
    endpoints = AlpacaEndpoints(key="k", secret="s", trading_url=url, data_url=url, trade_stream_url="")
    return AlpacaBroker(build_clients(endpoints, first_backoff_s=0.01, keys_confirm_s=confirm_s), RealClock())


@pytest.mark.parametrize("answer", [reply(401, ""), reply(403, FORBIDDEN)])
def test_one_refusal_of_the_keys_is_asked_again(answer: object) -> None:
    with wire(answer, reply(200, ACCOUNT)) as venue:  # type: ignore[arg-type]
        assert patient_broker(venue.url).account().id == "a"
        assert len(venue.asked) == 2


def test_refused_keys_are_passing_trouble_for_a_daemon_and_the_end_at_its_start() -> None:
    with wire(reply(401, "")) as venue:
        broker = patient_broker(venue.url)
        with pytest.raises(Transient):
            broker.positions()
        outcome = broker.submit(INTENT)
        assert isinstance(outcome, Undetermined)
        assert not outcome.sent, "turned away: the same one may go again"
        with pytest.raises(CredentialsRefused):
            broker.validate()


def test_refused_keys_end_the_daemon_when_it_stays_so() -> None:
    with wire(reply(401, "")) as venue:
        broker = patient_broker(venue.url, confirm_s=0.001)
        with pytest.raises((KeysDoubted, CredentialsRefused)):
            broker.positions()
        with pytest.raises(CredentialsRefused):
            broker.positions()


@pytest.mark.parametrize("code", [40310100, 40310010, 40399999])
def test_a_refusal_with_a_code_is_about_that_order(code: int) -> None:
    with wire(reply(403, {"code": code, "message": "no"})) as venue:
        outcome = patient_broker(venue.url).submit(INTENT)
        assert isinstance(outcome, Refused)
        assert outcome.code == code


def test_an_order_answered_200_with_an_error_in_it_is_asked_for() -> None:
    with wire(reply(200, {"code": 40310000, "message": "no"})) as venue:
        assert isinstance(patient_broker(venue.url).submit(INTENT), Undetermined)
        with pytest.raises(Transient):
            patient_broker(venue.url).positions()


def test_too_many_requests_are_followed_by_none_until_the_venue_says_so() -> None:
    with wire(reply(429, "", {"Retry-After": "50"}), reply(200, ACCOUNT)) as venue:
        broker = patient_broker(venue.url)
        for act in (broker.account, broker.positions):
            with pytest.raises(Transient):
                act()
        outcome = broker.submit(INTENT)
        assert isinstance(outcome, Undetermined)
        assert not outcome.sent
        assert len(venue.asked) == 1
        assert not isinstance(outcome, Accepted)
