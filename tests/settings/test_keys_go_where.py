"""Where the keys are sent: to Alpaca, or where whoever starts the program says; never where a stray file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from settings.load import SettingsError, load
from settings.schema import is_alpacas
from tests.security.second_user import STRANGER
from trader.daemon.account import endpoints_of, sim_keys

REAL = {
    "ALPACA_API_KEY_ID": "PKABCDEFGHIJKLMNOP12",
    "ALPACA_API_SECRET_KEY": "secretsecretsecretsecretsecretsecretsecret",
}
PAPER = {"HOME": "/h", "TRADING_MODE": "paper", **REAL}
LIVE = {"HOME": "/h", "TRADING_MODE": "live", "LIVE_ACCOUNT": "1"}
NAMES = {
    "ALPACA_TRADING_URL": "https://mine.example",
    "ALPACA_DATA_URL": "https://mine.example",
    "ALPACA_TRADE_STREAM_URL": "wss://mine.example/stream",
}


def refusal(folder: Path, environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ=environ, folder=folder)
    return str(caught.value)


def test_without_a_word_they_go_to_alpaca(tmp_path: Path) -> None:
    endpoints = endpoints_of(load(environ=PAPER, folder=tmp_path).settings)
    assert endpoints is not None
    hosts = [url.partition("//")[2].partition("/")[0] for url in (endpoints.trading_url, endpoints.data_url)]
    assert hosts == ["paper-api.alpaca.markets", "data.alpaca.markets"]
    assert endpoints.trade_stream_url == "wss://paper-api.alpaca.markets/stream"


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_may_name_another_host(name: str, tmp_path: Path) -> None:
    load(environ=PAPER | {name: NAMES[name]}, folder=tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else and itself")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_only_where_it_is_roots(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{name}={NAMES[name]}\n")
    load(environ=PAPER, folder=tmp_path)
    os.chown(path, STRANGER, STRANGER)  # the user who runs it, who may have unpacked somebody's folder
    monkeypatch.setattr("os.geteuid", lambda: STRANGER)
    assert "another host than Alpaca's" in refusal(tmp_path, PAPER)


@pytest.mark.parametrize("name", NAMES)
def test_an_accounts_keys_are_not_sent_to_a_port_of_this_machine(name: str, tmp_path: Path) -> None:
    url = (
        NAMES[name]
        .replace("https://mine.example", "http://127.0.0.1:80")
        .replace("wss://mine.example", "ws://localhost:8")
    )
    assert "which any user may listen on" in refusal(tmp_path, PAPER | {name: url})
    assert "which any user may listen on" in refusal(tmp_path, LIVE | {name: url})


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "127.1", "2130706433", "localhost.", "a.localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_however_it_is_spelt(host: str, tmp_path: Path) -> None:
    wanted = "which any user may listen on"
    assert wanted in refusal(tmp_path, LIVE | {"ALPACA_TRADING_URL": f"https://{host}:9"})


@pytest.mark.parametrize("host", ["localhost.", "a.localhost", "127.1", "0.0.0.0"])
def test_what_only_may_be_this_machine_is_given_nothing_that_it_alone_may_have(host: str, tmp_path: Path) -> None:
    """Some resolvers ask a server for a.localhost."""
    url = {"ALPACA_TRADING_URL": f"http://{host}:9"}
    assert "is another machine" in refusal(tmp_path, {"HOME": "/h", **REAL} | url)
    made_up = PAPER | {"ALPACA_API_KEY_ID": "PKTEST", "ALPACA_API_SECRET_KEY": "s"}
    assert "in the clear" in refusal(tmp_path, made_up | url)


def test_a_host_is_alpacas_by_its_name_and_not_by_what_it_is_escaped_to() -> None:
    assert is_alpacas("https://api.alpaca.markets")
    assert not is_alpacas("https://evil.example%2f.alpaca.markets")


def test_made_up_keys_may_rehearse_paper_mode_on_our_own_exchange(tmp_path: Path) -> None:
    made_up = PAPER | {"ALPACA_API_KEY_ID": "PKTEST", "ALPACA_API_SECRET_KEY": "s"}
    load(environ=made_up | {"ALPACA_TRADING_URL": "http://127.0.0.1:80"}, folder=tmp_path)


def test_a_simulation_speaks_to_this_machine_only_and_without_an_accounts_keys(tmp_path: Path) -> None:
    sim = {"HOME": "/h", **REAL}
    assert "is another machine" in refusal(tmp_path, sim | {"ALPACA_TRADING_URL": "https://mine.example"})
    settings = load(environ=sim | {"ALPACA_TRADING_URL": "http://127.0.0.1:80"}, folder=tmp_path).settings
    assert sim_keys(settings) == ("SIM", "SIM")
