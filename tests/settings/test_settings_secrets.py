"""A planted secret, and every place that it must not come out of."""

from __future__ import annotations

import json
import pickle
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from settings.load import Loaded, SettingsError, load
from settings.schema import Settings, shown_url

KEY, SECRET, PASSWORD = "PKPLANTEDKEYID", "planted/Secret+9", "planted-pa55word"
TOKEN = "planted-token-7"
ENVIRON = {
    "HOME": "/h",
    "TRADING_MODE": "paper",
    "ALPACA_API_KEY_ID": KEY,
    "ALPACA_API_SECRET_KEY": SECRET,
    "DATABASE_URL": f"postgresql+psycopg://trader:{PASSWORD}@localhost/trader",
    "OPTIONS__THEIRS__API_TOKEN": TOKEN,
}
PLANTED = (KEY, SECRET, PASSWORD, TOKEN)


def assert_clean(text: str) -> None:
    assert [planted for planted in PLANTED if planted in text] == []


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load(environ=ENVIRON, folder=tmp_path)


def test_secrets_arrive_and_are_listed_for_the_log(loaded: Loaded) -> None:
    assert loaded.settings.venue.alpaca_api_secret_key.get_secret_value() == SECRET
    assert PASSWORD in loaded.settings.database_url
    assert set(PLANTED) <= set(loaded.settings.secrets())


def test_no_text_form_of_the_settings_shows_them(loaded: Loaded) -> None:
    settings = loaded.settings
    for text in (repr(settings), str(settings), repr(loaded), str(settings.venue), repr(settings.store), f"{settings}"):
        assert_clean(text)
    assert_clean(settings.model_dump_json())
    assert_clean(str(settings.model_dump()))
    assert_clean(json.dumps(settings.model_dump(mode="json")))


def test_config_show_masks_them(loaded: Loaded) -> None:
    for row in loaded.rows():
        assert_clean(repr(row))
    rows = {row.name: row.value for row in loaded.rows()}
    assert rows["ALPACA_API_KEY_ID"] == rows["ALPACA_API_SECRET_KEY"] == rows["OPTIONS__THEIRS__API_TOKEN"] == "*" * 10
    assert rows["DATABASE_URL"] == "postgresql+psycopg://trader:**********@localhost/trader"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ALPACA_API_SECRET_KEY": f"{SECRET} {SECRET}"},
        {"TRADING_MODE": "live", "LIVE_ACCOUNT": "1"},
        {"DATABASE_URL": f"mysql://trader:{PASSWORD}@localhost/x"},
        {"LOG_LEVEL": SECRET},
        {"SYMBOLS": f"BTC/USD,{SECRET}"},
        {"LIVE_ACCOUNT": f"x{SECRET}"},
        {"ALPACA_TRADING_URL": f"https://{KEY}:{SECRET}@api.alpaca.markets"},
        {"ALPACA_SECRET": SECRET},
        {"SIM__BARS": SECRET},
        {"STRATEGY": TOKEN},
        {"STRATEGY": SECRET},
    ],
)
def test_no_error_shows_them_nor_its_traceback_nor_what_caused_it(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=ENVIRON | wrong, folder=tmp_path)
    error = caught.value
    assert_clean(str(error))
    assert_clean(repr(error.problems))
    assert_clean("".join(traceback.format_exception(error)))
    assert_clean(repr((error.__context__, error.__cause__)))


def test_an_error_in_a_file_shows_no_value_of_a_name_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ALPACA_API_SECRET={SECRET}\nALPACA_API_SECRET_KEY={SECRET} # mine\n")
    with pytest.raises(SettingsError) as caught:
        load(environ={"HOME": "/h"}, folder=tmp_path)
    assert_clean(repr(caught.value.problems))


def test_a_credential_is_read_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "alpaca_api_key_id").write_text(f"{KEY}\n")
    (tmp_path / "alpaca_api_secret_key").write_text(SECRET)
    loaded = load(environ={"HOME": "/h", "CREDENTIALS_DIRECTORY": str(tmp_path)}, folder=tmp_path / "nothing")
    assert loaded.settings.venue.alpaca_api_key_id.get_secret_value() == KEY
    assert loaded.origins["ALPACA_API_SECRET_KEY"] == "credential alpaca_api_secret_key"


def test_pydantics_own_error_hides_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"venue": {"alpaca_api_key_id": [SECRET], "alpaca_feed": SECRET}})
    assert_clean(str(caught.value))
    assert_clean(repr(caught.value))


def test_a_copy_keeps_them_hidden(loaded: Loaded) -> None:
    copy = pickle.loads(pickle.dumps(loaded.settings))
    assert copy == loaded.settings
    assert_clean(repr(copy))


def test_a_password_is_masked_wherever_it_stands_in_a_url() -> None:
    assert shown_url("postgresql://trader:trader@host/trader") == "postgresql://trader:**********@host/trader"
    assert shown_url("postgresql://u:a@b:c@host/x") == "postgresql://u:**********@host/x"
    assert shown_url("sqlite:////a/b.db") == "sqlite:////a/b.db"
    encoded = Settings.model_validate({"store": {"database_url": "postgresql://u:p%40ssw0rd1@h/x"}})
    assert "p@ssw0rd1" in encoded.secrets()
