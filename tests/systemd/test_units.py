"""The shipped units, judged by systemd's own tools in a root folder of their own; no systemd has to run here."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from settings.load import load
from trader.errors import DatabaseAway, Fatal
from trader.strategies import names

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "systemd"
RUNBOOK = ROOT / "docs" / "runbook.md"
SERVICES = ("trader@.service", "trader-forecaster@.service")
AUDIT = "trader-audit@.service"
TARGETS = (
    "sysinit",
    "basic",
    "shutdown",
    "sockets",
    "multi-user",
    "network-online",
    "nss-lookup",
    "time-sync",
    "paths",
)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian package: systemd)"
)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)


def directives(name: str) -> dict[str, list[str]]:
    """All assignments of a unit, in order, by their name."""
    found: dict[str, list[str]] = {}
    for line in (SHIPPED / name).read_text().splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with the shipped units, a stub in the program's place and the targets that they order against."""
    units = tmp_path / "etc/systemd/system"
    programs = tmp_path / "opt/trader/.venv/bin"
    units.mkdir(parents=True)
    programs.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for unit in SHIPPED.glob("trader*@.*"):
        shutil.copy(unit, units)
    for target in TARGETS:
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    for program in (programs / "trader", programs / "python", tmp_path / "bin/sh"):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


@needs_systemd
@pytest.mark.parametrize(
    "unit",
    ["trader@paper.service", "trader@live.service", "trader-forecaster@paper.service", "trader-audit@paper.service"],
)
def test_systemd_understands_every_line(root: Path, unit: str) -> None:
    done = analyze("verify", f"--root={root}", "--recursive-errors=yes", "--man=no", unit)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@needs_systemd
def test_a_misspelt_directive_would_be_noticed(root: Path) -> None:
    unit = root / "etc/systemd/system/trader@.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    done = analyze("verify", f"--root={root}", "--recursive-errors=yes", "--man=no", "trader@paper.service")
    assert done.returncode != 0
    assert "WatchdogSecs" in done.stderr


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "threshold"), [("trader@.service", 12), ("trader-forecaster@.service", 15), (AUDIT, 12)]
)
def test_the_exposure_stays_under_its_limit(unit: str, threshold: int) -> None:
    done = analyze("security", "--offline=true", f"--threshold={threshold}", str(SHIPPED / unit))
    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert re.search(r"exposure level for .*: \d", done.stdout)


def test_guard_18_a_failure_that_a_restart_cannot_mend_ends_there_instead_of_looping_overnight() -> None:
    trading = directives("trader@.service")
    final = set(trading["RestartPreventExitStatus"][0].split())
    assert final >= {"70", "73", "74", "77", "78"}
    assert not final & {"1", "69", str(DatabaseAway.exit_code)}  # what may come back is tried again
    told = dict(re.findall(r"^\| (\d+) \| .*? \| (yes|no)", RUNBOOK.read_text(), re.MULTILINE))
    assert {code for code, again in told.items() if again == "no"} == final | {"0"}
    assert set(told) >= {str(each.exit_code) for each in (DatabaseAway, *Fatal.__subclasses__())}
    for name in SERVICES:
        assert directives(name)["Restart"] == ["on-failure"]
        assert {"StartLimitBurst", "StartLimitIntervalSec"} <= set(directives(name))


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_speak_for_themselves_and_run_as_users_made_for_them(name: str) -> None:
    unit = directives(name)
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] == ["main"]
    assert unit["DynamicUser"] == ["yes"]
    assert unit.get("User", ["trader-%i"]) == ["trader-%i"]  # the audit's, too
    assert unit["LimitCORE"] == ["0"]


def test_the_daemon_denies_itself_what_only_the_compiler_needs_and_the_worker_has_no_network_and_no_keys() -> None:
    trading, worker = (directives(name) for name in SERVICES)
    assert trading["MemoryDenyWriteExecute"] == ["yes"]
    assert worker["MemoryDenyWriteExecute"] == ["no"]
    assert worker["PrivateNetwork"] == ["yes"]
    assert "LoadCredential" not in worker
    assert [line.partition(":")[0] for line in trading["LoadCredential"]] == [
        "alpaca_api_key_id",
        "alpaca_api_secret_key",
    ]


def test_the_audit_runs_as_the_daemons_user_with_keys_of_its_own_and_is_started_again_for_ever() -> None:
    trading, audit = directives("trader@.service"), directives(AUDIT)
    for name in ("DynamicUser", "User", "StateDirectory", "StateDirectoryMode"):
        assert audit[name] == trading[name]  # else it could not read the journal, or would take the folder away
    assert [line.partition(":")[0] for line in audit["LoadCredential"]] == [
        *("audit__key_id", "audit__secret_key"), *("alpaca_api_key_id", "alpaca_api_secret_key")
    ]  # fmt: skip
    assert (audit["Restart"], audit["StartLimitIntervalSec"]) == (["always"], ["0"])
    assert AUDIT.replace("@", "@%i") in trading["Wants"][-1].split()


def test_two_services_never_own_one_folder_since_each_start_gives_it_to_its_own_user() -> None:
    trading, worker = (directives(name) for name in SERVICES)
    assert trading["StateDirectory"] == ["trader/%i"]
    assert trading["CacheDirectory"] != worker["CacheDirectory"]


def test_compile_settings_win_over_the_accounts_own_as_they_do_in_a_shell() -> None:
    for name in SERVICES:
        assert directives(name)["EnvironmentFile"] == ["/etc/trader/%i.env", "-/etc/trader/.env.compile"]


def test_the_daemon_can_reach_the_folder_and_the_socket_of_its_forecaster_by_their_group() -> None:
    trading, worker = (directives(name) for name in SERVICES)
    (group,) = worker["Group"]
    assert trading["SupplementaryGroups"] == [group]
    assert f"g {group} " in (SHIPPED / "sysusers.conf").read_text()
    assert worker["RuntimeDirectoryMode"] == ["0750"]
    folder = worker["RuntimeDirectory"][0].replace("%i", "paper")
    assert f"WORKER_SOCKET=/run/{folder}/worker.sock\n" in (SHIPPED / "environment.example").read_text()


@pytest.mark.parametrize("commented", [False, True])
def test_the_environment_example_is_what_the_settings_understand(tmp_path: Path, commented: bool) -> None:
    """As shipped, and with every line that it offers in a comment switched on."""
    text = (SHIPPED / "environment.example").read_text()
    if commented:
        text = re.sub(r"^# ([A-Z_]+=)", r"\1", text, flags=re.MULTILINE)
    environment = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z_]+=", line))
    loaded = load(environ=environment, folder=tmp_path, strategies=names())
    assert loaded.settings.trading.trading_mode == "paper"
    assert loaded.settings.worker.socket == "/run/trader-forecaster/paper/worker.sock"
    assert str(loaded.settings.store.state_dir) == "/var/lib/trader/paper"


def test_the_environment_example_is_plain_assignments() -> None:
    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.read_string("[all]\n" + (SHIPPED / "environment.example").read_text())
    for name, value in parser["all"].items():
        assert re.fullmatch(r"[a-z_]+", name)
        assert re.fullmatch(r"[\w/,.-]+", value), f"{name} reads differently in a shell: {value!r}"
