"""What is refused, and that the one line about it says where, what and what instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from settings.load import SettingsError, load

HOME = {"HOME": "/home/anna"}
LIVE = {"TRADING_MODE": "live", "LIVE_ACCOUNT": "123456789"}
PAPER = {"TRADING_MODE": "paper"}


def refusal(folder: Path, flags: dict[str, object] | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags=flags, environ=HOME | environ, folder=folder)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 78
    return text


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("TRADING_MODE", "papr", "(paper?)"),
        ("RISK__MAX_SYMBOL", "nan", "above 0 and up to 1"),
        ("RISK__MAX_SYMBOL", "inf", "above 0 and up to 1"),
        ("RISK__MAX_SYMBOL", "-0.1", "above 0 and up to 1"),
        ("RISK__MAX_SYMBOL", "20%", "share of equity"),
        ("RISK__MAX_GROSS", "0", "above 0 and up to 4"),
        ("RISK__MAX_QUOTE_AGE_S", "nan", "above 0"),
        ("RISK__MAX_OPEN_ENTRIES", "1.5", "a whole number"),
        ("RISK__MAX_DAILY_LOSS", "-0.03", "share of equity"),
        ("SIM__SPEED", "-1", "a number above 0, or max"),
        ("SIM__SPEED", "0", "a number above 0, or max"),
        ("SIM__SPEED", "nan", "a number above 0, or max"),
        ("SIM__SPEED", "inf", "a number above 0, or max"),
        ("SIM__BARS", "btc.parquet", "SYMBOL=FILE"),
        ("SIM__BARS", "AAPL=a.csv,BTC/USD=b.csv,AAPL=c.csv", "AAPL is given twice; right: SYMBOL=FILE"),
        ("SIM__QUOTES", "AAPL=a.csv,AAPL=a.csv", "AAPL is given twice"),
        ("SIM__START", "yesterday", "2025-06-01"),
        ("SYMBOLS", "BTCUSD", "BTC/USD"),
        ("SYMBOLS", "btc/usd", "BTC/USD,AAPL"),
        ("SYMBOLS", "AAPL,btc/usd", "'btc/usd' is not a symbol (BTC/USD?)"),
        ("SYMBOLS", "", "BTC/USD,AAPL"),
        ("SYMBOLS", "AAPL,AAPL", "BTC/USD,AAPL"),
        ("TIMEFRAME", "60Min", "1Min to 59Min"),
        ("TIMEFRAME", "1h", "1Min to 59Min"),
        ("CONTEXT", "0", "from 1 and up to 5000"),
        ("HORIZON", "-1", "from 1"),
        ("ADD_LATEST", "maybe", "true or false"),
        ("EXIT_RESTS", "stopp", "(stop?)"),
        ("HOLD", "forever", "bar, carry"),
        ("LOG_LEVEL", "INF", "(INFO?)"),
        ("KRONOS_DTYPE", "float16", "float32, bfloat16"),
        ("KRONOS_TOP_P", "1.5", "up to 1"),
        ("KRONOS_COMPILE_MODE", "fast", "reduce-overhead"),
        ("STRATEGY", "maxdif", "maxdiff?"),
        ("STRATEGY", "hope", "one of maxdiff, edge, flat"),
        ("FORECASTER", "Kronos!", "small letters"),
        ("FORECASTER_FALLBACK", "baseline", "eager, none"),
        ("WORKER_SOCKET", "worker.sock", "absolute path"),
        ("DATABASE_URL", "mysql://x", "postgresql"),
        ("ALPACA_FEED", "otc", "iex, sip"),
        ("ALPACA_TRADING_URL", "paper-api.alpaca.markets", "https://host"),
        ("ALPACA_TRADING_URL", "https://paper-api.alpaca.markets/", "slash"),
        ("ALPACA_TRADING_URL", "https://paper-api.alpaca.markets/v2", "only scheme and host"),
        ("ALPACA_DATA_URL", "https://a:b@data.alpaca.markets", "keys do not belong"),
        ("ALPACA_TRADE_STREAM_URL", "https://paper-api.alpaca.markets/stream", "wss://"),
        ("REQUESTS_PER_MINUTE", "0", "from 10"),
        ("PAPER", "perhaps", "true or false"),
    ],
)
def test_an_impossible_value_is_refused_with_what_would_be_right(
    name: str, value: str, right: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"# mine\n{name}='{value}'\n")
    text = refusal(tmp_path)
    assert text.startswith(f"{tmp_path}/.env:2: {name}")
    assert right in text
    assert refusal(tmp_path / "nothing", **{name: value}).startswith(f"environment: {name}")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("KRONOS_COMPIL", "KRONOS_COMPILE"),
        ("KRONOS_SAMPLES_COUNT", "KRONOS_SAMPLE_COUNT"),
        ("TOTO_SAMPLES", "TOTO_NUM_SAMPLES"),
        ("RISK__MAX_SYMBOLS", "RISK__MAX_SYMBOL"),
        ("RISK__ALLOW_SYNTHETIC_QUOTES", ".env.example"),
        ("RSIK__MAX_SYMBOL", "RISK__MAX_SYMBOL"),
        ("EXITS__MAX_AGE", "EXITS__MAX_AGE_S"),
        ("SIZING__FRACTIONS", "SIZING__FRACTION"),
        ("SIM__SPED", "SIM__SPEED"),
        ("ALPACA_API_KEY", "ALPACA_API_KEY_ID"),
        ("ALPACA_SECRET_KEY", "ALPACA_API_SECRET_KEY"),
        ("TRADING_MOD", "TRADING_MODE"),
        ("FORECASTERS", "FORECASTER"),
        ("FORECAST_DEADLINE", "FORECAST_DEADLINE_S"),
        ("ADD_LATST", "ADD_LATEST"),
        ("MANAGE_INTERVAL", "MANAGE_INTERVAL_S"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("MAXDIF__ENTRY_QUANTILE", "MAXDIFF__ENTRY_QUANTILE"),
        ("SYMBOL", "SYMBOLS"),
        ("kronos_compile", "KRONOS_COMPILE"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest_one(wrong: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{wrong}=1\n")
    text = refusal(tmp_path)
    assert text.startswith(f"{tmp_path}/.env:1: {wrong} is not a setting; right: ")
    assert meant in text
    assert meant in refusal(tmp_path / "nothing", **{wrong: "1"})


def test_in_files_also_a_slip_in_a_name_outside_our_namespaces_is_refused(tmp_path: Path) -> None:
    for wrong, meant in (("STRATEGYY", "STRATEGY"), ("DATABASE_URI", "DATABASE_URL"), ("TIME_FRAME", "TIMEFRAME")):
        (tmp_path / ".env").write_text(f"{wrong}=1\n")
        assert f"right: {meant}?" in refusal(tmp_path)


def test_names_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    others = (
        *("PATH", "LOGNAME", "LANG", "XDG_RUNTIME_DIR", "HOSTNAME", "INVOCATION_ID", "TORCHINDUCTOR_FREEZING"),
        *("STATE_DIRECTORY", "CACHE_DIRECTORY", "POSTGRES_PASSWORD", "TERM", "PAGER", "GOOGLE__API__KEY"),
    )
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in others))
    load(environ={**HOME, **dict.fromkeys(others, "/x")}, folder=tmp_path)


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CONTEXT=100\nCONTEXT=200\n")
    assert f"{tmp_path}/.env:2: CONTEXT is given twice ({tmp_path}/.env:1)" in refusal(tmp_path)
    assert "are the same setting" in refusal(tmp_path / "nothing", HOLD="bar", EXITS__HOLD="carry")


def test_several_problems_are_counted(tmp_path: Path) -> None:
    assert refusal(tmp_path, CONTEXT="0", HORIZON="0", RISK__MAX_SYMBOL="2").endswith("(and 2 more)")
    assert "(and 1 more)" in refusal(tmp_path, TRADING_MODE="live", ADD_LATEST="0")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FORECASTER": "kronos-compiled", "KRONOS_COMPILE": "0"}, "right: KRONOS_COMPILE=1, or FORECASTER=kronos"),
        ({"FORECASTER": "toto-compiled", "TOTO_COMPILE": "0"}, "right: TOTO_COMPILE=1, or FORECASTER=toto"),
        ({"TOTO_COMPILE": "1", "TOTO_DISABLE_COMPILE": "1"}, "only one of the two on"),
        ({"FORECASTER": "toto-compiled", "TOTO_DISABLE_COMPILE": "1"}, "right: FORECASTER=toto"),
        ({"PAPER": "1", **LIVE}, "right: PAPER=0 or none"),
        ({"PAPER": "0", **PAPER}, "right: PAPER=1 or none"),
        ({"PAPER": "0"}, "contradicts TRADING_MODE=sim"),
        ({"TRADING_MODE": "live"}, "LIVE_ACCOUNT is missing"),
        ({"ADD_LATEST": "0", **LIVE}, "right: ADD_LATEST=true"),
        ({"ALPACA_API_KEY_ID": "PK1", **PAPER}, "given without ALPACA_API_SECRET_KEY"),
        ({"ALPACA_API_SECRET_KEY": "s", **PAPER}, "given without ALPACA_API_KEY_ID"),
        ({"ALPACA_API_KEY_ID": "PK1", "ALPACA_API_SECRET_KEY": "s", **LIVE}, "is a paper key (PK...) in live mode"),
        ({"ALPACA_API_KEY_ID": "AK1", "ALPACA_API_SECRET_KEY": "s", **PAPER}, "is a live key (AK...) in paper mode"),
        ({"ALPACA_API_KEY_ID": "P K", "ALPACA_API_SECRET_KEY": "s", **PAPER}, "nothing around it"),
        ({"ALPACA_TRADING_URL": "https://api.alpaca.markets", **PAPER}, "right: paper-api.alpaca.markets"),
        ({"ALPACA_TRADING_URL": "https://API.alpaca.markets", **PAPER}, "right: paper-api.alpaca.markets"),
        ({"ALPACA_TRADING_URL": "https://paper-api.alpaca.markets", **LIVE}, "right: api.alpaca.markets"),
        ({"ALPACA_TRADE_STREAM_URL": "wss://api.alpaca.markets/stream", **PAPER}, "paper-api.alpaca.markets"),
        ({"ALPACA_TRADING_URL": "https://api.alpaca.markets"}, "is the real venue in sim mode"),
        ({"ALPACA_TRADING_URL": "http://proxy.example", **PAPER}, "in the clear; right: https://proxy.example"),
    ],
)
def test_contradictions_are_refused(environ: dict[str, str], expected: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, **environ)
    assert text.startswith("environment: ")
    assert expected in text


def test_a_contradiction_names_both_places(tmp_path: Path) -> None:
    (tmp_path / ".env.compile").write_text("KRONOS_COMPILE=0\nFORECASTER=kronos-compiled\n")
    text = refusal(tmp_path)
    assert text.startswith(f"{tmp_path}/.env.compile:1: KRONOS_COMPILE is 0")
    assert f"[FORECASTER from {tmp_path}/.env.compile:2]" in text


def test_a_forecaster_asked_for_higher_up_overrides_the_shipped_switch(tmp_path: Path) -> None:
    (tmp_path / ".env.compile").write_text("KRONOS_COMPILE=0\n")
    settings = load({"forecaster": "kronos-compiled"}, environ=HOME, folder=tmp_path).settings
    assert settings.trading.backend == "kronos-compiled"
    assert settings.kronos.compile


def test_our_own_exchange_may_stand_in_for_the_venue_on_this_machine(tmp_path: Path) -> None:
    urls = {"ALPACA_TRADING_URL": "http://127.0.0.1:8080", "ALPACA_TRADE_STREAM_URL": "ws://localhost:8080/stream"}
    for mode in ({}, PAPER):
        settings = load(environ=HOME | urls | mode, folder=tmp_path).settings
        assert settings.trading_url == "http://127.0.0.1:8080"


def test_keys_are_refused_on_the_command_line(tmp_path: Path) -> None:
    text = refusal(tmp_path, {"alpaca_api_secret_key": "hunter22"})
    assert "must not be given on a command line" in text
    assert "hunter22" not in text
    assert "is not a setting" in refusal(tmp_path, {"sped": 1})


def test_a_misspelt_credential_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alpaca_api_key").write_text("PK1")
    text = refusal(tmp_path / "nothing", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert text.startswith("credential alpaca_api_key: ")
    assert "ALPACA_API_KEY_ID" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_credentials_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0)
    text = refusal(tmp_path / "nothing", CREDENTIALS_DIRECTORY=str(tmp_path / "keys"))
    assert text.startswith(f"CREDENTIALS_DIRECTORY={tmp_path}/keys: Permission denied")


def test_no_home_is_refused_where_a_folder_is_needed(tmp_path: Path) -> None:
    assert load(
        environ={"STATE_DIRECTORY": "/a", "CACHE_DIRECTORY": "/b"}, folder=tmp_path
    ).settings.store.state_dir == Path("/a")
