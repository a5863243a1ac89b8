"""The daemon's own exchange serves the daemon alone."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from settings.load import load
from tests.waiting import GENEROUS_S
from trader.adapters.alpaca.clients import build_clients
from trader.daemon.simulation import start_once


def test_its_own_exchange_takes_its_own_keys_only_and_nobody_can_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_KEY", "somebody's")  # who runs one by hand has set it
    settings = load({"symbols": "BTC/USD", "state_dir": str(tmp_path)}, environ={}, folder=tmp_path).settings
    with ExitStack() as stack:
        first, second = (start_once(settings, stack).endpoints for _ in range(2))
        assert build_clients(first).trading("/account")["currency"] == "USD"
        for keys in (("SIM", "SIM"), ("somebody's", "x"), (second.key, second.secret), ("", "")):
            headers = dict(zip(("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"), keys, strict=True))
            for path in ("/v2/account", "/sim/ledger"):
                answer = requests.get(first.trading_url + path, headers=headers, timeout=GENEROUS_S)
                assert answer.status_code in (401, 403)
        lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        assert any("trader.exchange" in line for line in lines)
        assert not any(secret in line for line in lines for secret in (first.key, first.secret))
