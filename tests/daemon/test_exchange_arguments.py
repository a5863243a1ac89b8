"""The settings of the simulated venue reach the exchange that the daemon starts, and the backtest's venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from settings.load import load
from settings.schema import Settings
from trader.daemon.simulation import exchange_arguments
from trader.research.backtest.simulate import Setup, market_options
from trader.strategies import names


def settings_of(folder: Path, **environment: str) -> Settings:
    return load({}, environ=environment, folder=folder, strategies=names()).settings


def told(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_the_exchange_is_as_slow_as_the_settings_say(tmp_path: Path) -> None:
    more = {"SIM__ACCEPT_S": "3", "SIM__CANCEL_S": "90", "SIM__COIN_ORDER_LIMIT": "5000", "SIM__LATE_FEES": "true"}
    arguments = exchange_arguments(settings_of(tmp_path, **more))
    options = ("--accept-s", "--cancel-s", "--coin-order-limit")
    assert [told(arguments, option) for option in options] == ["3", "90", "5000"]
    assert "--late-fees" in arguments


def test_orders_arrive_after_a_second_unless_told_otherwise(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    arguments = exchange_arguments(settings)
    assert (told(arguments, "--accept-s"), told(arguments, "--cancel-s")) == ("1", "0")
    assert "--late-fees" not in arguments
    assert Setup(settings=settings, market=market_options(settings)).rules.accept_s == 1


@pytest.mark.parametrize(("setting", "limit"), [("250000", Decimal(250_000)), ("0", None)])
def test_the_backtest_assumes_the_same_venue(tmp_path: Path, setting: str, limit: Decimal | None) -> None:
    more = {"SIM__ACCEPT_S": "3", "SIM__CANCEL_S": "90", "SIM__COIN_ORDER_LIMIT": setting}
    settings = settings_of(tmp_path, **more)
    rules = Setup(settings=settings, market=market_options(settings)).rules
    assert (rules.accept_s, rules.cancel_s, rules.coin_order_limit) == (3, 90, limit)
