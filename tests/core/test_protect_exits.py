"""The one exit that rests: never two, never more than is held, never at a loss by choice, never missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import (
    BTC,
    CLOSE,
    NOW,
    SPY,
    ago,
    inputs,
    instrument,
    levels,
    order,
    portfolio,
    position,
    quote,
    resting,
    signal,
)
from trader.core.decision import ExitPolicy, ExitRests, Levels
from trader.core.exits import ExitWish, break_even, fallback_levels
from trader.core.fees import fee_of
from trader.core.plan import plan
from trader.core.portfolio import orphans
from trader.core.protect import ProtectAction, close_now, protect
from trader.core.types import (
    EntrySide,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    Purpose,
    Symbol,
    TimeInForce,
)

D = Decimal
POLICY = ExitPolicy()
SHARE = instrument(SPY)


def crypto(
    mid: str | None = "100",
    rests: list[Order] | None = None,
    *,
    held: Position | None = None,
    at: Levels | None = None,
    policy: ExitPolicy = POLICY,
    known: bool = True,
) -> ProtectAction:
    chosen = (at or levels()) if known else None
    seen = quote(mid=mid) if mid else None
    taken = sum((o.remaining for o in rests or [] if o.side is OrderSide.SELL), D(0))
    owned = held or position(available=str(1 - taken))
    return protect(owned, seen, chosen, policy, instrument(), NOW, rests or [], session_close=None)


def stock(
    mid: str | None = "100",
    rests: list[Order] | None = None,
    *,
    qty: str = "10",
    at: Levels | None = None,
    policy: ExitPolicy = POLICY,
    close: object = CLOSE,
) -> ProtectAction:
    seen = quote(SPY, mid=mid, width_bps="2") if mid else None
    owned = position(SPY, qty, available="0" if rests else None)
    return protect(owned, seen, at or levels(SPY), policy, SHARE, NOW, rests or [], session_close=close)  # type: ignore[arg-type]


def placed(action: ProtectAction) -> ExitWish:
    assert action.place is not None, action
    return action.place


# ---- crypto: one sell owns the quantity ----


def test_guard_07_a_position_without_an_exit_gets_one() -> None:
    wish = placed(crypto())
    assert (wish.purpose, wish.qty, wish.type, wish.tif) == (Purpose.STOP, 1, OrderType.STOP_LIMIT, TimeInForce.GTC)
    assert (wish.stop_price, wish.limit_price) == (D(95), D("94.05"))


def test_guard_07_without_levels_a_stop_rests_all_the_same_and_stays() -> None:
    wish = placed(crypto(known=False))
    assert (wish.purpose, wish.stop_price) == (Purpose.STOP, D("94.90"))  # 5% below the bid
    lower = crypto("97", [resting(wish)], known=False)
    assert (lower.keep, lower.cancel, lower.place) == ("x1", (), None)


def test_a_position_adopted_under_water_is_not_sold_for_it() -> None:
    made = fallback_levels(position(entry="200"), quote(), POLICY, instrument(), NOW)
    assert made.stop == D("94.90")
    assert made.expires_at is None


def test_the_nearer_level_rests_and_the_other_waits_its_turn() -> None:
    stop = resting(placed(crypto("100")))
    assert stop.type is OrderType.STOP_LIMIT
    swapped = crypto("102", [stop])
    assert swapped.cancel == ("x1",)
    assert placed(swapped).purpose is Purpose.TARGET
    assert placed(swapped).limit_price == D(105)


def test_hysteresis_keeps_what_rests_near_the_middle() -> None:
    stop = resting(placed(crypto("99")))
    target = resting(placed(crypto("102")))
    for mid in ("100.08", "100.12"):  # the bid is a tenth of a per cent lower
        assert crypto(mid, [stop]).keep == "x1"
        assert crypto(mid, [target]).keep == "x1"


@pytest.mark.parametrize(("choice", "purpose"), [(ExitRests.TARGET, Purpose.TARGET), (ExitRests.STOP, Purpose.STOP)])
def test_the_policy_can_choose_which_rests(choice: ExitRests, purpose: Purpose) -> None:
    for mid in ("96", "100", "104"):
        assert placed(crypto(mid, policy=ExitPolicy(exit_rests=choice))).purpose is purpose


def test_a_watched_target_that_is_reached_is_taken() -> None:
    policy = ExitPolicy(exit_rests=ExitRests.STOP)
    stop = resting(placed(crypto(policy=policy)))
    reached = crypto("105.2", [stop], policy=policy)
    assert reached.cancel == ("x1",)
    assert (placed(reached).purpose, placed(reached).limit_price) == (Purpose.TARGET, D(105))


def test_a_watched_stop_that_is_reached_is_sold_within_the_collar() -> None:
    policy = ExitPolicy(exit_rests=ExitRests.TARGET)
    target = resting(placed(crypto(policy=policy)))
    reached = crypto("95", [target], policy=policy)
    wish = placed(reached)
    assert reached.cancel == ("x1",)
    assert (wish.purpose, wish.type, wish.tif) == (Purpose.STOP, OrderType.LIMIT, TimeInForce.IOC)
    assert wish.limit_price == instrument().price_down(D("94.905") * D("0.99"))


def test_a_stop_that_can_still_fill_is_left_to_the_venue_and_one_jumped_over_is_chased() -> None:
    stop = resting(placed(crypto()))
    assert crypto("94.9", [stop]).keep == "x1"
    gapped = crypto("90", [stop])
    assert gapped.cancel == ("x1",)
    assert placed(gapped).tif is TimeInForce.IOC
    assert placed(gapped).limit_price < D("89.91")  # type: ignore[operator]


def test_without_a_quote_the_stop_is_what_rests() -> None:
    stop, target = resting(placed(crypto("100"))), resting(placed(crypto("103")))
    assert crypto(None, [stop]).keep == "x1"
    assert crypto(None, [target]).cancel == ("x1",)
    assert placed(crypto(None, [target])).purpose is Purpose.STOP
    assert placed(crypto(None)).purpose is Purpose.STOP


def by_mark(mark: str, exits: list[Order], rests: ExitRests = ExitRests.NEAREST) -> ProtectAction:
    policy = replace(POLICY, exit_rests=rests)
    return protect(
        position(), None, levels(), policy, instrument(), NOW, exits, session_close=None, mark=D(mark)
    )  # fmt: skip


@pytest.mark.parametrize("rests", ExitRests)
def test_by_the_mark_alone_nothing_is_watched_and_a_gapped_stop_is_chased(rests: ExitRests) -> None:
    assert placed(by_mark("104", [], rests)).purpose is Purpose.STOP
    chased = placed(by_mark("90", [], rests))
    assert (chased.purpose, chased.tif, chased.limit_price) == (Purpose.STOP, TimeInForce.IOC, D("89.10"))
    assert by_mark("90", [resting(placed(crypto("100")))], rests).cancel == ("x1",), "its limit is left behind"


def test_a_watched_stop_rests_before_the_quote_is_too_old_to_act_on() -> None:
    for age_s, purpose in ((29, Purpose.TARGET), (31, Purpose.STOP)):
        old = replace(quote(mid="104.5"), at=NOW - timedelta(seconds=age_s))
        action = protect(position(), old, levels(), POLICY, instrument(), NOW, [], session_close=None)
        assert placed(action).purpose is purpose


def test_a_kind_that_the_venue_keeps_refusing_gives_way_to_another() -> None:
    def without(kind: Purpose, symbol: Symbol = BTC, close: datetime | None = None) -> ExitWish:
        return placed(
            protect(
                position(symbol, "2"), quote(symbol), levels(symbol), POLICY, instrument(symbol), NOW, [],
                session_close=close, without=frozenset({kind}),
            )
        )  # fmt: skip

    assert without(Purpose.STOP).purpose is Purpose.TARGET
    later = NOW + timedelta(hours=3)
    assert without(Purpose.PROTECT, SPY, later).purpose is Purpose.STOP
    assert without(Purpose.STOP, SPY, later).purpose is Purpose.TARGET


def test_guard_10_an_exit_waits_for_the_cancel_of_the_one_before() -> None:
    old = resting(placed(crypto(at=levels(stop="94"))))
    action = crypto("99", [old])
    assert action.cancel == ("x1",)
    assert placed(action).stop_price == D(95)
    dying = replace(old, status=OrderStatus.PENDING_CANCEL)
    assert crypto("99", [dying]).cancel == ("x1",)
    again = crypto("99", [])
    assert placed(again).qty == 1


def test_the_rest_of_an_entry_makes_room_for_its_own_stop() -> None:
    rest = order(Purpose.ENTRY, qty="3", filled_qty=D(1), status=OrderStatus.PARTIALLY_FILLED, name="entry")
    action = protect(position(), quote(), levels(), POLICY, instrument(), NOW, [rest], session_close=None)
    assert action.cancel == ("entry",)
    assert placed(action).qty == 1


def test_what_anothers_order_holds_is_not_ours_to_sell() -> None:
    theirs = order(None, side=OrderSide.SELL, qty="0.4", name="hand")
    action = crypto(rests=[theirs], held=position(available="0.6"))
    assert action.cancel == ()
    assert placed(action).qty == D("0.6")
    nothing = crypto(rests=[replace(theirs, qty=D(1))], held=position(available="0"))
    assert (nothing.place, nothing.cancel) == (None, ())
    assert "another" in nothing.reason


def test_an_exit_is_never_larger_than_the_position_even_where_the_venue_counts_twice() -> None:
    old = resting(placed(crypto(at=levels(stop="94"))))
    assert placed(crypto("99", [old], held=position(available="1"))).qty == 1


def test_a_fee_in_the_coin_leaves_less_to_sell() -> None:
    assert placed(crypto(held=position(qty="0.9985"))).qty == D("0.9985")


def test_guard_33_a_time_exit_of_crypto_is_a_limit_inside_the_collar_not_a_market_order() -> None:
    over = levels(expires_at=NOW)
    stop = resting(placed(crypto()))
    action = crypto("100", [stop], at=over)
    wish = placed(action)
    assert action.cancel == ("x1",)
    assert (wish.purpose, wish.type, wish.tif) == (Purpose.TIME_EXIT, OrderType.LIMIT, TimeInForce.IOC)
    assert wish.limit_price == instrument().price_down(D("99.9") * D("0.99"))
    waiting = crypto(None, [stop], at=over)
    assert (waiting.keep, waiting.place) == ("x1", None)
    assert crypto("100", at=levels(expires_at=None)).place is not None


def test_an_exit_that_is_under_way_is_not_disturbed() -> None:
    leaving = resting(placed(crypto(at=levels(expires_at=NOW))))
    assert crypto("100", [leaving], at=levels(expires_at=NOW)).keep == "x1"
    assert crypto("100", [leaving]).keep == "x1"


def test_dust_is_left_and_said() -> None:
    action = crypto(held=position(qty="0.005"))
    assert (action.place, action.cancel) == (None, ())
    assert action.reason.startswith("dust")


def test_guard_11_half_a_coin_is_protected_and_a_fall_does_not_make_dust() -> None:
    assert placed(crypto(held=position(qty="0.5"))).qty == D("0.5")
    assert placed(crypto("80", held=position(qty="0.11"))).qty == D("0.11")


# ---- break-even ----


def test_guard_01_a_profit_exit_that_would_lose_is_moved_to_break_even() -> None:
    wrong = levels(target="99", stop="90")
    wish = placed(crypto("104", at=wrong))
    assert wish.purpose is Purpose.TARGET
    assert wish.limit_price is not None
    assert wish.limit_price >= D(100) * D("1.0003")


def test_guard_01_stocks_without_fees_have_a_floor_too() -> None:
    assert break_even(D(100), EntrySide.LONG, SHARE) == D("100.03")
    assert break_even(D(100), EntrySide.SHORT, SHARE) == D("99.97")


@given(st.integers(100, 10**7), st.integers(1, 10**6))
def test_guard_02_at_break_even_nothing_is_lost_after_both_fees(cents: int, milli: int) -> None:
    asset, price, qty = instrument(), D(cents) / 100, D(milli) / 1000
    exit_price = break_even(price, EntrySide.LONG, asset)
    coin, _ = fee_of(BTC, OrderSide.BUY, qty, price, asset.fees.maker_bps)
    got = (qty - coin) * exit_price
    fee, _ = fee_of(BTC, OrderSide.SELL, qty - coin, exit_price, asset.fees.taker_bps)
    assert got - fee >= qty * price - D("0.00001") * (1 + exit_price / 1000)


def test_guard_02_stops_and_time_exits_are_never_floored() -> None:
    assert placed(crypto("96")).stop_price == D(95)
    under = placed(crypto("90", at=levels(stop="80", expires_at=NOW)))
    assert under.limit_price is not None
    assert under.limit_price < 90


# ---- stocks ----


def test_whole_shares_rest_as_an_oco_and_it_is_kept() -> None:
    wish = placed(stock())
    assert (wish.purpose, wish.order_class, wish.tif) == (Purpose.PROTECT, OrderClass.OCO, TimeInForce.DAY)
    assert (wish.limit_price, wish.stop_price, wish.qty) == (D(105), D(95), 10)
    assert stock("103", [resting(wish)]).keep == "x1"
    assert stock("94", [resting(wish)]).keep == "x1"
    overnight = placed(stock(policy=ExitPolicy(stocks_overnight=True)))
    assert overnight.tif is TimeInForce.GTC


def test_new_levels_replace_the_oco() -> None:
    old = resting(placed(stock(at=levels(SPY, stop="94"))))
    action = stock("100", [old])
    assert action.cancel == ("x1",)
    assert placed(action).stop_price == D(95)


def test_guard_14_a_fraction_of_a_share_rests_by_the_day_only() -> None:
    wish = placed(stock(qty="0.5"))
    assert (wish.purpose, wish.type, wish.tif) == (Purpose.TARGET, OrderType.LIMIT, TimeInForce.DAY)
    reached = stock("94", [resting(wish)], qty="0.5")
    assert (placed(reached).purpose, placed(reached).type) == (Purpose.STOP, OrderType.MARKET)
    assert stock(qty="0.5", close=None).place is None


def test_guard_13_a_closed_market_gets_no_day_and_no_market_order() -> None:
    for qty, expires in (("10", NOW), ("0.5", NOW), ("0.5", None), ("10", None)):
        action = stock(qty=qty, at=levels(SPY, expires_at=expires), close=None)
        if action.place is not None:
            assert action.place.tif is TimeInForce.GTC
            assert action.place.type is not OrderType.MARKET


def test_stocks_are_flat_before_the_close_unless_they_may_stay() -> None:
    soon = NOW + timedelta(minutes=10)
    oco = resting(placed(stock()))
    action = stock("100", [oco], close=soon)
    assert action.cancel == ("x1",)
    assert (placed(action).type, placed(action).purpose) == (OrderType.MARKET, Purpose.TIME_EXIT)
    assert stock("100", [oco], close=soon, policy=ExitPolicy(stocks_overnight=True)).keep == "x1"
    assert placed(stock(None, close=soon)).type is OrderType.MARKET


def test_a_short_is_protected_by_buys() -> None:
    short = position(SPY, "-10")
    at = levels(SPY, "95", "105", entry_side=EntrySide.SHORT)
    wish = placed(protect(short, quote(SPY), at, POLICY, SHARE, NOW, [], session_close=CLOSE))
    assert (wish.entry_side.closing, wish.limit_price, wish.stop_price) == (OrderSide.BUY, D(95), D(105))
    reached = protect(short, quote(SPY, mid="106"), at, POLICY, SHARE, NOW, [], session_close=CLOSE)
    assert (placed(reached).type, placed(reached).purpose) == (OrderType.MARKET, Purpose.STOP)


def test_levels_of_the_other_side_are_not_used() -> None:
    wish = placed(crypto(at=levels(target="95", stop="105", entry_side=EntrySide.SHORT)))
    assert wish.stop_price == D("94.90")


# ---- out now ----


def test_flatten_and_kill_need_no_quote_and_no_levels() -> None:
    stop = resting(placed(crypto()))
    for purpose in (Purpose.FLATTEN, Purpose.KILL):
        held = position(available="0")
        action = close_now(held, None, POLICY, instrument(), [stop, order()], purpose, session_close=None)
        assert set(action.cancel) == {"x1", "o1"}
        assert (placed(action).purpose, placed(action).type) == (purpose, OrderType.MARKET)
        quoted = close_now(position(), quote(), POLICY, instrument(), [], purpose, session_close=None)
        assert (placed(quoted).type, placed(quoted).tif) == (OrderType.LIMIT, TimeInForce.IOC)


def test_flatten_waits_for_the_stock_market_to_open() -> None:
    args = (position(SPY, "10"), None, POLICY, SHARE, [], Purpose.FLATTEN)
    assert close_now(*args, session_close=None).place is None
    assert placed(close_now(*args, session_close=CLOSE)).type is OrderType.MARKET


def test_exits_without_a_position_are_orphans() -> None:
    left = resting(placed(crypto()))
    book = portfolio(orders=[left, order(None, name="hand"), order(name="entry")])
    assert orphans(book) == (left,)
    assert orphans(portfolio([position()], [left])) == ()
    made = plan(inputs(portfolio=portfolio(orders=[left])), [signal()])
    assert made.cancels == ("x1",)
    assert made.intents
    flat = protect(position(qty="0"), quote(), levels(), POLICY, instrument(), NOW, [left], session_close=None)
    assert (flat.cancel, flat.place) == (("x1",), None)


def test_a_quote_that_can_not_be_is_no_quote() -> None:
    stop = resting(placed(crypto()))
    crossed = replace(quote(), bid=D(90), ask=D(80), at=ago(seconds=1))
    action = protect(
        position(available="0"), crossed, levels(), POLICY, instrument(), NOW, [stop], session_close=None
    )  # fmt: skip
    assert action.keep == "x1"


def test_what_a_cut_off_entry_left_is_protected_though_it_is_less_than_a_buy_may_be() -> None:
    assert placed(crypto(held=position(qty="0.07"))).qty == D("0.07")
