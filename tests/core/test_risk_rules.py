"""Each rule denies on its own, says its name and its figures, and can't keep a position from being closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import (
    BTC,
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
from trader.core.decision import DecisionInputs, RiskLimits, Signal
from trader.core.fees import CRYPTO_TIERS, fee_of, schedule_for
from trader.core.plan import plan
from trader.core.proposals import round_trip_edge_bps
from trader.core.risk import CAPS, GATES
from trader.core.types import AssetClass, EntrySide, OrderSide, OrderType

D = Decimal
STATE = inputs().risk
Case = Callable[[], tuple[DecisionInputs, Signal]]


def given_risk(**changes: object) -> tuple[DecisionInputs, Signal]:
    return inputs(risk=replace(STATE, **changes)), signal()  # type: ignore[arg-type]


def of_account(**changes: object) -> tuple[DecisionInputs, Signal]:
    return inputs(portfolio=portfolio(of=account(**changes))), signal()  # type: ignore[arg-type]


CASES: dict[str, Case] = {
    "killed": lambda: given_risk(killed="by hand"),
    "halted": lambda: given_risk(halted="books"),
    "paused": lambda: given_risk(paused="by hand"),
    "add_latest": lambda: (inputs(add_latest=False), signal()),
    "unknown_state": lambda: given_risk(day_start_equity=None),
    "account": lambda: of_account(trading_blocked=True),
    "closed": lambda: (inputs(open_symbols=frozenset()), signal()),
    "asset": lambda: (inputs(instruments={BTC: instrument(tradable=False)}), signal()),
    "position": lambda: (inputs(portfolio=portfolio([position()])), signal()),
    "order_open": lambda: (inputs(portfolio=portfolio(orders=[order(None)])), signal()),
    "unpriced_orders": lambda: (
        inputs(portfolio=portfolio(orders=[order(None, SPY, type=OrderType.MARKET, limit_price=None)])),
        signal(),
    ),
    "quote": lambda: (inputs(quotes={}), signal()),
    "forecast": lambda: (inputs(forecasts={}), signal()),
    "levels": lambda: (inputs(), signal(stop=None)),
    "level_distance": lambda: (inputs(), signal(target=D(130))),
    "scale": lambda: (inputs(forecasts={BTC: forecast(last=140.0)}), signal()),
    "collar": lambda: (inputs(), signal(entry=D(94), stop=D(90))),
    "edge": lambda: (inputs(), signal(target=D("99.8"))),
    "order_rate": lambda: given_risk(orders_last_minute=60),
    "open_entries": lambda: (inputs(limits=RiskLimits(max_open_entries=0)), signal()),
    "daily_loss": lambda: given_risk(day_start_equity=D(104_000)),
    "drawdown": lambda: given_risk(peak_equity=D(120_000)),
    "cooldown": lambda: given_risk(last_stop_at={BTC: ago(minutes=59)}),
    "day_notional": lambda: given_risk(day_notional=D(2_000_000)),
    "day_orders": lambda: given_risk(day_orders=2_000),
    "refusals": lambda: given_risk(refusals=20),
    "losing_exits": lambda: (
        inputs(limits=RiskLimits(max_losing_exits=3), risk=replace(STATE, losing_exits=3)),
        signal(),
    ),
    "max_symbol": lambda: (inputs(limits=RiskLimits(max_symbol=D("0.05"))), signal()),
    "max_gross": lambda: (inputs(limits=RiskLimits(max_gross=D("0.05"))), signal()),
    "max_net": lambda: (inputs(limits=RiskLimits(max_net=D("0.05"))), signal()),
    "max_order_notional": lambda: (inputs(limits=RiskLimits(max_order_notional=D(5_000))), signal()),
    "buying_power": lambda: (
        inputs(portfolio=portfolio([position(SPY, "1")], of=account(buying_power=D(5_000)))),
        signal(),
    ),
}


def rules_of(case: tuple[DecisionInputs, Signal]) -> dict[str, str]:
    given_inputs, wish = case
    return {denial.rule: denial.detail for denial in plan(given_inputs, [wish]).verdicts[0].denials}


def test_a_sound_entry_is_allowed() -> None:
    made = plan(inputs(), [signal()])
    assert made.verdicts[0].denials == ()
    assert made.verdicts[0].allowed == made.verdicts[0].wanted > 0


@pytest.mark.parametrize("rule", [name for name, _ in GATES])
def test_each_gate_denies_and_says_why(rule: str) -> None:
    case = CASES[rule]()
    assert rule in rules_of(case)
    assert plan(case[0], [case[1]]).intents == ()


@pytest.mark.parametrize("rule", [name for name, _ in CAPS if name != "buying_power"])
def test_each_cap_shrinks_to_what_it_leaves(rule: str) -> None:
    given_inputs, wish = CASES[rule]()
    made = plan(given_inputs, [wish])
    assert [denial.rule for denial in made.verdicts[0].denials] == [rule]
    assert D(4_999) < made.intents[0].qty * D("99.5") <= D(5_000)


PARTS: dict[str, tuple[Case, str]] = {
    "a day that began with nothing": (lambda: given_risk(day_start_equity=D(0)), "unknown_state"),
    "a peak that is no number": (lambda: given_risk(peak_equity=D("NaN")), "unknown_state"),
    "an account read a bar ago": (lambda: of_account(at=ago(hours=1, seconds=1)), "account"),
    "an account that is closed": (lambda: of_account(status="ACCOUNT_CLOSED"), "account"),
    "an account without equity": (lambda: of_account(equity="-5"), "account"),
    "an account of no number": (lambda: of_account(equity="NaN"), "account"),
    "too little for a short": (
        lambda: (inputs((SPY,), portfolio=portfolio(of=account("1999.99"))), signal(SPY, EntrySide.SHORT)),
        "asset",
    ),
    "a stop of nothing": (lambda: (inputs(), signal(stop=D(0))), "levels"),
    "a target of no number": (lambda: (inputs(), signal(target=D("NaN"))), "levels"),
    "a target beyond all numbers": (lambda: (inputs(), signal(target=D("Infinity"))), "levels"),
    "a target off the tick": (lambda: (inputs(), signal(target=D("102.005"))), "levels"),
    "a stop off the tick": (lambda: (inputs(), signal(stop=D("97.001"))), "levels"),
    "an entry off the tick": (lambda: (inputs(), signal(entry=D("99.505"))), "levels"),
    "a last close of nothing": (lambda: (inputs(forecasts={BTC: forecast(last=0.0)}), signal()), "level_distance"),
    "an edge below nothing, however little is asked for": (
        lambda: (inputs(limits=RiskLimits(min_edge_bps=D(-500))), signal(target=D("99.8"))),
        "edge",
    ),
}


@pytest.mark.parametrize("why", PARTS)
def test_each_part_of_a_gate_denies(why: str) -> None:
    case, rule = PARTS[why]
    given_inputs, wish = case()
    assert rule in rules_of((given_inputs, wish))
    assert plan(given_inputs, [wish]).intents == ()


def test_what_can_be_spent_bounds_the_size() -> None:
    given_inputs, wish = CASES["buying_power"]()
    (intent,) = plan(given_inputs, [wish]).intents
    assert intent.qty * D("99.5") <= 5_000


def test_what_can_be_spent_is_spent_once() -> None:
    book = portfolio(of=account(buying_power=D(15_000), cash=D(15_000)))
    made = plan(inputs((BTC, SPY), portfolio=book), [signal(BTC), signal(SPY)])
    assert D(14_000) < sum(intent.qty * D("99.5") for intent in made.intents) <= 15_000
    assert [denial.rule for verdict in made.verdicts for denial in verdict.denials] == ["buying_power"]


def test_no_case_is_missing() -> None:
    assert set(CASES) == {name for name, _ in (*GATES, *CAPS)}


@pytest.mark.parametrize("field", ["day_start_equity", "peak_equity", "last_stop_at"])
def test_what_risk_does_not_know_denies(field: str) -> None:
    assert "unknown_state" in rules_of(given_risk(**{field: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"equity": "0"},
        {"equity": "-5"},
        {"equity": "NaN"},
        {"at": ago(hours=2)},
        {"status": "ACCOUNT_CLOSED"},
        {"cash": D("NaN")},
    ],
)
def test_guard_15_an_account_that_is_stale_or_without_figures_enters_nothing(changes: dict[str, object]) -> None:
    given_inputs, wish = of_account(**changes)
    made = plan(given_inputs, [wish])
    assert made.intents == ()
    assert made.verdicts[0].denials


def test_guard_13_nothing_is_queued_for_a_closed_market() -> None:
    assert plan(inputs((SPY,)), [signal(SPY)]).intents
    assert plan(inputs((SPY,), open_symbols=frozenset()), [signal(SPY)]).intents == ()


def test_guard_31_an_old_forecast_enters_nothing() -> None:
    late = inputs(forecasts={BTC: forecast(asof=ago(hours=1, seconds=5))})
    assert "was over at" in rules_of((late, signal()))["forecast"]
    assert "quote" in rules_of((inputs(quotes={BTC: quote(at=ago(minutes=1))}), signal()))


def test_guard_29_a_history_of_another_scale_enters_nothing() -> None:
    assert "140" in rules_of(CASES["scale"]())["scale"]


def test_shorts_need_leave_of_asset_and_account() -> None:
    wish = signal(SPY, EntrySide.SHORT)
    assert "asset" in rules_of((inputs((SPY,), instruments={SPY: instrument(SPY, shortable=False)}), wish))
    book = portfolio(of=account(shorting_enabled=False))
    assert "asset" in rules_of((inputs((SPY,), portfolio=book), wish))
    assert "asset" in rules_of((inputs(), signal(BTC, EntrySide.SHORT)))


def test_the_rate_counts_the_orders_of_this_plan() -> None:
    many = (BTC, SPY)
    crowded = inputs(many, risk=replace(STATE, orders_last_minute=59))
    assert len(plan(crowded, [signal(BTC), signal(SPY)]).intents) == 1


def test_the_days_entries_count_those_of_this_plan() -> None:
    limits = RiskLimits(max_day_orders=10)
    crowded = inputs((BTC, SPY), limits=limits, risk=replace(STATE, day_orders=9))
    assert len(plan(crowded, [signal(BTC), signal(SPY)]).intents) == 1


def test_an_entry_is_no_larger_than_the_venue_takes_in_one_order() -> None:
    given_inputs = inputs(instruments={BTC: instrument(max_notional=D(5_000))})
    made = plan(given_inputs, [signal()])
    assert [denial.rule for denial in made.verdicts[0].denials] == ["max_order_notional"]
    assert D(4_999) < made.intents[0].qty * D("99.5") <= 5_000


def test_a_cooldown_ends() -> None:
    assert plan(*(lambda case: (case[0], [case[1]]))(given_risk(last_stop_at={BTC: ago(minutes=60)}))).intents


def test_the_best_edge_is_served_first() -> None:
    tight = inputs((BTC, SPY), limits=RiskLimits(max_gross=D("0.10")))
    made = plan(tight, [signal(BTC, target=D(101)), signal(SPY, target=D(103))])
    assert [intent.symbol for intent in made.intents if intent.qty * 99 > 5_000] == [SPY]


# ---- the edge and the fees ----


def test_the_edge_is_what_is_left_after_fees_and_spread() -> None:
    edge = round_trip_edge_bps(
        D(100), D(102), EntrySide.LONG, fee_in_bps=D(15), fee_out_bps=D(25), quote=quote(), crossed_legs=1
    )
    assert edge == 200 - 15 - 25 - 10
    short = round_trip_edge_bps(
        D(100), D(98), EntrySide.SHORT, fee_in_bps=D(0), fee_out_bps=D(0), quote=quote(), crossed_legs=0
    )
    assert short == 200


def test_guard_22_the_gate_charges_the_fees_of_the_one_table() -> None:
    dear, cheap = CRYPTO_TIERS[0], CRYPTO_TIERS[-1]
    edges = []
    for volume, _, _ in (dear, cheap):
        asset = instrument(fees=schedule_for(AssetClass.CRYPTO, volume))
        edges.append(plan(inputs(instruments={BTC: asset}), [signal()]).verdicts[0].net_edge_bps)
    assert edges[0] is not None
    assert edges[1] is not None
    assert edges[1] - edges[0] == (dear[1] + dear[2]) - (cheap[1] + cheap[2])


@given(st.integers(1, 10**6), st.sampled_from(CRYPTO_TIERS))
def test_guard_22_fees_come_out_of_what_is_credited(cents: int, tier: tuple[Decimal, Decimal, Decimal]) -> None:
    price = D(cents) / 100
    coin, coin_currency = fee_of(BTC, OrderSide.BUY, D(2), price, tier[2])
    cash, cash_currency = fee_of(BTC, OrderSide.SELL, D(2), price, tier[2])
    assert (coin_currency, cash_currency) == ("BTC", "USD")
    assert abs(coin * price - cash) <= price * D("0.000000001") + D("0.000000001")


def test_an_edge_of_just_less_than_the_least_is_denied() -> None:
    least = RiskLimits(min_edge_bps=D(0))
    costs = D(15 + 25 + 10)
    even = D("99.5") * (1 + costs / 10_000)
    below, above = instrument().price_down(even), instrument().price_up(even)
    assert "edge" in rules_of((inputs(limits=least), signal(target=below)))
    assert rules_of((inputs(limits=least), signal(target=above))) == {}


def test_now_is_the_only_clock() -> None:
    later = replace(inputs(), now=NOW + timedelta(minutes=5))
    assert plan(inputs(), [signal()]).intents
    assert plan(later, [signal()]).intents == ()
