"""Maxdiff: the formula, its levels on the tick, and what it refuses."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import Forecast
from tests.core.make import BTC, HOUR, NOW, SPY, forecast, inputs, instrument, portfolio, position, quote
from trader.core.decision import MarketView, Signal
from trader.core.plan import plan, view_of
from trader.core.types import EntrySide, Instrument, Position, Quote, Symbol
from trader.strategies import find, names
from trader.strategies.maxdiff import Params, SideRule, decide

D = Decimal
PLAIN = Params(entry_quantile=0.5, target_quantile=0.5, steps=1)


def view(
    given_forecast: Forecast, symbol: Symbol = BTC, *, seen: Quote | None = None, held: tuple[Position, ...] = (),
    asset: Instrument | None = None, quoted: bool = True,
) -> MarketView:  # fmt: skip
    return MarketView(
        now=NOW,
        timeframe=HOUR,
        portfolio=portfolio(held),
        quotes={symbol: seen or quote(symbol)} if quoted else {},
        forecasts={symbol: given_forecast},
        instruments={symbol: asset or instrument(symbol)},
    )


def one(given_view: MarketView, params: Params = PLAIN) -> Signal:
    (made,) = decide(given_view, params)
    return made


def test_a_larger_excursion_up_is_a_long_from_low_to_high() -> None:
    made = one(view(forecast(low=98.0, high=103.0)))
    assert (made.entry_side, made.entry, made.target) == (EntrySide.LONG, D(98), D(103))
    assert made.stop == instrument().price_down(D("97") * (1 - D("0.0025")))
    assert made.edge == D(103) / 98 - 1


def test_a_larger_excursion_down_is_a_short_where_that_is_possible_and_nothing_for_a_coin() -> None:
    made = one(view(forecast(SPY, low=96.0, high=101.0), SPY))
    assert (made.entry_side, made.entry, made.target) == (EntrySide.SHORT, D(101), D(96))
    assert made.stop is not None
    assert made.stop > D(102)
    assert made.edge == 1 - D(96) / 101
    assert one(view(forecast(low=96.0, high=101.0))).entry_side is None
    locate = instrument(SPY, shortable=False)
    assert one(view(forecast(SPY, low=96.0, high=101.0), SPY, asset=locate)).entry_side is None


def test_both_sides_takes_the_long_where_the_short_can_not_be_had() -> None:
    both = Params(entry_quantile=0.5, target_quantile=0.5, side_rule=SideRule.BOTH)
    assert one(view(forecast(low=96.0, high=101.0)), both).entry_side is EntrySide.LONG


def test_an_entry_never_crosses_the_book() -> None:
    made = one(view(forecast(low=100.5, high=103.0)))
    assert made.entry == quote().bid
    short = one(view(forecast(SPY, low=96.0, high=99.0), SPY))
    assert short.entry == instrument(SPY).price_up(quote(SPY).ask)


def test_longer_horizons_take_the_widest_of_the_steps() -> None:
    far = forecast(steps=3)
    table = far.quantiles.copy()
    table[:, 2, 1] += 3
    table[:, 1, 2] -= 3
    made = one(view(forecast(steps=3, quantiles=table)), Params(entry_quantile=0.5, target_quantile=0.5, steps=3))
    assert (made.entry, made.target) == (D(95), D(106))
    first = one(view(forecast(steps=3, quantiles=table)))
    assert (first.entry, first.target) == (D(98), D(103))


def test_what_is_held_gets_fresh_exits_and_no_entry() -> None:
    made = one(view(forecast(), held=(position(),)))
    assert (made.entry_side, made.target) == (None, D(103))
    assert made.stop is not None
    short = one(view(forecast(SPY), SPY, held=(position(SPY, "-5"),)))
    assert short.target == D(98)
    assert short.stop is not None
    assert short.stop > 103


def test_guard_30_a_low_above_the_high_is_refused() -> None:
    made = one(view(forecast(low=103.0, high=98.0)))
    assert made.entry_side is None
    assert made.entry is None
    assert "crossed" in made.reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_forecast_that_is_no_price_is_refused(value: float) -> None:
    table = forecast().quantiles.copy()
    table[3, 0, 2] = value
    assert "refused" in one(view(forecast(quantiles=table))).reason
    assert (
        plan(inputs(forecasts={BTC: forecast(quantiles=table)}), [one(view(forecast(quantiles=table)))]).intents == ()
    )


def test_a_quantile_that_was_not_forecast_is_not_made_up() -> None:
    extreme = Params(entry_quantile=0.02, target_quantile=0.5, stop_quantile=0.01)
    assert "outside the forecast's" in one(view(forecast()), extreme).reason


def test_no_quote_no_entry_and_exits_all_the_same() -> None:
    assert one(view(forecast(), quoted=False)).entry is None
    assert one(view(forecast(), quoted=False, held=(position(),))).target == D(103)


def test_guard_26_a_symbol_without_a_forecast_gets_no_signal() -> None:
    blind = inputs(forecasts={}, portfolio=portfolio([position()]))
    assert decide(view_of(blind), PLAIN) == ()


PRICE = st.floats(0.00002, 50_000, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(
    PRICE, st.floats(0.0, 0.05), st.floats(0.0, 0.05), st.floats(0.0, 0.02), st.sampled_from(["0.01", "0.000000001"]),
    st.booleans(), st.floats(0.05, 0.95), st.floats(0.05, 0.95),
)  # fmt: skip
def test_whatever_the_forecast_levels_are_in_order_and_on_the_tick(
    last: float, down: float, up: float, spread: float, tick: str, coin: bool, entry: float, target: float
) -> None:
    symbol = BTC if coin else SPY
    asset = instrument(symbol, tick=D(tick))
    guess = forecast(symbol, last=last, low=last * (1 - down), high=last * (1 + up), spread=last * spread)
    params = Params(entry_quantile=entry, target_quantile=target, stop_quantile=min(0.05, entry))
    made = one(view(guess, symbol, seen=quote(symbol, mid=repr(last)), asset=asset), params)
    if made.entry_side is None:
        assert made.reason
        return
    assert made.entry is not None
    assert made.target is not None
    assert made.stop is not None
    sign = made.entry_side.sign
    for price in (made.entry, made.target, made.stop):
        assert price == asset.price_down(price)
    assert made.stop * sign < made.entry * sign
    book = quote(symbol, mid=repr(last))
    assert made.entry * sign <= (book.bid if sign > 0 else book.ask) * sign + D(tick) * (sign < 0)


# ---- the registry ----


def test_the_folder_is_the_menu() -> None:
    assert {"flat", "maxdiff"} <= set(names())
    with pytest.raises(ValueError, match=r"no strategy 'best' .there is: .*maxdiff"):
        find("best")


def test_parameters_are_typed_from_text() -> None:
    made = find("maxdiff").params(
        {"entry_quantile": "0.25", "steps": "4", "side_rule": "both", "stop_margin_bps": "10"}
    )
    assert made == Params(entry_quantile=0.25, steps=4, side_rule=SideRule.BOTH, stop_margin_bps=D(10))
    assert find("maxdiff").params({}) == Params()


@pytest.mark.parametrize(
    ("given_text", "message"),
    [
        ({"entry_quantile": "2"}, "maxdiff.entry_quantile: 2.0 is not in 0.01 to 0.99"),
        ({"entry_quantile": "nan"}, "maxdiff.entry_quantile: 'nan' is not a number"),
        ({"entry_quantile": "much"}, "maxdiff.entry_quantile: 'much' is not a number"),
        ({"steps": "1.5"}, "maxdiff.steps: '1.5' is not a whole number"),
        ({"side_rule": "up"}, "maxdiff.side_rule: 'up' is not one of formula, both"),
        ({"target": "1"}, "maxdiff has no parameter 'target'"),
    ],
)
def test_a_wrong_parameter_is_one_line_with_what_would_be_right(given_text: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("'", ".").replace("(", ".")) as caught:
        find("maxdiff").params(given_text)
    assert "\n" not in str(caught.value)


def test_flat_never_enters() -> None:
    chosen = find("flat")
    given_inputs = inputs(portfolio=portfolio([position()]))
    made = plan(given_inputs, chosen.decide(view_of(given_inputs), chosen.params({})))
    assert (made.intents, made.levels, made.cancels) == ((), (), ())
    with pytest.raises(ValueError, match="flat has no parameter"):
        chosen.params({"x": "1"})


def test_every_strategy_decides_on_an_empty_view() -> None:
    empty = view_of(inputs(forecasts={}, quotes={}))
    for name in names():
        chosen = find(name)
        assert chosen.decide(empty, chosen.params({})) == ()
