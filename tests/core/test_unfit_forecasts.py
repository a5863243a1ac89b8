"""What is no forecast is neither shown to a strategy nor traded on, whoever made it; nor are figures that are none."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from forecasters.types import Forecast
from tests.core.make import BTC, LEVELS, NOW, SPY, account, forecast, inputs, levels, portfolio, position, signal
from trader.core.decision import DecisionInputs, RiskLimits
from trader.core.plan import plan, view_of

D = Decimal


def with_quantile(value: float, row: int = 3, channel: int = 2) -> Forecast:
    table = np.array(forecast().quantiles)
    table[row, 0, channel] = value
    return forecast(quantiles=table)


UNFIT = {
    "NaN quantile": with_quantile(np.nan),
    "infinite quantile": with_quantile(np.inf),
    "a lower infinity": with_quantile(-np.inf, row=0),
    "NaN last close": forecast(last=np.nan, quantiles=forecast().quantiles),
    "infinite last close": forecast(last=np.inf, quantiles=forecast().quantiles),
    "a last close of nothing": forecast(last=0.0, quantiles=forecast().quantiles),
    "a last close below nothing": forecast(last=-100.0, quantiles=forecast().quantiles),
    "of no bars": forecast(times=np.empty(0, "datetime64[us]")),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_a_strategy_never_sees_what_is_no_forecast(fault: str) -> None:
    assert set(view_of(inputs(forecasts={BTC: UNFIT[fault], SPY: forecast(SPY)})).forecasts) == {SPY}


def held(**changes: object) -> DecisionInputs:
    return inputs(portfolio=portfolio([position()]), levels={BTC: levels()}, **changes)


@pytest.mark.parametrize("fault", UNFIT)
def test_no_level_of_what_is_held_moves_on_what_is_no_forecast(fault: str) -> None:
    moved = signal(entry_side=None, target=D(103), stop=D(98))
    assert plan(held(), [moved]).levels
    assert plan(held(forecasts={BTC: UNFIT[fault]}), [moved]).levels == ()


def test_no_level_of_what_is_held_moves_absurdly_far_or_past_the_other() -> None:
    allowed = RiskLimits().max_level_distance
    for far in (D(100) * (1 + allowed) + 1, D(100) * (1 - allowed) - 1):
        beyond = {"target": far} if far > 100 else {"stop": far}
        both = {"target": D(103), "stop": D(98), **beyond}
        assert plan(held(), [signal(entry_side=None, **both)]).levels == ()
    for stop in (D(102), D("102.5")):
        assert plan(held(), [signal(entry_side=None, target=D(102), stop=stop)]).levels == ()


@pytest.mark.parametrize("entry", ["0", "-99.5", "NaN", "Infinity", "sNaN"])
def test_an_entry_that_is_no_price_is_denied_before_it_is_sized(entry: str) -> None:
    made = plan(inputs(), [signal(entry=D(entry))])
    assert made.intents == ()
    assert [denial.rule for denial in made.verdicts[0].denials] == ["levels"]


def test_coins_are_bought_with_cash_however_much_may_be_borrowed() -> None:
    book = portfolio(of=account(cash=D(3_000), buying_power=D(200_000)))
    (coins,) = plan(inputs(portfolio=book), [signal()]).intents
    assert coins.qty * D("99.5") <= 3_000
    (shares,) = plan(inputs((SPY,), portfolio=book), [signal(SPY)]).intents
    assert shares.qty * D("99.5") > 3_000


def test_without_real_quotes_a_strategy_sees_none() -> None:
    assert set(view_of(inputs()).quotes) == {BTC}
    assert view_of(inputs(add_latest=False)).quotes == {}


def test_a_sound_forecast_is_seen_whatever_its_age() -> None:
    """It is the gate that knows when it was over, not the view."""
    seen = view_of(inputs(forecasts={BTC: forecast(asof=NOW - timedelta(hours=3))}))
    assert set(seen.forecasts) == {BTC}
    assert len(seen.forecasts[BTC].levels) == len(LEVELS)
