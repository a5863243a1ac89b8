"""LIVE_ACCOUNT names the account as a person knows it: by the number that the venue shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings.load import load
from settings.schema import Settings
from tests.exchange.api.running import running
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, build_clients
from trader.adapters.clock import RealClock
from trader.daemon.account import check_account
from trader.errors import ConfigurationError


def live(folder: Path, account: str) -> Settings:
    environ = {"TRADING_MODE": "live", "LIVE_ACCOUNT": account, "ALPACA_API_KEY_ID": "AK", "ALPACA_API_SECRET_KEY": "s"}
    return load({"state_dir": str(folder)}, environ=environ, folder=folder).settings


def test_the_number_and_the_id_name_the_account_and_nothing_else_does(tmp_path: Path) -> None:
    with running(["--symbol", "BTC/USD"]) as venue:
        endpoints = AlpacaEndpoints(
            key="AK", secret="s", trading_url=venue.url, data_url=venue.url, trade_stream_url="ws://none", paper=False
        )
        broker = AlpacaBroker(build_clients(endpoints), RealClock())
        shown = venue.get("/v2/account").json()
        assert shown["account_number"] != shown["id"]
        for name in (shown["account_number"], shown["id"]):
            check_account(live(tmp_path, name), broker, broker.validate())
        with pytest.raises(ConfigurationError, match=f"LIVE_ACCOUNT=123456789, .* {shown['account_number']}"):
            check_account(live(tmp_path, "123456789"), broker, broker.validate())
