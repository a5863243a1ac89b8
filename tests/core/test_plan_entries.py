"""From signals to orders: whatever the signals, the limits hold."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.make import (
    BTC,
    ETH,
    NOW,
    SPY,
    account,
    ago,
    forecast,
    inputs,
    instrument,
    order,
    portfolio,
    position,
    quote,
    signal,
)
from tests.counting import calls_in
from trader.core.decision import DecisionInputs, ExitPolicy, ExitRests, Hold, Levels, Plan, RiskLimits, Signal
from trader.core.ids import client_order_id, cycle_id, parse_client_order_id
from trader.core.market import to_datetime
from trader.core.plan import plan, view_of
from trader.core.types import EntrySide, Order, OrderSide, OrderType, Position, Purpose, Symbol, TimeInForce
from trader.strategies import find

D = Decimal
COINS = tuple(Symbol(f"C{i}/USD") for i in range(6))
STOCKS = tuple(Symbol(f"S{chr(65 + i)}") for i in range(4))
EVERY = COINS + STOCKS
PRICES = st.sampled_from([D(n) for n in ("90", "97", "99.5", "99.9", "100.2", "100.5", "102", "103", "130", "0", "-1")])


def allowed_notional(made: Plan) -> Decimal:
    return sum((intent.qty * (intent.limit_price or D(0)) for intent in made.intents), D(0))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[DecisionInputs, list[Signal]]:
    """Any mix of positions, open orders, quotes and signals, under any limits."""
    chosen = draw(st.lists(st.sampled_from(EVERY), unique=True, max_size=8))
    held: list[Position] = []
    orders: list[Order] = []
    signals: list[Signal] = []
    for index, symbol in enumerate(chosen):
        side = EntrySide.LONG if symbol in COINS else draw(st.sampled_from(EntrySide))
        kind = draw(st.sampled_from(["none", "held", "own", "foreign"]))
        if kind == "held":
            held.append(position(symbol, qty=str(draw(st.integers(1, 200)))))
        elif kind in ("own", "foreign"):
            purpose = Purpose.ENTRY if kind == "own" else None
            orders.append(order(purpose, symbol, qty=str(draw(st.integers(1, 200))), name=f"o{index}"))
        made = signal(symbol, side)
        if draw(st.booleans()):
            made = replace(made, entry=draw(PRICES), target=draw(PRICES), stop=draw(PRICES))
        signals.append(made)
    share = st.sampled_from([D(n) for n in ("1", "0.8", "0.3", "0.12", "0.05", "0")])
    limits = RiskLimits(
        max_symbol=draw(share),
        max_gross=draw(share),
        max_net=draw(share),
        max_order_notional=D(draw(st.sampled_from([50_000, 8_000, 0]))),
    )
    base = inputs(
        EVERY,
        limits=limits,
        portfolio=portfolio(held, orders, account(str(draw(st.sampled_from([100_000, 30_000, 250_000, 900]))))),
    )
    return base, signals


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_guard_19_caps_hold_over_any_set_of_signals(scene: tuple[DecisionInputs, list[Signal]]) -> None:
    given_inputs, signals = scene
    made, limits, book = plan(given_inputs, signals), given_inputs.limits, given_inputs.portfolio
    equity = book.account.equity
    held = sum((abs(p.notional) for p in book.positions.values()), D(0))
    foreign = [o for o in book.orders if o.id not in made.cancels]
    waiting = sum((o.remaining * (o.limit_price or D(0)) for o in foreign), D(0))
    longs = sum((i.qty * (i.limit_price or D(0)) for i in made.intents if i.entry_side is EntrySide.LONG), D(0))
    if made.intents:
        assert allowed_notional(made) + held + waiting <= limits.max_gross * equity
    if longs:
        net = sum((p.notional for p in book.positions.values()), D(0))
        assert longs + net + waiting <= limits.max_net * equity
    assert allowed_notional(made) <= book.account.buying_power + sum(
        (o.remaining * (o.limit_price or D(0)) for o in book.orders if o.id in made.cancels), D(0)
    )
    for intent in made.intents:
        notional = intent.qty * (intent.limit_price or D(0))
        assert notional <= limits.max_symbol * equity
        assert notional <= limits.max_order_notional
        assert book.position(intent.symbol) is None


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_risk_never_enlarges_and_orders_are_valid(scene: tuple[DecisionInputs, list[Signal]]) -> None:
    given_inputs, signals = scene
    made = plan(given_inputs, signals)
    verdicts = {verdict.symbol: verdict for verdict in made.verdicts}
    assert len({intent.symbol for intent in made.intents}) == len(made.intents)
    for verdict in made.verdicts:
        assert 0 <= verdict.allowed <= verdict.wanted
        assert verdict.allowed == verdict.wanted or verdict.denials
        assert all(denial.rule and denial.detail for denial in verdict.denials)
    for intent in made.intents:
        asset = given_inputs.instruments[intent.symbol]
        price = intent.limit_price
        assert price is not None
        assert intent.qty == verdicts[intent.symbol].allowed == asset.qty_down(intent.qty)
        assert price == asset.price_down(price)
        assert intent.qty >= asset.min_qty
        assert intent.qty * price >= asset.min_notional
        assert intent.type is OrderType.LIMIT
        assert intent.purpose is Purpose.ENTRY
        assert intent.symbol in {levels.symbol for levels in made.levels}


@settings(max_examples=60, deadline=None)
@given(scenes(), st.randoms(use_true_random=False))
def test_equal_inputs_make_equal_plans_byte_for_byte(
    scene: tuple[DecisionInputs, list[Signal]], shuffle: object
) -> None:
    given_inputs, signals = scene
    again = list(signals)
    shuffle.shuffle(again)  # type: ignore[attr-defined]
    assert repr(plan(given_inputs, signals)) == repr(plan(given_inputs, signals)) == repr(plan(given_inputs, again))


def test_an_entry_is_a_limit_order_with_our_id_and_its_exits() -> None:
    made = plan(inputs(), [signal()])
    (intent,) = made.intents
    assert (intent.order_side, intent.limit_price, intent.tif) == (OrderSide.BUY, D("99.5"), TimeInForce.GTC)
    assert intent.qty * D("99.5") == pytest.approx(D(10_000), abs=D("0.01"))
    parsed = parse_client_order_id(intent.client_order_id)
    assert parsed is not None
    assert parsed.cycle_id == inputs().cycle_id
    (levels,) = made.levels
    assert (levels.target, levels.stop, levels.expires_at) == (D(102), D(97), NOW + timedelta(days=2))


def test_out_at_the_bar_ends_with_the_forecast_bar() -> None:
    made = plan(inputs(exits=ExitPolicy(hold=Hold.BAR)), [signal()])
    assert made.levels[0].expires_at == to_datetime(forecast().times[0]) + timedelta(hours=1)


# ---- what is open already ----


def test_guard_05_our_entries_of_earlier_cycles_are_cancelled_however_old() -> None:
    days_old = order(name="old", submitted_at=ago(days=9), updated_at=ago(days=9))
    book = portfolio(orders=[days_old, order(None, ETH, name="theirs")])
    made = plan(inputs((BTC, ETH), portfolio=book), [])
    assert made.cancels == ("old",)
    entered = plan(inputs((BTC, ETH), portfolio=book), [signal()])
    assert [intent.symbol for intent in entered.intents] == [BTC]


def test_an_entry_that_bears_another_accounts_name_is_not_ours_to_cancel() -> None:
    name = client_order_id("another account", cycle_id(NOW, "trade"), ETH, Purpose.ENTRY, 0)
    book = portfolio(orders=[order(symbol=ETH, name="theirs", client_order_id=name)])
    assert plan(inputs((BTC, ETH), portfolio=book), []).cancels == ()
    assert plan(inputs((BTC, ETH), portfolio=book), [signal(ETH)]).intents == ()


def test_guard_12_open_orders_count_as_exposure() -> None:
    crowd = [order(None, symbol, qty="130", name=f"o{i}") for i, symbol in enumerate(COINS)]
    made = plan(inputs((BTC, *COINS), portfolio=portfolio(orders=crowd)), [signal()])
    assert made.intents[0].qty * D("99.5") <= D("0.8") * 100_000 - 6 * 13_000
    assert [denial.rule for denial in made.verdicts[0].denials] == ["max_gross"]


def test_guard_12_an_open_order_in_the_symbol_is_in_the_way() -> None:
    made = plan(inputs(portfolio=portfolio(orders=[order(None, side=OrderSide.SELL)])), [signal()])
    assert made.intents == ()
    assert "order_open" in {denial.rule for denial in made.verdicts[0].denials}
    assert made.cancels == ()


def test_guard_08_one_intent_a_symbol() -> None:
    made = plan(inputs(), [signal(), signal(target=D(101))])
    assert made.intents == ()
    assert [denial.rule for denial in made.verdicts[0].denials] == ["one_intent"]
    made = plan(inputs(portfolio=portfolio([position()])), [signal()])
    assert made.intents == ()


def test_guard_11_half_an_ether_is_a_position_and_dust_is_not() -> None:
    half = position(ETH, qty="0.5", entry="3000")
    made = plan(inputs((ETH,), portfolio=portfolio([half])), [signal(ETH)])
    assert "position" in {denial.rule for denial in made.verdicts[0].denials}
    crumbs = position(ETH, qty="0.0003", entry="3000")
    assert plan(inputs((ETH,), portfolio=portfolio([crumbs])), [signal(ETH)]).intents


def test_guard_28_a_position_of_any_symbol_counts() -> None:
    stranger = Position(symbol=SPY, qty=D(790), qty_available=D(790), avg_entry_price=D(100), mark=None)
    made = plan(inputs(portfolio=portfolio([stranger])), [signal()])
    assert made.intents[0].qty * D("99.5") <= 1_000
    assert view_of(inputs(portfolio=portfolio([stranger]))).portfolio.positions == {SPY: stranger}


def test_net_is_capped_apart_from_gross_and_only_what_is_held_offsets() -> None:
    limits = RiskLimits(max_net=D("0.25"), max_gross=D(1))
    book = portfolio([position(STOCKS[0], "200"), position(STOCKS[1], "-100")])
    base = inputs((BTC, *STOCKS), limits=limits, portfolio=book)
    (verdict,) = plan(base, [signal()]).verdicts
    assert verdict.allowed == verdict.wanted  # 10,000 more than the net 10,000
    waiting = replace(
        base, portfolio=portfolio([position(STOCKS[0], "200")], [order(None, STOCKS[1], OrderSide.SELL, "100")])
    )
    (verdict,) = plan(waiting, [signal()]).verdicts
    assert [denial.rule for denial in verdict.denials] == ["max_net"]
    assert verdict.allowed * D("99.5") <= 5_000


# ---- exits of what is held ----


def held_inputs(**changes: object) -> DecisionInputs:
    old = Levels(
        symbol=BTC, entry_side=EntrySide.LONG, target=D(105), stop=D(97), set_at=ago(hours=5),
        expires_at=NOW + timedelta(hours=9),
    )  # fmt: skip
    return inputs(portfolio=portfolio([position()]), levels={BTC: old}, **changes)


def test_a_carried_position_keeps_its_age_and_its_stop_is_only_tightened() -> None:
    lower = plan(held_inputs(), [signal(entry_side=None, target=D(103), stop=D(95))]).levels[0]
    assert (lower.target, lower.stop, lower.expires_at) == (D(103), D(97), NOW + timedelta(hours=9))
    higher = plan(held_inputs(), [signal(entry_side=None, target=D(103), stop=D(98))]).levels[0]
    assert higher.stop == D(98)


def test_guard_26_no_forecast_is_not_an_exit() -> None:
    blind = held_inputs(forecasts={})
    made = plan(blind, find("maxdiff").decide(view_of(blind), find("maxdiff").params({})))
    assert made.intents == made.levels == made.cancels == ()
    unsure = plan(held_inputs(), [Signal(symbol=BTC, entry_side=None, reason="forecast refused")])
    assert unsure.levels == ()


def test_guard_30_crossed_or_absurd_exits_do_not_replace_the_old() -> None:
    for target, stop in ((D(97), D(103)), (D(400), D(98)), (D("NaN"), D(98)), (D(-1), D(98))):
        assert plan(held_inputs(), [signal(entry_side=None, target=target, stop=stop)]).levels == ()
    crossed = plan(inputs(), [signal(target=D(98), stop=D(101))])
    assert "levels" in {denial.rule for denial in crossed.verdicts[0].denials}


def test_reductions_pass_through_no_limit() -> None:
    stopped = replace(inputs().risk, killed="by hand", halted="books", paused="yes", day_start_equity=None)
    made = plan(held_inputs(risk=stopped), [signal(entry_side=None, target=D(103), stop=D(98))])
    assert made.levels[0].stop == D(98)


# ---- the rest ----


def test_guard_14_a_fraction_of_a_share_goes_by_the_day() -> None:
    dear = quote(SPY, mid="50000", width_bps="2")
    wish = signal(SPY, entry=D(49900), target=D(51000), stop=D(49000))
    given_inputs = inputs((SPY,), quotes={SPY: dear}, forecasts={SPY: forecast(SPY, last=50_000.0)})
    (intent,) = plan(given_inputs, [wish]).intents
    assert intent.qty < 1
    assert intent.tif is TimeInForce.DAY


def test_stocks_are_bought_in_whole_shares_where_one_can_be_had() -> None:
    (intent,) = plan(inputs((SPY,)), [signal(SPY)]).intents
    assert intent.qty == 100
    (short,) = plan(inputs((SPY,)), [signal(SPY, EntrySide.SHORT)]).intents
    assert (short.order_side, short.qty) == (OrderSide.SELL, 99)


def test_guard_23_prices_keep_the_tick_of_a_coin_of_a_hundred_thousandth() -> None:
    shib = Symbol("SHIB/USD")
    asset = instrument(shib, tick=D("0.000000001"))
    wish = signal(shib, entry=D("0.000009950"), target=D("0.000010200"), stop=D("0.000009700"))
    given_inputs = inputs(
        (shib,),
        instruments={shib: asset},
        quotes={shib: quote(shib, mid="0.00001")},
        forecasts={shib: forecast(shib, last=0.00001)},
    )
    (intent,) = plan(given_inputs, [wish]).intents
    assert intent.limit_price == D("0.000009950")


def test_guard_20_the_gate_knows_no_mode() -> None:
    words = {field.name for field in fields(DecisionInputs)} | {field.name for field in fields(RiskLimits)}
    assert not {word for word in words if word in ("mode", "live", "paper", "backtest", "sim", "dry_run")}


def test_an_exit_that_may_have_to_be_taken_costs_more() -> None:
    resting = inputs(exits=ExitPolicy(exit_rests=ExitRests.TARGET))
    (sure,), (unsure,) = plan(resting, [signal()]).verdicts, plan(inputs(), [signal()]).verdicts
    assert sure.net_edge_bps is not None
    assert unsure.net_edge_bps is not None
    assert sure.net_edge_bps - unsure.net_edge_bps == D(10) + D(10)  # taker less maker, and half of 20 bps


def test_a_symbol_costs_as_little_among_a_hundred_as_among_ten() -> None:
    chosen = find("maxdiff")
    params = chosen.params({})

    def calls(count: int) -> int:
        many = tuple(Symbol(f"C{i}/USD") for i in range(count))
        given_inputs = inputs(many, limits=RiskLimits(max_open_entries=count))
        return calls_in(lambda: plan(given_inputs, chosen.decide(view_of(given_inputs), params)))

    calls(1)  # what is made once
    assert calls(100) <= 11 * calls(10)
    assert calls(100) <= 100 * 450  # about 225 a symbol
