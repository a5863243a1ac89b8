"""Each refusal, with its status, code and words; and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trader.core.types import OrderClass, OrderStatus, Symbol
from trader.exchange.engine.engine import apply
from trader.exchange.engine.events import Cancel, Phase, Replace

from .scene import AAPL, BTC, BUY, DAY, IOC, LIMIT, MARKET, SELL, SPY, STOP, STOP_LIMIT, Scene

OCO, BRACKET = OrderClass.OCO, OrderClass.BRACKET
UNIQUE = "client_order_id must be unique"
WASH = "potential wash trade detected. use complex orders"
OPPOSITE = "opposite side market/stop order exists"
PENNY = "sub-penny increment does not fulfill minimum pricing criteria"

Act = Callable[[Scene], object]
Case = tuple[str, Act, str]  # a name, what is done, words of the answer


def both_open(cash: int = 10_000) -> Scene:
    scene = Scene(cash=cash)
    scene.open(100)
    scene.tape(Phase.OPEN, 100, symbol=SPY)
    scene.tape(Phase.OPEN, 100, symbol=AAPL)
    return scene


def long_btc(scene: Scene) -> Scene:
    scene.submit(BUY, MARKET, 1)
    return scene


def long_spy(scene: Scene) -> Scene:
    scene.submit(BUY, MARKET, 10, symbol=SPY)
    return scene


def after(*acts: Act) -> Act:
    def run(scene: Scene) -> None:
        for act in acts:
            act(scene)

    return run


DUPLICATE: list[Case] = [
    ("duplicate known to the ledger", lambda s: s.submit(BUY, MARKET, 1, duplicate=True), UNIQUE),
    (
        "duplicate of an open order",
        after(
            lambda s: s.submit(BUY, LIMIT, 1, limit=90, client_id="x"),
            lambda s: s.submit(BUY, LIMIT, 1, limit=90, client_id="x"),
        ),
        UNIQUE,
    ),
]
INVALID: list[Case] = [
    ("client id too long", lambda s: s.submit(BUY, MARKET, 1, client_id="x" * 129), "at most 128"),
    ("unknown asset", lambda s: s.submit(BUY, MARKET, 1, symbol=Symbol("NOPE")), '"NOPE" not found'),
    ("neither qty nor notional", lambda s: s.submit(BUY, MARKET, None), "exactly one of qty"),
    ("both qty and notional", lambda s: s.submit(BUY, MARKET, 1, notional=50), "exactly one of qty"),
    ("zero qty", lambda s: s.submit(BUY, MARKET, 0), "qty must be a positive"),
    ("nan qty", lambda s: s.submit(BUY, MARKET, "NaN"), "qty must be a positive"),
    ("endless qty", lambda s: s.submit(BUY, MARKET, "1e900"), "qty must be a positive"),
    ("negative price", lambda s: s.submit(BUY, LIMIT, 1, limit=-1), "limit_price must be a positive"),
    ("limit without its price", lambda s: s.submit(BUY, LIMIT, 1), "require a limit price"),
    ("market with a price", lambda s: s.submit(BUY, MARKET, 1, limit=9), "take no limit price"),
    ("stop without its price", lambda s: s.submit(SELL, STOP, 1, symbol=SPY), "require a stop price"),
    (
        "simple with a target",
        lambda s: s.submit(BUY, MARKET, 1, symbol=SPY, take_profit=110),
        "simple orders take neither",
    ),
    ("crypto stop", lambda s: s.submit(SELL, STOP, 1, stop=90), "invalid order type for crypto order"),
    ("crypto day", lambda s: s.submit(BUY, MARKET, 1, tif=DAY), "invalid crypto time_in_force"),
    (
        "crypto bracket",
        lambda s: s.submit(BUY, MARKET, 1, order_class=BRACKET, take_profit=110, stop_loss=90),
        "crypto orders not allowed for advanced order_class",
    ),
    (
        "crypto oco",
        lambda s: s.submit(SELL, LIMIT, 1, order_class=OCO, take_profit=110, stop_loss=90),
        "crypto orders not allowed for advanced order_class",
    ),
    ("crypto below min_qty", lambda s: s.submit(BUY, MARKET, "0.00001"), "qty must be >= 0.0001"),
    (
        "crypto off the lot",
        lambda s: s.submit(BUY, MARKET, "1.0000000001"),
        "qty 1.0000000001 must be a multiple of 0.000000001",
    ),
    (
        "crypto off the tick",
        lambda s: s.submit(BUY, LIMIT, 1, limit="99.001"),
        "limit_price 99.001 must be a multiple of 0.01",
    ),
    ("unquoted", lambda s: s.submit(BUY, MARKET, 1, symbol=Symbol("ETH/USD")), "a market order cannot be valued"),
    (
        "unquoted by value",
        lambda s: s.submit(BUY, MARKET, None, notional=50, symbol=Symbol("ETH/USD")),
        "cannot be sized",
    ),
    ("stock sub-penny", lambda s: s.submit(BUY, LIMIT, 1, limit="99.001", symbol=SPY), PENNY),
    ("stock sub-dollar", lambda s: s.submit(BUY, LIMIT, 1, limit="0.99001", symbol=SPY), PENNY),
    ("fraction gtc", lambda s: s.submit(BUY, MARKET, "0.5", symbol=SPY), "must be DAY orders"),
    (
        "fraction too fine",
        lambda s: s.submit(BUY, MARKET, "0.5000000001", symbol=SPY, tif=DAY),
        "must be a multiple of 0.000000001",
    ),
    (
        "fraction short",
        lambda s: s.submit(SELL, MARKET, "0.5", symbol=SPY, tif=DAY),
        "fractional orders cannot be sold short",
    ),
    (
        "fraction in a bracket",
        lambda s: s.submit(BUY, MARKET, "0.5", symbol=SPY, tif=DAY, order_class=BRACKET, take_profit=110, stop_loss=90),
        "fractional orders must be simple orders",
    ),
    (
        "extended hours at the market",
        lambda s: s.submit(BUY, MARKET, 1, symbol=SPY, tif=DAY, extended_hours=True),
        "extended hours order must be DAY limit orders",
    ),
    (
        "ioc outside the session",
        lambda s: s.submit(BUY, MARKET, 1, symbol=SPY, tif=IOC, market_open=False),
        "only while the market is open",
    ),
    ("not shortable", lambda s: s.submit(SELL, MARKET, 1, symbol=AAPL), '"AAPL" cannot be sold short'),
    (
        "oco without a position",
        lambda s: s.submit(SELL, LIMIT, 1, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=90),
        "oco orders must be exit orders",
    ),
    (
        "oco of type market",
        lambda s: s.submit(SELL, MARKET, 1, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=90),
        "oco orders must be of type limit",
    ),
    (
        "oco upside down",
        after(long_spy, lambda s: s.submit(SELL, LIMIT, 1, symbol=SPY, order_class=OCO, take_profit=90, stop_loss=110)),
        "wrong way round",
    ),
    (
        "bracket as an exit",
        after(
            long_spy,
            lambda s: s.submit(SELL, MARKET, 1, symbol=SPY, order_class=BRACKET, take_profit=90, stop_loss=110),
        ),
        "bracket orders must be entry orders",
    ),
    (
        "bracket without a stop",
        lambda s: s.submit(BUY, MARKET, 1, symbol=SPY, order_class=BRACKET, take_profit=110),
        "bracket orders require stop_loss.stop_price",
    ),
    (
        "bracket around nothing",
        lambda s: s.submit(BUY, LIMIT, 1, symbol=SPY, limit=120, order_class=BRACKET, take_profit=110, stop_loss=90),
        "must be on the profit side of base_price",
    ),
    (
        "cancel the filled",
        lambda s: s.send(Cancel(at=s.at, order_id="gone", terminal=OrderStatus.FILLED)),
        'order is already in "filled" state',
    ),
    (
        "replace the filled",
        lambda s: s.send(
            Replace(at=s.at, order_id="a", new_order_id="b", client_order_id="b", terminal=OrderStatus.FILLED)
        ),
        'order is already in "filled" state',
    ),
]
FORBIDDEN: list[Case] = [
    (
        "crypto below ten dollars",
        lambda s: s.submit(BUY, LIMIT, "0.09", limit=100),
        "cost basis must be >= minimal amount of order 10",
    ),
    (
        "crypto notional below ten dollars",
        lambda s: s.submit(BUY, MARKET, None, notional="9.99"),
        "cost basis must be >= minimal amount of order 10",
    ),
    ("crypto short", lambda s: s.submit(SELL, MARKET, 1), "insufficient balance for BTC (requested: 1, available: 0)"),
    (
        "crypto beyond the cash",
        lambda s: s.submit(BUY, LIMIT, 101, limit=100),
        "insufficient balance for USD (requested: 10100, available: 10000)",
    ),
    (
        "the fee is gone from what can be sold",
        after(long_btc, lambda s: s.submit(SELL, LIMIT, 1, limit=110)),
        "insufficient balance for BTC (requested: 1, available: 0.9975)",
    ),
    (
        "fraction of what has none",
        lambda s: s.submit(BUY, MARKET, "0.5", symbol=AAPL, tif=DAY),
        '"AAPL" is not fractionable',
    ),
    (
        "notional below a dollar",
        lambda s: s.submit(BUY, MARKET, None, notional="0.99", symbol=SPY, tif=DAY),
        "cost basis must be >= minimal amount of order 1",
    ),
    ("stock beyond the power", lambda s: s.submit(BUY, LIMIT, 101, limit=100, symbol=SPY), "insufficient buying power"),
    (
        "short beyond the power, at 1.03 of the ask",
        lambda s: s.submit(SELL, LIMIT, 97, limit=99, symbol=SPY),
        "insufficient buying power",
    ),
    (
        "more than held",
        after(long_spy, lambda s: s.submit(SELL, MARKET, 11, symbol=SPY)),
        "insufficient qty available for order (requested: 11, available: 10)",
    ),
    (
        "held by a resting sell",
        after(
            long_spy,
            lambda s: s.submit(SELL, LIMIT, 8, symbol=SPY, limit=120),
            lambda s: s.submit(SELL, LIMIT, 3, symbol=SPY, limit=120),
        ),
        "insufficient qty available for order (requested: 3, available: 2)",
    ),
    (
        "cover more than is short",
        after(lambda s: s.submit(SELL, MARKET, 5, symbol=SPY), lambda s: s.submit(BUY, MARKET, 6, symbol=SPY)),
        "insufficient qty available for order (requested: 6, available: 5)",
    ),
    (
        "crossing limits",
        after(
            long_btc, lambda s: s.submit(SELL, LIMIT, "0.5", limit=110), lambda s: s.submit(BUY, LIMIT, 1, limit=110)
        ),
        WASH,
    ),
    (
        "market against a resting limit",
        after(long_btc, lambda s: s.submit(BUY, LIMIT, 1, limit=90), lambda s: s.submit(SELL, MARKET, "0.5")),
        WASH,
    ),
    (
        "limit against a resting stop",
        after(
            long_btc,
            lambda s: s.submit(SELL, STOP_LIMIT, "0.5", stop=90, limit=89),
            lambda s: s.submit(BUY, LIMIT, 1, limit=80),
        ),
        OPPOSITE,
    ),
    (
        "the unfilled rest of a buy blocks its own stop",
        after(
            long_btc,
            lambda s: s.submit(BUY, LIMIT, 1, limit=90),
            lambda s: s.submit(SELL, STOP_LIMIT, "0.5", stop=80, limit=79),
        ),
        OPPOSITE,
    ),
    (
        "short while a buy is open",
        after(
            lambda s: s.submit(BUY, LIMIT, 1, symbol=SPY, limit=90),
            lambda s: s.submit(SELL, LIMIT, 1, symbol=SPY, limit=110),
        ),
        "cannot open a short sell while a long buy order is open",
    ),
    (
        "buy while a short is open",
        after(
            lambda s: s.submit(SELL, LIMIT, 1, symbol=SPY, limit=110),
            lambda s: s.submit(BUY, LIMIT, 1, symbol=SPY, limit=90),
        ),
        "cannot open a long buy while a short sell order is open",
    ),
    (
        "oco beyond the position",
        after(
            long_spy, lambda s: s.submit(SELL, LIMIT, 11, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=90)
        ),
        "insufficient qty available",
    ),
]
NOT_FOUND: list[Case] = [
    ("cancel the unknown", lambda s: s.cancel("nobody"), "order not found for nobody"),
    (
        "replace the unknown",
        lambda s: s.send(Replace(at=s.at, order_id="a", new_order_id="b", client_order_id="b")),
        "order not found for a",
    ),
]
CASES = [
    (*case, status, code)
    for cases, status, code in (
        (DUPLICATE, 422, 40010001),
        (INVALID, 422, 42210000),
        (FORBIDDEN, 403, 40310000),
        (NOT_FOUND, 404, 40410000),
    )
    for case in cases
]


@pytest.mark.parametrize(("name", "act", "words", "status", "code"), CASES, ids=[case[0] for case in CASES])
def test_refusal(name: str, act: Act, words: str, status: int, code: int) -> None:
    scene = both_open()
    act(scene)
    assert (scene.refusal.status, scene.refusal.code) == (status, code)
    assert words in scene.refusal.message


def test_a_refusal_leaves_the_very_same_books() -> None:
    scene = both_open()
    before = scene.books
    scene.submit(SELL, MARKET, 1)
    assert scene.books is before


def test_insufficient_balance_carries_the_venues_figures() -> None:
    scene = long_btc(both_open())
    scene.submit(SELL, LIMIT, "0.9", limit=110)
    scene.submit(SELL, LIMIT, "0.1", limit=110)
    assert dict(scene.refusal.extra) == {
        "available": "0.0975",
        "existing_qty": "0.9975",
        "held_for_orders": "0.9",
        "symbol": "BTC",
    }


def test_a_wash_trade_names_the_order_that_stands_in_the_way() -> None:
    scene = long_btc(both_open())
    resting = scene.submit(SELL, LIMIT, "0.5", limit=110)
    scene.submit(BUY, MARKET, 1)
    assert scene.refusal.extra["existing_order_id"] == resting


def test_a_bracket_and_an_oco_are_exempt_from_the_wash_rule() -> None:
    scene = long_spy(both_open())
    scene.submit(BUY, LIMIT, 1, symbol=SPY, limit=90)
    scene.submit(SELL, LIMIT, 10, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=80)
    assert scene.words == ["new", "new"]


def test_opposite_limits_that_do_not_cross_may_rest_together() -> None:
    scene = long_btc(both_open())
    scene.submit(SELL, LIMIT, "0.5", limit=110)
    scene.submit(BUY, LIMIT, 1, limit=90)
    assert scene.words == ["new"]


def test_shorts_need_two_thousand_of_equity() -> None:
    scene = both_open(cash=1_999)
    scene.submit(SELL, MARKET, 1, symbol=SPY)
    assert (scene.refusal.status, scene.refusal.message) == (403, "account is not allowed to short")


def test_an_event_for_an_unlisted_symbol_or_without_sense_changes_nothing() -> None:
    scene = both_open()
    before = scene.books
    scene.tape(Phase.FIRST, 100, symbol=Symbol("NOPE"))
    scene.tape(Phase.FIRST, 100, 90, 95)
    scene.tape(Phase.FIRST, "NaN", "NaN", "NaN", quoted=False)
    assert scene.books is before
    assert apply(before, Cancel(at=scene.at, order_id=""))[0] is before
    assert BTC in before.tapes
