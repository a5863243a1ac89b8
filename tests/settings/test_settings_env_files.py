"""The shipped environment files, and that what we accept means the same to every reader."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import envfile
from settings.example import render
from settings.load import SettingsError, load
from settings.names import table
from settings.schema import Settings
from tests.settings.readers import by_dotenv, by_shell, by_systemd

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE, COMPILE = ROOT / ".env.example", ROOT / ".env.compile"
_COMMENTED = re.compile(r"^#(?=[A-Z][A-Z0-9_]*=)", re.MULTILINE)


def by_us(path: Path) -> dict[str, str]:
    lines = envfile.read(path)
    assert [line for line in lines if line.fault] == []
    return {line.name: line.value for line in lines}


@pytest.fixture(params=[EXAMPLE, COMPILE], ids=[".env.example", ".env.compile"])
def shipped(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_shell_dotenv_systemd_and_we_read_the_shipped_files_alike(shipped: Path) -> None:
    assert by_shell(shipped) == by_dotenv(shipped) == by_systemd(shipped) == by_us(shipped)


def test_they_also_do_when_every_line_is_switched_on(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "all"
    path.write_text(_COMMENTED.sub("", shipped.read_text()))
    found = by_us(path)
    assert len(found) >= 10
    assert by_shell(path) == by_dotenv(path) == by_systemd(path) == found


def test_the_shipped_files_have_no_export_no_quotes_and_no_comment_after_a_value(shipped: Path) -> None:
    for line in _COMMENTED.sub("", shipped.read_text()).splitlines():
        assert line == "" or line.startswith("# ") or re.fullmatch(r"[A-Z][A-Z0-9_]*=[^\s'\"#\\$]*", line), line
        assert not line.endswith("\\")


def test_the_example_names_every_setting_and_nothing_else() -> None:
    names = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE)
    assert names == list(table())


def test_the_example_is_what_the_schema_makes() -> None:
    assert EXAMPLE.read_text() == render(), "run: python -m settings.example > .env.example"


def test_the_examples_values_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(_COMMENTED.sub("", EXAMPLE.read_text()))
    environ = {"HOME": "/home/anna"}
    loaded = load(environ=environ, folder=tmp_path)
    assert loaded.settings == load(environ=environ, folder=tmp_path / "nothing").settings
    assert loaded.origins["TRADING_MODE"].startswith(f"{tmp_path}/.env:")


def test_every_setting_of_the_example_is_explained() -> None:
    blocks = EXAMPLE.read_text().split("\n\n")
    for block in blocks:
        if _COMMENTED.search(block):
            assert block.startswith("# ")
            assert "\n# Right: " in block


def test_the_compile_file_ships_with_compilation_off_and_says_why() -> None:
    settings = load(environ={"HOME": "/h"}, folder=ROOT / "nowhere").settings
    found = by_us(COMPILE)
    assert found == {"KRONOS_COMPILE": "0", "TOTO_COMPILE": "0"}
    assert not settings.kronos.compile
    assert not settings.toto.compile
    assert "off as shipped" in COMPILE.read_text().splitlines()[0]
    assert set(by_us(COMPILE)) <= set(table())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("export SYMBOLS=AAPL", "export"),
        ("SYMBOLS=AAPL # apples", "comment"),
        ("SYMBOLS = AAPL", "blanks"),
        ("SYMBOLS=AAPL, MSFT", "single quotes"),
        ("SYMBOLS=$WATCHED", "single quotes"),
        ('SYMBOLS="$WATCHED"', "single quotes"),
        ("SYMBOLS=AAPL\\", "single quotes"),
        ("STATE_DIR=~/state", "single quotes"),
        ("SYMBOLS=AAPL\r", "carriage return"),
        ("SYMBOLS AAPL", "=VALUE"),
        ("SYMBOLS: AAPL", "=VALUE"),
    ],
)
def test_a_line_that_readers_would_read_differently_is_refused_with_its_number(
    line: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(f"# first\n{line}\n".encode())
    with pytest.raises(SettingsError) as caught:
        load(environ={"HOME": "/h"}, folder=tmp_path)
    assert f"{tmp_path}/.env:2: " in str(caught.value)
    assert expected in str(caught.value)


def test_other_programs_lines_in_the_file_are_their_own_affair(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("export PATH_TO=$HOME/x # mine\nfoo bar\nGREETING='a\nb'\nSYMBOLS=AAPL\n")
    assert load(environ={"HOME": "/h"}, folder=tmp_path).settings.trading.symbols == ("AAPL",)


def test_a_file_that_is_no_text_or_no_file_is_refused_by_name(tmp_path: Path) -> None:
    for make in (
        (lambda p: p.write_bytes(b"\xff\xfe")),
        (lambda p: p.mkdir()),
        (lambda p: p.write_bytes(b"\xef\xbb\xbfA=1")),
    ):
        path = tmp_path / ".env"
        make(path)
        with pytest.raises(SettingsError, match=re.escape(str(path))):
            load(environ={"HOME": "/h"}, folder=tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()


@given(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20), st.sampled_from(["", "'", '"'])
)
def test_whatever_value_we_accept_dotenv_and_systemd_read_alike(
    tmp_path_factory: pytest.TempPathFactory, value: str, quote: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "value"
    path.write_text(f"SYMBOLS={quote}{value}{quote}\n")
    line = envfile.read(path)[0]
    if not line.fault and "${" not in line.value:  # dotenv expands it even between single quotes; the daemon does not
        assert by_dotenv(path) == by_systemd(path) == {"SYMBOLS": line.value}


def test_the_same_values_mean_the_same_to_a_shell(tmp_path: Path) -> None:
    plain = "!#$%&()*+,-./:;<=>?@[]^_`{|}~ azAZ09"
    accepted = []
    for number, value in enumerate(
        [*plain, *(f"a{c}b" for c in plain), *(f"'a{c}b'" for c in plain), '"a b#c"', "a:~b"]
    ):
        path = tmp_path / "one"
        path.write_text(f"NAME_{number}={value}\n")
        if not envfile.read(path)[0].fault:
            accepted.append(path.read_text())
    assert len(accepted) > len(plain)
    path = tmp_path / "many"
    path.write_text("".join(accepted))
    assert by_shell(path) == by_us(path) == by_systemd(path)


def test_every_setting_has_a_description_and_every_number_a_unit_and_bounds() -> None:
    for entry in table().values():
        assert entry.description, entry.name
        if entry.info.annotation in (int, float) or "Decimal" in str(entry.info.annotation):
            bounds = {k for k in ("gt", "ge", "lt", "le") for m in entry.info.metadata if hasattr(m, k)}
            assert bounds & {"gt", "ge"}, entry.name
            assert bounds & {"lt", "le"}, entry.name
            assert any(type(m).__name__ == "Unit" for m in entry.info.metadata), entry.name
    assert {e.group for e in table().values()} == set(Settings.groups)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", [".env", ".env.compile"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SettingsError, match=rf"{name}: is not a regular file; right: a file of NAME=VALUE lines"):
        load(environ={"HOME": "/h"}, folder=tmp_path)
    load(environ={"HOME": "/h"}, folder=tmp_path, only=("STATE_DIR",))  # `trader kill` must work all the same


@pytest.mark.timeout(10)
@pytest.mark.parametrize("target", ["/dev/zero", "socket"])
def test_a_device_without_end_and_a_socket_are_refused(tmp_path: Path, target: str) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        (tmp_path / ".env").symlink_to(target)
        with pytest.raises(SettingsError, match=r"\.env: .*; right: "):
            load(environ={"HOME": "/h"}, folder=tmp_path)


def test_dev_null_and_a_symlink_to_a_file_are_files(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("SYMBOLS=AAPL\n")
    (tmp_path / ".env").symlink_to("mine")
    (tmp_path / ".env.compile").symlink_to(os.devnull)
    assert load(environ={"HOME": "/h"}, folder=tmp_path).settings.trading.symbols == ("AAPL",)
