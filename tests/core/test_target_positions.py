"""A wanted position against what is held: what is entered, what is sold, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import (
    BTC,
    CLOSE,
    NOW,
    SPY,
    account,
    inputs,
    instrument,
    levels,
    order,
    portfolio,
    position,
    quote,
    resting,
)
from trader.adapters.journal.codec import decode, encode
from trader.core.decision import DecisionInputs, ExitPolicy, Hold, Levels, Plan, Signal, hold, leave
from trader.core.plan import plan, view_of
from trader.core.protect import ProtectAction, protect
from trader.core.types import Order, OrderSide, OrderType, Position, Purpose, Quote, Symbol, TimeInForce

D = Decimal
STOP = D(80)


def wanting(*signals: Signal, held: tuple[Position, ...] = (), orders: tuple[Order, ...] = (), **changes: Any) -> Plan:
    limits = replace(inputs().limits, max_symbol=D(1), max_gross=D(1), max_net=D(1), max_order_notional=D(10**6))
    given_inputs = inputs((BTC, SPY), portfolio=portfolio(held, orders), **{"limits": limits, **changes})
    return plan(given_inputs, signals)


def of(symbol: Symbol, weight: str, **changes: Any) -> Signal:
    return hold(symbol, **{"weight": D(weight), "stop": STOP, "reason": "wanted", **changes})


def denied(made: Plan) -> dict[str, str]:
    return {denial.rule: denial.detail for verdict in made.verdicts for denial in verdict.denials}


# ---- more ----


def test_what_is_missing_is_bought_at_once_with_a_stop_and_no_target() -> None:
    made = wanting(of(BTC, "0.5"))
    [intent], [level] = made.intents, made.levels
    assert (intent.order_side, intent.limit_price, intent.tif) == (OrderSide.BUY, D("100.10"), TimeInForce.IOC)
    assert intent.qty == D(500)  # of 100,000 at a middle of 100
    assert (level.stop, level.target, level.keep) == (STOP, None, None)


def test_a_share_waits_for_the_day_alone_for_a_fraction_takes_no_other_order() -> None:
    [intent] = wanting(of(SPY, "0.5")).intents
    assert (intent.tif, intent.qty) == (TimeInForce.DAY, D(500))


def test_only_the_difference_is_bought_beside_what_is_held_and_our_own_exit() -> None:
    exit_order = order(Purpose.STOP, side=OrderSide.SELL, qty="300")
    [intent] = wanting(of(BTC, "0.5"), held=(position(qty="300"),), orders=(exit_order,)).intents
    assert intent.qty == D(200)


def test_a_persons_order_is_in_the_way() -> None:
    made = wanting(of(BTC, "0.5"), held=(position(qty="300"),), orders=(order(None, side=OrderSide.SELL, qty="1"),))
    assert not made.intents
    assert "order_open" in denied(made)


def test_units_are_wanted_as_units() -> None:
    [intent] = wanting(hold(BTC, units=D(7), stop=STOP, reason="seven"), held=(position(qty="3"),)).intents
    assert intent.qty == D(4)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"quotes": {}}, "quote"),
        ({"forecasts": {}}, "forecast"),
        ({"open_symbols": frozenset()}, "closed"),
        ({"add_latest": False}, "add_latest"),
    ],
)
def test_no_quote_no_forecast_no_market_is_no_more_exposure(changes: dict[str, Any], rule: str) -> None:
    made = wanting(of(BTC, "0.5"), held=(position(qty="300"),), **changes)
    assert not made.intents
    assert rule in denied(made)


def test_nothing_is_opened_without_a_stop() -> None:
    assert "levels" in denied(wanting(hold(BTC, weight=D("0.5"), reason="bold")))


def test_the_caps_see_the_position_that_results() -> None:
    limits = replace(inputs().limits, max_symbol=D("0.35"), max_order_notional=D(10**6))
    made = wanting(of(BTC, "0.5"), held=(position(qty="300"),), limits=limits)
    assert sum(intent.qty for intent in made.intents) * D("100.1") <= 5_000
    assert "max_symbol" in denied(made)


def test_an_expected_return_that_costs_eat_is_denied_and_none_said_is_no_reason_to_deny() -> None:
    assert "edge" in denied(wanting(of(BTC, "0.5", edge=D("0.0040"))))  # two taker fees and the spread are 70 bps
    assert wanting(of(BTC, "0.5", edge=D("0.02"))).intents
    assert wanting(of(BTC, "0.5")).intents


# ---- less ----


def test_what_is_too_much_is_to_be_sold_and_the_stop_goes_with_the_market() -> None:
    made = wanting(of(BTC, "0.1", stop=D(79)), held=(position(qty="300"),), levels={BTC: levels(stop="85")})
    [level] = made.levels
    assert not made.intents
    assert (level.keep, level.stop, level.why) == (D(100), D(79), "wanted")


def test_within_the_band_nothing_is_done() -> None:
    held = (position(qty="300"),)
    for weight in ("0.26", "0.34"):
        made = wanting(of(BTC, weight, band=D("0.05")), held=held)
        assert not made.intents
        assert not made.verdicts
        assert [level.keep for level in made.levels] == [None]


def test_of_shares_whole_ones_stay() -> None:
    [level] = wanting(of(SPY, "0.1005"), held=(position(SPY, "300"),)).levels
    assert level.keep == D(101)


def test_the_other_side_is_left_before_anything_is_entered_there() -> None:
    made = wanting(of(SPY, "-0.5", stop=D(120)), held=(position(SPY, "300"),))
    assert not made.intents
    assert not made.verdicts
    assert [level.keep for level in made.levels] == [D(0)]


@pytest.mark.parametrize("missing", ["quotes", "forecasts", "instruments", "levels"])
def test_leaving_needs_nothing(missing: str) -> None:
    risk = replace(inputs().risk, halted="by a person", paused="too", doubted="the books")
    made = wanting(leave(BTC, reason="over"), held=(position(),), risk=risk, **{missing: {}})
    assert [(level.keep, level.why) for level in made.levels] == [(D(0), "over")]


def test_a_doubted_equity_sells_no_share_of_it() -> None:
    doubted = replace(inputs().risk, doubted="equity 10 times ours")
    held = (position(qty="300"),)
    assert [level.keep for level in wanting(of(BTC, "0.1"), held=held, risk=doubted).levels] == [None]
    by_units = hold(BTC, units=D(100), stop=STOP, reason="by units")
    assert [level.keep for level in wanting(by_units, held=held, risk=doubted).levels] == [D(100)]


def test_an_equity_that_is_no_figure_sells_nothing_and_buys_nothing() -> None:
    for equity in ("NaN", "0", "-5"):
        wrong = replace(account(), equity=D(equity))
        made = wanting(of(BTC, "0.1"), held=())
        given_inputs = inputs(portfolio=portfolio((position(qty="300"),), of=wrong))
        made = plan(given_inputs, [of(BTC, "0.1")])
        assert not made.intents
        assert [level.keep for level in made.levels] == [None]


def test_a_stop_that_is_absurd_leaves_the_one_that_there_is() -> None:
    [level] = wanting(of(BTC, "0.1", stop=D(1)), held=(position(qty="300"),), levels={BTC: levels(stop="85")}).levels
    assert (level.stop, level.keep) == (D(85), D(100))


def test_what_a_cap_leaves_within_the_band_makes_no_order() -> None:
    limits = replace(inputs().limits, max_symbol=D("0.31"), max_order_notional=D(10**6))
    made = wanting(of(BTC, "0.5", band=D("0.02")), held=(position(qty="300"),), limits=limits)
    assert not made.intents
    assert {"max_symbol", "band"} <= set(denied(made))
    wider = replace(limits, max_symbol=D("0.33"))
    assert wanting(of(BTC, "0.5", band=D("0.02")), held=(position(qty="300"),), limits=wider).intents


def test_the_stop_moves_when_it_is_worth_taking_it_away_for_a_moment() -> None:
    for old, new, expected in (("80", "81", "80"), ("80", "77", "80"), ("80", "83.5", "83.5"), ("90", "80", "80")):
        wish = of(BTC, "0.3", stop=D(new))
        [level] = wanting(wish, held=(position(qty="300"),), levels={BTC: levels(target=None, stop=old)}).levels
        assert level.stop == D(expected), new


# ---- how long ----


def test_it_stays_while_it_is_wanted_anew_whatever_hold_says() -> None:
    exits = ExitPolicy(hold=Hold.BAR, target_age=timedelta(days=7))
    old = levels(expires_at=NOW + timedelta(minutes=1), since=NOW - timedelta(days=30))
    [level] = wanting(of(BTC, "0.3"), held=(position(qty="300"),), exits=exits, levels={BTC: old}, ages=True).levels
    assert (level.expires_at, level.since) == (NOW + timedelta(days=7), NOW - timedelta(days=30))


def test_one_that_is_reduced_is_wanted_anew_too_and_one_that_is_left_is_not() -> None:
    held, old = (position(qty="300"),), {BTC: levels(expires_at=NOW + timedelta(minutes=1))}
    [reduced] = wanting(of(BTC, "0.1"), held=held, levels=old).levels
    [left] = wanting(leave(BTC, reason="over"), held=held, levels=old).levels
    assert (reduced.keep, reduced.expires_at) == (D(100), NOW + timedelta(days=7))
    assert (left.keep, left.expires_at) == (D(0), NOW + timedelta(minutes=1))


def test_the_strategys_own_age_counts_up_to_the_setting() -> None:
    for hours, expected in ((5, 5), (24 * 90, 24 * 7)):
        [level] = wanting(of(BTC, "0.3", max_age=timedelta(hours=hours)), held=(position(qty="300"),)).levels
        assert level.expires_at == NOW + timedelta(hours=expected)


def test_a_strategy_sees_age_profit_exposure_and_the_bars_that_it_asked_for() -> None:
    held = replace(position(qty="2", entry="80"), mark=D(100))
    since = {BTC: levels(since=NOW - timedelta(hours=5))}
    view = view_of(inputs(portfolio=portfolio((held,)), levels=since))
    assert view.age(BTC) == timedelta(hours=5)
    assert view.profit(BTC) == D("99.9") / 80 - 1
    assert view.exposure.gross == 200
    assert view.age(SPY) is view.profit(SPY) is None
    assert not view.bars


# ---- the journal ----


def test_a_record_from_before_there_were_targets_reads_and_is_written_the_same() -> None:
    old = encode(inputs(levels={BTC: levels()}))
    for name in (b"keep", b"since", b"weight", b"doubted", b"bars", b"target_age"):
        assert b'"' + name + b'"' not in old
    assert encode(decode(DecisionInputs, old)) == old


def test_a_target_goes_through_the_journal() -> None:
    made = wanting(of(BTC, "0.1", band=D("0.01"), max_age=timedelta(hours=1)), held=(position(qty="300"),), ages=True)
    assert decode(Plan, encode(made)) == made


# ---- the exit that sells a part ----


def less(
    keep: str, qty: str = "10", resting_orders: tuple[Order, ...] = (), symbol: Symbol = BTC, seen: Quote | None = None
) -> ProtectAction:
    free = D(qty) - sum((o.remaining for o in resting_orders), D(0))
    held = position(symbol, qty, available=str(free))
    wanted = levels(symbol, None, "80", keep=D(keep), why="less")
    shown = quote(symbol) if seen is None else seen
    return protect(held, shown, wanted, ExitPolicy(), instrument(symbol), NOW, resting_orders, session_close=CLOSE)


def test_the_exit_makes_room_and_the_surplus_goes_at_once() -> None:
    stop = order(Purpose.STOP, side=OrderSide.SELL, qty="10", name="stop")
    action = less("4", resting_orders=(stop,))
    assert action.cancel == ("stop",)
    assert action.place is not None
    assert (action.place.purpose, action.place.qty) == (Purpose.SIGNAL, D(6))
    assert action.place.tif is TimeInForce.IOC


def test_what_stays_is_protected_beside_an_order_that_is_still_under_way() -> None:
    going = order(Purpose.SIGNAL, SPY, OrderSide.SELL, "6", name="going", type=OrderType.MARKET, limit_price=None)
    action = less("4", resting_orders=(going,), symbol=SPY)
    assert action.cancel == ()
    assert action.place is not None
    assert (action.place.purpose, action.place.qty) == (Purpose.STOP, D(4))
    protected = resting(action.place, "stop")
    assert less("4", resting_orders=(going, protected), symbol=SPY).keep == "stop"


def test_a_rest_that_could_not_be_sold_again_goes_too() -> None:
    action = less("0.0000001")
    assert action.place is not None
    assert action.place.qty == D(10)


def test_without_a_price_what_is_held_stays_protected_as_it_is() -> None:
    held = position(qty="10")
    wanted = levels(BTC, None, "80", keep=D(4), why="less")
    action = protect(held, None, wanted, ExitPolicy(), instrument(), NOW, (), session_close=None)
    assert action.place is not None
    assert (action.place.purpose, action.place.qty) == (Purpose.STOP, D(10))


@given(
    st.decimals("0.001", "1000", places=3),
    st.decimals("0", "1000", places=3),
    st.booleans(),
    st.sampled_from([BTC, SPY]),
)
def test_never_more_than_is_held_never_more_than_the_surplus_unless_the_rest_is_dust(
    qty: Decimal, keep: Decimal, rests: bool, symbol: Symbol
) -> None:
    stop = (order(Purpose.STOP, symbol, OrderSide.SELL, str(qty), name="stop"),) if rests else ()
    action = less(str(keep), str(qty), stop, symbol)
    if action.place is None or action.place.purpose is not Purpose.SIGNAL:
        return
    sold = action.place.qty
    assert 0 < sold <= qty
    assert sold <= qty - keep or (qty - sold) * 100 < 1 or keep * 100 < 1
    assert set(action.cancel) == {o.id for o in stop}


def test_a_split_moves_what_is_to_stay_into_the_new_units() -> None:
    from trader.core.splits import forgotten, scaled

    before = levels(SPY, None, "80", keep=D(4))
    assert scaled(before, D(2), instrument(SPY), NOW).keep == D(8)
    assert forgotten(before, SPY, before.entry_side, NOW).keep is None
    leaving: Levels = levels(SPY, None, "80", keep=D(0))
    assert forgotten(leaving, SPY, leaving.entry_side, NOW).keep == 0
