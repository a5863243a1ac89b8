"""Rubbish at every endpoint: a clear 4xx, never a 500, and an account that nothing happened to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exchange.api.running import Running
from tests.waiting import GENEROUS_S
from trader.exchange.api.data import ROUTES as DATA_ROUTES
from trader.exchange.api.trading import ROUTES as TRADING_ROUTES

SOME = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
FIELDS = (
    "symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price", "client_order_id",
    "order_class", "take_profit", "stop_loss", "extended_hours", "legs", "position_intent", "trail", "until", "rules",
    "seed", "suspend_trade", "max_margin_multiplier",
)  # fmt: skip
PARAMS = (
    "symbols", "timeframe", "start", "end", "limit", "page_token", "sort", "status", "after", "until", "direction",
    "nested", "side", "qty", "percentage", "cancel_orders", "client_order_id", "activity_types", "page_size", "date",
    "period", "asset_class", "exchange", "feed",
)  # fmt: skip
LIKELY = st.sampled_from(
    [
        "BTC/USD", "AAPL", "NO/USD", "buy", "sell", "market", "limit", "stop_limit", "gtc", "day", "ioc", "bracket",
        "oco", "1", "-1", "0", "1e400", "NaN", "Infinity", "1e-30", "9" * 400, "2024-02-01T00:00:00Z", "0001-01-01",
        "9999-12-31T23:59:59.999999999+14:00", "1Hour", "1Min", "all", "open", "asc", "true", "\ud800", "\x00", "',;--",
    ]
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), LIKELY, st.text(max_size=20))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), VALUES, max_size=10)
QUERIES = st.dictionaries(
    st.sampled_from(PARAMS), st.one_of(LIKELY, st.text(max_size=20)).filter(lambda t: "\ud800" not in t), max_size=5
)
WRITERS = [("POST", "/v2/orders"), ("PATCH", "/v2/account/configurations"), ("POST", "/sim/advance")]
WRITERS += [("PATCH", "/v2/orders/no-such-order"), ("POST", "/sim/faults")]


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Any:
    yield
    exchange.faults()


@SOME
@given(body=st.one_of(BODIES, VALUES), where=st.sampled_from(WRITERS))
def test_any_json_is_answered_without_a_500(exchange: Running, body: Any, where: tuple[str, str]) -> None:
    method, path = where
    if path == "/sim/faults" and isinstance(body, dict) and body.get("rules"):
        return  # a script that happens to be right would spoil the next example
    answer = exchange.session.request(method, exchange.url + path, data=json.dumps(body), timeout=GENEROUS_S)
    assert answer.status_code in (200, 400, 401, 403, 404, 422), (body, answer.text)
    if answer.status_code >= 400:
        assert answer.json()["message"]


ORDER = {"symbol": "BTC/USD", "qty": "0.01", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "1"}


@SOME
@given(changes=st.dictionaries(st.sampled_from(FIELDS[:15]), VALUES, min_size=1, max_size=2))
def test_one_wrong_field_in_a_good_order_is_answered_without_a_500(exchange: Running, changes: dict[str, Any]) -> None:
    answer = exchange.session.post(exchange.url + "/v2/orders", data=json.dumps(ORDER | changes), timeout=GENEROUS_S)
    assert answer.status_code in (200, 400, 403, 422), (changes, answer.text)  # 400: Infinity is no JSON


@SOME
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_answered_without_a_500(exchange: Running, raw: bytes) -> None:
    for method, path in WRITERS:
        answer = exchange.session.request(method, exchange.url + path, data=raw, timeout=GENEROUS_S)
        assert answer.status_code in (400, 404, 422), (path, answer.text)


READERS = [path for method, path, _ in (*TRADING_ROUTES, *DATA_ROUTES) if method == "GET"]


@SOME
@given(path=st.sampled_from(READERS), query=QUERIES, name=LIKELY.filter(lambda t: "\ud800" not in t))
def test_any_query_is_answered_without_a_500(exchange: Running, path: str, query: dict[str, str], name: str) -> None:
    for field in ("{order_id}", "{symbol:path}", "{kind}"):
        path = path.replace(field, name.replace("\x00", "%00"))
    answer = exchange.get(path, **query)
    assert answer.status_code in (200, 400, 404, 422), (path, query, answer.text)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"NaN", b'{"qty": NaN}', b'{"qty": ' + b"9" * 5000 + b"}", b"[" * 60_000, b"\xff\xfe"],
)
def test_named_rubbish_is_a_400_or_422(exchange: Running, raw: bytes) -> None:
    answer = exchange.session.post(exchange.url + "/v2/orders", data=raw, timeout=GENEROUS_S)
    assert answer.status_code in (400, 422)
    assert answer.json()["message"]


def test_body_without_end_is_refused(exchange: Running) -> None:
    answer = exchange.session.post(exchange.url + "/v2/orders", data=b" " * 200_000, timeout=GENEROUS_S)
    assert answer.status_code == 400


def test_unknown_path_and_method(exchange: Running) -> None:
    assert exchange.get("/v2/nothing").status_code == 404
    assert exchange.session.put(exchange.url + "/v2/account").status_code == 405
    for answer in (exchange.get("/v2/nothing"), exchange.session.put(exchange.url + "/v2/account")):
        assert answer.json()["message"]


def test_unlisted_reads_need_keys(exchange: Running) -> None:
    for path in READERS:
        bare = exchange.session.get(
            exchange.url + path, headers={"APCA-API-KEY-ID": None, "APCA-API-SECRET-KEY": None}, timeout=GENEROUS_S
        )
        assert (bare.status_code == 401) is ("crypto" not in path), path
