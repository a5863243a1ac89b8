"""What another user of this machine can put in our way, each tried as that user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasters.base import ForecastError
from forecasters.compiled.toolchain import use_cache_folder
from forecasters.kronos import hub as kronos
from forecasters.toto import hub as toto
from settings.load import SettingsError, load
from tests.security.second_user import as_another_user, by_stranger, public_folder
from trader.commands.strategies import command as strategies
from trader.errors import ConfigurationError

pytestmark = as_another_user
TRADER = str(Path(sys.executable).with_name("trader"))


@pytest.fixture
def public() -> Iterator[Path]:
    yield from public_folder()


def settings_in(folder: Path, **environ: str) -> None:
    load(environ={"HOME": "/root", **environ}, folder=folder)


@pytest.mark.parametrize("name", [".env", ".env.compile"])
def test_settings_of_another_user_are_not_read(name: str, public: Path) -> None:
    """His ALPACA_TRADING_URL was sent the keys."""
    by_stranger(f"echo ALPACA_TRADING_URL=https://mine.example > {public}/{name}")
    with pytest.raises(SettingsError, match=f"settings are not read: {public}/{name} belongs to"):
        settings_in(public)


@pytest.mark.parametrize("name", [".env", ".env.compile"])
def test_settings_that_every_user_may_change_are_not_read(name: str, public: Path) -> None:
    (public / name).write_text("LOG_LEVEL=INFO\n")
    (public / name).chmod(0o666)
    with pytest.raises(SettingsError, match=f"right: chmod go-w {public}/{name}"):
        settings_in(public)


def test_settings_behind_a_link_of_another_user_are_not_read(public: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("LOG_LEVEL=INFO\n")
    by_stranger(f"ln -s {tmp_path}/mine {public}/.env")
    with pytest.raises(SettingsError, match=f"rm {public}/.env"):
        settings_in(public)


def test_credentials_of_another_user_are_not_read(public: Path) -> None:
    by_stranger(f"mkdir {public}/keys; echo PK > {public}/keys/alpaca_api_key_id")
    with pytest.raises(SettingsError, match=r"credential alpaca_api_key_id: .* belongs to"):
        settings_in(public, CREDENTIALS_DIRECTORY=str(public / "keys"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATE_DIR", "{}/theirs"),
        ("DATABASE_URL", "sqlite+pysqlite:///{}/theirs/journal.db?timeout=5"),
        ("STRATEGY", "{}/theirs/s.py"),
    ],
)
def test_state_and_code_in_a_folder_of_another_user_are_refused(name: str, value: str, public: Path) -> None:
    by_stranger(f"mkdir {public}/theirs; echo > {public}/theirs/s.py")
    with pytest.raises(SettingsError, match=f"{name}: {public}/theirs belongs to"):
        settings_in(public, **{name: value.format(public)})


@pytest.mark.parametrize("name", ["s.py", "s.py@0123456789abcdef"])
def test_a_strategy_of_his_is_run_by_no_command(name: str, public: Path) -> None:
    """`trader strategies check` names it by its path, past the settings."""
    by_stranger(f'echo \'open("{public}/ran", "w")\' > {public}/s.py')
    with pytest.raises(ConfigurationError, match=f"strategy {public}/s.py belongs to"):
        strategies.main(["check", f"{public}/{name}"], standalone_mode=False)
    assert not (public / "ran").exists()


def test_a_compile_cache_of_another_user_is_not_used(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(public / "ours"))
    by_stranger(f"mkdir -m 777 {public}/theirs")
    used = use_cache_folder(str(public / "theirs"))
    assert "belongs to" in used.problem
    assert used.path == public / "ours/trader/compiled"


def test_our_own_compile_cache_is_not_used_where_others_put_code_into_it(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(public / "ours"))
    (public / "shared").mkdir()
    (public / "shared").chmod(0o777)
    by_stranger(f"mkdir -p {public}/shared/inductor; echo code > {public}/shared/inductor/planted.py")
    used = use_cache_folder(str(public / "shared"))
    assert f"right: chmod go-w {public}/shared" in used.problem
    assert used.path == public / "ours/trader/compiled"


@pytest.mark.parametrize("hub", [kronos, toto])
def test_a_checkpoint_of_another_user_is_not_read(hub: object, public: Path) -> None:
    files = "config.json model.safetensors network/config.json network/model.safetensors"
    files += " tokenizer/config.json tokenizer/model.safetensors"
    by_stranger(f"cd {public}; mkdir -p model/network model/tokenizer; cd model; touch {files}")
    found = hub.lacking(str(public / "model"))  # type: ignore[attr-defined]
    assert found is not None
    assert f"the checkpoint is not read: {public}/model belongs to" in found
    with pytest.raises(ForecastError, match="is not read"):
        hub.locate(str(public / "model"))  # type: ignore[attr-defined]


@pytest.mark.timeout(200)
def test_code_in_the_working_folder_is_not_run_by_the_daemon_or_any_of_its_children(
    public: Path, tmp_path: Path
) -> None:
    """The simulation starts an exchange and a worker, both of which were `python -m` in that folder."""
    planted = "open('stolen', 'a').write(__name__)"
    packages = ("trader", "forecasters", "settings", "numpy", "multiprocessing")
    by_stranger(
        f"mkdir -m 777 {public}/here; cd {public}/here; mkdir {' '.join(packages)};"
        + "".join(f'echo "{planted}" > {package}/__init__.py;' for package in packages)
    )
    words = [TRADER, "run", "--mode", "sim", "--speed", "max", "--cycles", "1", "--plain", "--state-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=public / "here", capture_output=True, text=True, check=False, env=bare())
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (public / "here").iterdir()) == sorted(packages)


def bare() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/root", "OMP_NUM_THREADS": "1"}
