"""The installation of the service, into a root folder of its own, and what systemd says about the result."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trader.commands.service import Places, install, unit_text
from trader.errors import ConfigurationError

ROOT = Path(__file__).parents[2]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemctl") is None or shutil.which("systemd-analyze") is None,
    reason="systemd's tools are not installed (Debian package: systemd)",
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An installation in a home folder, with stubs for the programs."""
    checkout = tmp_path / "home/anna/trader"
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("trader", "python"):
        (programs / name).write_text(
            '#!/bin/sh\necho "$TRADING_MODE $KRONOS_COMPILE $CREDENTIALS_DIRECTORY $*"\nexit 3\n'
        )
        (programs / name).chmod(0o755)
    return Places(
        code=checkout,
        runbook=checkout / "docs/runbook.md",
        environment=checkout / ".venv",
        interpreter=tmp_path / "home/anna/python/3.11",
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root folder as an image has one: systemctl wants to find it a system's."""
    root = tmp_path / "image"
    (root / "etc").mkdir(parents=True)
    return root


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


def test_a_dry_run_shows_each_step_and_each_file_and_touches_nothing(places: Places, image: Path) -> None:
    said: list[str] = []
    install("paper", dry_run=True, say=said.append, prefix=image, places=places)

    assert files_under(image) == []
    text = "\n".join(said)
    assert f"write {image}/etc/systemd/system/trader@.service (mode 0644)" in said
    assert f"    ExecStart={places.program} run --mode %i" in said
    assert "    TRADING_MODE=paper" in said
    assert f"run systemctl --root={image} enable trader@paper.service" in said
    assert "/etc/trader/credentials/paper/" in text
    assert "mode 0600" in text


@needs_systemd
def test_an_installation_writes_what_systemd_needs_and_enables_it(places: Places, image: Path) -> None:
    said: list[str] = []
    install("live", dry_run=False, say=said.append, prefix=image, places=places)

    written = files_under(image)
    assert {
        "etc/sysusers.d/trader.conf",
        "etc/systemd/system/multi-user.target.wants/trader@live.service",
        "etc/systemd/system/trader-forecaster@.service",
        "etc/systemd/system/trader@.service",
        "etc/trader/.env.compile",
        "etc/trader/.env.example",
        "etc/trader/credentials.example",
        "etc/trader/live.env",
        "usr/local/bin/trader-live",
    } <= set(written)
    assert (image / "etc/trader/live.env").stat().st_mode & 0o777 == 0o600
    assert (image / "etc/trader/credentials/live").stat().st_mode & 0o777 == 0o700
    assert "TRADING_MODE=live\n" in (image / "etc/trader/live.env").read_text()
    assert "trader-forecast:" in (image / "etc/group").read_text()
    assert any("LIVE_ACCOUNT" in line for line in said)


@needs_systemd
def test_systemd_understands_every_line_of_what_was_written(places: Places, image: Path) -> None:
    install("paper", dry_run=False, say=lambda _line: None, prefix=image, places=places)
    units = image / "etc/systemd/system"
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no"]
        + [str(units / name) for name in ("trader@paper.service", "trader-forecaster@paper.service")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@needs_systemd
def test_a_second_installation_keeps_a_persons_settings_and_renews_the_units(places: Places, image: Path) -> None:
    install("paper", dry_run=False, say=lambda _line: None, prefix=image, places=places)
    settings = image / "etc/trader/paper.env"
    settings.write_text("TRADING_MODE=paper\nSYMBOLS=AAPL\n")
    unit = image / "etc/systemd/system/trader@.service"
    unit.write_text("old")
    said: list[str] = []
    install("paper", dry_run=False, say=said.append, prefix=image, places=places)

    assert settings.read_text() == "TRADING_MODE=paper\nSYMBOLS=AAPL\n"
    assert f"keep {settings}, it is there already" in said
    assert unit.read_text().startswith("# The trading daemon")


def test_a_checkout_in_a_home_folder_is_bound_back_in_alone_with_its_interpreter(places: Places) -> None:
    text = unit_text((ROOT / "systemd/trader@.service").read_text(), places)

    assert f"BindReadOnlyPaths={places.code} {places.interpreter}\n" in text  # the environment lies in the checkout
    assert f"Documentation=file:{places.code}/docs/runbook.md" in text
    assert "/opt/trader/" not in text


def test_a_system_interpreter_needs_no_binding(places: Places) -> None:
    system = Places(
        code=Path("/srv/bot"),
        runbook=Path("/srv/bot/docs/runbook.md"),
        environment=Path("/srv/venv"),
        interpreter=Path("/usr"),
    )
    text = unit_text((ROOT / "systemd/trader-forecaster@.service").read_text(), system)

    assert "BindReadOnlyPaths=/srv/bot /srv/venv\n" in text
    assert "ExecStart=/srv/venv/bin/python " in text


def wrapper(places: Places, image: Path) -> str:
    """The text of trader-paper."""
    said: list[str] = []
    install("paper", dry_run=True, say=said.append, prefix=image, places=places)
    first = said.index(f"write {image}/usr/local/bin/trader-paper (mode 0755)") + 1
    script = []
    for line in said[first:]:
        if line and not line.startswith("    "):
            break
        script.append(line[4:])
    return "\n".join(script)


def run_wrapper(places: Places, image: Path, *words: str) -> tuple[list[str], Path, int]:
    """What systemd is asked for by `trader-paper WORDS`, in which folder, and the exit code: of a systemd-run that
    writes down its arguments and ends with 3."""
    etc, tools = image / "etc/trader", image / "tools"
    (etc / "credentials/paper").mkdir(parents=True)
    (etc / "credentials/paper/alpaca_api_key_id").write_text("PK")
    tools.mkdir()
    stub = '#!/bin/sh\npwd >"$0.cwd"\nfor word do printf "%s\\n" "$word"; done >"$0.words"\nexit 3\n'
    (tools / "systemd-run").write_text(stub)
    (tools / "systemd-run").chmod(0o755)
    text = wrapper(places, image).replace("/etc/trader", str(etc))
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", text, "trader-paper", *words], env=environment, cwd=image, check=False)
    asked = (tools / "systemd-run.words").read_text().splitlines()
    return asked, Path((tools / "systemd-run.cwd").read_text().strip()), done.returncode


def test_the_accounts_command_line_runs_as_the_daemons_user_with_its_settings_and_keys(
    places: Places, image: Path
) -> None:
    words, _, code = run_wrapper(places, image, "kill", "--reason", "it costs $HOME ${HOME}")
    assert code == 3
    at = words.index("--")
    assert words[at + 1 :] == [str(places.program), "kill", "--reason", "it costs $$HOME $${HOME}"]
    given = [word.removeprefix("--property=") for word in words[:at] if word.startswith("--property=")]
    etc = image / "etc/trader"
    assert {"DynamicUser=yes", "User=trader-paper", "StateDirectory=trader/paper"} <= set(given)
    assert f"EnvironmentFile={etc}/paper.env" in given
    assert f"LoadCredential=alpaca_api_key_id:{etc}/credentials/paper/alpaca_api_key_id" in given
    assert not any("secret_key" in each for each in given)  # which is not there: systemd would not start


def test_what_the_accounts_command_line_may_is_what_the_daemon_may(places: Places, image: Path) -> None:
    words, _, _ = run_wrapper(places, image, "status")
    given = {word.removeprefix("--property=") for word in words if word.startswith("--property=")}
    unit = unit_text((ROOT / "systemd/trader@.service").read_text(), places).replace("%i", "paper")
    lines = set(unit.replace("%C", "/var/cache").replace("/etc/trader", str(image / "etc/trader")).splitlines())
    own = {"WorkingDirectory=/"}
    assert {each for each in given if each not in lines} == own


def test_root_goes_to_no_folder_of_the_daemon_and_touches_nothing_there(places: Places, image: Path) -> None:
    _, folder, _ = run_wrapper(places, image, "status")
    assert folder == Path("/")
    text = wrapper(places, image)
    assert "chown" not in text
    assert "STATE_DIR" not in text
    assert f"\n{places.program}" not in text  # only systemd runs it


@pytest.mark.parametrize("mode", ["sim", "Paper", ""])
def test_only_paper_and_live_are_services(mode: str, places: Places, image: Path) -> None:
    with pytest.raises(ConfigurationError, match="paper or live"):
        install(mode, dry_run=True, say=lambda _line: None, prefix=image, places=places)


def test_a_path_that_a_unit_would_read_otherwise_is_refused(places: Places, image: Path) -> None:
    odd = dataclasses.replace(places, environment=Path("/srv/my venv%i"))
    with pytest.raises(ConfigurationError, match="cannot name"):
        install("paper", dry_run=True, say=lambda _line: None, prefix=image, places=odd)


@pytest.mark.skipif(
    os.geteuid() == 0 and Path("/run/systemd/system").is_dir(), reason="as root under systemd this would install it"
)
def test_where_it_cannot_be_done_nothing_is_begun() -> None:
    said: list[str] = []
    with pytest.raises(ConfigurationError, match="--dry-run"):
        install("paper", dry_run=False, say=said.append)
    assert said == []


def test_this_installation_finds_its_own_places() -> None:
    said: list[str] = []
    install("paper", dry_run=True, say=said.append, prefix=Path("/nonexistent"))
    assert f"    ExecStart={Path(sys.prefix).absolute()}/bin/trader run --mode %i" in said
