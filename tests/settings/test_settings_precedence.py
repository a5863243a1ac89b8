"""Where a value comes from, and what the daemon is told about it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from settings.load import Loaded, SettingsError, load, require_keys
from settings.schema import Settings
from settings.sources import PRECEDENCE
from tests.counting import calls_in
from trader.core.decision import ExitPolicy, RiskLimits, Sizing

HOME = {"HOME": "/home/anna"}


def read(folder: Path, flags: dict[str, object] | None = None, **environ: str) -> Loaded:
    return load(flags=flags, environ={**HOME, **environ}, folder=folder)


def test_each_source_overrides_the_next(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    seen = []
    (tmp_path / ".env").write_text("CONTEXT=101\n")
    seen.append(read(tmp_path))
    (tmp_path / ".env.compile").write_text("CONTEXT=102\n")
    seen.append(read(tmp_path))
    (credentials / "context").write_text("103\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    seen.append(read(tmp_path, **environ))
    environ["CONTEXT"] = "104"
    seen.append(read(tmp_path, **environ))
    seen.append(read(tmp_path, {"context": 105}, **environ))
    assert [loaded.settings.trading.context for loaded in seen] == [101, 102, 103, 104, 105]
    assert [loaded.origins["CONTEXT"] for loaded in seen] == [
        f"{tmp_path}/.env:1",
        f"{tmp_path}/.env.compile:1",
        "credential context",
        "environment",
        "flag --context",
    ]
    assert [source.__name__ for source in PRECEDENCE] == [
        "Flags",
        "Environment",
        "Credentials",
        "EnvCompile",
        "EnvFile",
    ]


def test_groups_merge_over_sources(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RISK__MAX_SYMBOL=0.1\nRISK__COLLAR_BPS=50\nMAXDIFF__ENTRY_QUANTILE=0.3\n")
    settings = read(tmp_path, RISK__COLLAR_BPS="60", MAXDIFF__STOP_QUANTILE="0.02").settings
    assert (settings.risk.max_symbol, settings.risk.collar_bps) == (Decimal("0.1"), Decimal(60))
    assert settings.strategies == {"maxdiff": {"entry_quantile": "0.3", "stop_quantile": "0.02"}}


def test_flags_that_were_not_given_change_nothing(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"trading_mode": None, "sim__bars": (), "sim__speed": 3600, "exits.hold": "bar"})
    assert loaded.settings.trading.trading_mode == "sim"
    assert (loaded.settings.sim.speed, loaded.settings.sim.factor) == ("3600", 3600.0)
    assert loaded.settings.exits.hold == "bar"
    assert loaded.origins["TRADING_MODE"] == "default"
    assert loaded.origins["SIM__SPEED"] == "flag --speed"


def test_flag_of_several_files(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"trading_mode": "sim", "sim__bars": ("BTC/USD=a.parquet", "AAPL=b.csv")})
    assert loaded.settings.sim.bars == ("BTC/USD=a.parquet", "AAPL=b.csv")
    assert (loaded.origins["SIM__BARS"], loaded.origins["TRADING_MODE"]) == ("flag --data", "flag --mode")


def test_the_defaults_are_the_cores_own() -> None:
    settings, limits, exits = Settings(), RiskLimits(), ExitPolicy()
    for name in type(settings.risk).model_fields:
        core = getattr(limits, name.removesuffix("_s"))
        ours = getattr(settings.risk, name)
        assert ours == (core.total_seconds() if name.endswith("_s") else core), name
    for name in type(settings.exits).model_fields:
        core = getattr(exits, name.removesuffix("_s"))
        ours = getattr(settings.exits, name)
        assert ours == (core.total_seconds() if name.endswith("_s") else core), name
    assert len(type(settings.risk).model_fields) == len(RiskLimits.__slots__) - 1  # all but allow_synthetic_quotes
    assert len(type(settings.exits).model_fields) == len(ExitPolicy.__slots__)
    for name in type(settings.sizing).model_fields:
        assert getattr(settings.sizing, name) == getattr(Sizing(), name), name
    assert len(type(settings.sizing).model_fields) == len(Sizing.__slots__)


def test_the_flat_names_of_exits_also_work_with_their_group() -> None:
    for environ in ({"HOLD": "bar"}, {"EXITS__HOLD": "bar"}):
        loaded = load(environ=HOME | environ, folder=Path("/nowhere"))
        assert loaded.settings.exits.hold == "bar"
        assert loaded.origins["HOLD"] == "environment"


def test_state_and_caches_go_where_systemd_says_else_where_the_user_keeps_them(tmp_path: Path) -> None:
    settings = read(tmp_path).settings
    assert settings.store.state_dir == Path("/home/anna/.local/state/trader")
    assert settings.compile.compiled_models_dir == Path("/home/anna/.cache/trader/compiled")
    settings = read(tmp_path, XDG_STATE_HOME="/x/state", XDG_CACHE_HOME="/x/cache").settings
    assert settings.store.state_dir == Path("/x/state/trader")
    settings = read(
        tmp_path, STATE_DIRECTORY="/var/lib/trader:/var/lib/b", CACHE_DIRECTORY="/var/cache/trader"
    ).settings
    assert settings.store.state_dir == Path("/var/lib/trader")
    assert settings.compile.torchinductor_cache_dir == Path("/var/cache/trader/inductor")
    settings = read(tmp_path, STATE_DIRECTORY="/var/lib/trader", STATE_DIR="/mine", COMPILED_MODELS_DIR="").settings
    assert settings.store.state_dir == Path("/mine")
    assert settings.database_url == "sqlite:////mine/journal-sim.db"


def test_each_mode_has_its_own_default_journal_and_venue(tmp_path: Path) -> None:
    sim, paper = read(tmp_path).settings, read(tmp_path, TRADING_MODE="paper").settings
    live = read(tmp_path, TRADING_MODE="live", LIVE_ACCOUNT="123").settings
    assert len({s.database_url for s in (sim, paper, live)}) == 3
    assert (sim.trading_url, sim.data_url, sim.trade_stream_url) == ("", "", "")
    assert paper.trading_url == "https://paper-api.alpaca.markets"
    assert live.trade_stream_url == "wss://api.alpaca.markets/stream"


def test_options_of_third_party_backends_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPTIONS__MY_MODEL__DEPTH=3\n")
    loaded = read(tmp_path, {"forecaster": "my-model"})
    assert loaded.settings.backend_options == {"my_model": {"depth": "3"}}
    assert loaded.settings.trading.backend == "my-model"
    assert loaded.settings.options_of("my-model") == {"depth": "3"}
    assert loaded.settings.options_of("other") == {}
    assert loaded.origins["OPTIONS__MY_MODEL__DEPTH"] == f"{tmp_path}/.env:1"


@pytest.mark.parametrize(
    ("environ", "backend", "family", "compiled"),
    [
        ({}, "baseline", "baseline", False),
        ({"KRONOS_COMPILE": "1"}, "baseline", "baseline", False),
        ({"FORECASTER": "kronos"}, "kronos", "kronos", False),
        ({"FORECASTER": "kronos", "KRONOS_COMPILE": "0"}, "kronos", "kronos", False),
        ({"FORECASTER": "kronos", "KRONOS_COMPILE": "1"}, "kronos-compiled", "kronos", True),
        ({"FORECASTER": "kronos-compiled"}, "kronos-compiled", "kronos", True),
        ({"FORECASTER": "kronos-compiled", "KRONOS_COMPILE": "1"}, "kronos-compiled", "kronos", True),
        ({"FORECASTER": "kronos", "TOTO_COMPILE": "1"}, "kronos", "kronos", False),
        ({"FORECASTER": "toto", "TOTO_COMPILE": "1"}, "toto-compiled", "toto", True),
        ({"FORECASTER": "toto-compiled", "KRONOS_COMPILE": "0"}, "toto-compiled", "toto", True),
        ({"FORECASTER": "toto", "TOTO_DISABLE_COMPILE": "1"}, "toto", "toto", False),
        ({"FORECASTER": "their-compiled"}, "their-compiled", "their-compiled", False),
    ],
)
def test_the_truth_table_of_compilation(
    environ: dict[str, str], backend: str, family: str, compiled: bool, tmp_path: Path
) -> None:
    settings = read(tmp_path, **environ).settings
    assert (settings.trading.backend, settings.trading.family, settings.trading.compiled) == (backend, family, compiled)
    if family == "kronos":
        assert settings.kronos.compile is compiled
    if family == "toto":
        assert settings.toto.compile is compiled
    assert Settings.model_validate(settings.model_dump()) == settings


def test_what_followed_from_the_other_spelling_says_so(tmp_path: Path) -> None:
    origins = read(tmp_path, FORECASTER="kronos-compiled").origins
    assert origins["KRONOS_COMPILE"] == "FORECASTER (environment)"
    origins = read(tmp_path, {"forecaster": "kronos"}, KRONOS_COMPILE="1").origins
    assert origins["FORECASTER"] == "flag --forecaster, KRONOS_COMPILE (environment)"


def test_a_replays_start_is_utc(tmp_path: Path) -> None:
    assert read(tmp_path, SIM__START="2025-06-01").settings.sim.start == datetime(2025, 6, 1, tzinfo=UTC)
    assert read(tmp_path, SIM__START="2025-06-01T02:00:00+02:00").settings.sim.start == datetime(2025, 6, 1, tzinfo=UTC)
    assert read(tmp_path, SIM__START="", SIM__SPEED="max").settings.sim.factor == float("inf")


def test_settings_can_not_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.trading = settings.trading
    with pytest.raises(ValidationError):
        settings.risk.max_symbol = Decimal(1)


def test_rows_show_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\nRISK__MAX_SYMBOL=0.1\n")
    rows = {row.name: row for row in read(tmp_path, {"symbols": "AAPL"}, MAXDIFF__X="1").rows()}
    assert (rows["RISK__MAX_SYMBOL"].value, rows["RISK__MAX_SYMBOL"].origin) == ("0.1", f"{tmp_path}/.env:2")
    assert (rows["SYMBOLS"].value, rows["SYMBOLS"].origin) == ("AAPL", "flag --symbols")
    assert (rows["MAXDIFF__X"].value, rows["MAXDIFF__X"].origin) == ("1", "environment")
    assert rows["RISK__COOLDOWN_S"].unit == "s"
    assert rows["HOLD"].origin == "default"


def test_missing_keys_are_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ALPACA_API_KEY_ID is missing"):
        require_keys(read(tmp_path, TRADING_MODE="paper").settings)
    given = read(tmp_path, TRADING_MODE="paper", ALPACA_API_KEY_ID="PK1", ALPACA_API_SECRET_KEY="s3cret")
    assert require_keys(given.settings) == ("PK1", "s3cret")


def test_importing_and_loading_is_quick_and_brings_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); from settings.load import load; load(environ={'HOME': '/h'});"
        "brought = set(sys.modules) - before; print(len(brought));"
        "print(*{'torch', 'pandas', 'numpy', 'sqlalchemy', 'alpaca', 'rich', 'trader', 'loguru'} & brought)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, heavy = told.splitlines()
    assert heavy == ""
    assert int(count) < 400  # about 245, most of them pydantic's and the standard library's


def test_loading_again_reads_no_more_than_there_is_to_read() -> None:
    load(environ={"HOME": "/h"})  # what is made once: the table of all settings
    assert calls_in(lambda: load(environ={"HOME": "/h"})) < 8000  # about 3400
