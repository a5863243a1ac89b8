"""Planted secrets, looked for by any eight characters in a row, in every place that a run leaves something."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from settings import redaction
from settings.load import load
from tests.e2e.running import ask, daemon, environment, exchange, until
from trader.adapters.alpaca.answers import Failure
from trader.adapters.journal import Journal

KEY = "cnrKeyId-7Q2xV9bT4mLw"
SECRET = "cnrSecret-Zk8pR3vY6nHd1sGf5jWq0uEo/LaXt+"  # 41 characters, as long as the venue's
PASSWORD = "cnrPassw0rd-Bn4Mq8Zx"
TOKEN = "cnrToken-9fK2dLs7Vb"
HOOK = "cnrHook-Tz6Wp1Qy3Rm"
CANARIES = {
    "ALPACA_API_KEY_ID": KEY,
    "ALPACA_API_SECRET_KEY": SECRET,
    "ALERT_WEBHOOK_URL": f"http://127.0.0.1:9/services/{HOOK}",
    "OPTIONS__THEIRS__API_TOKEN": TOKEN,
    "OPTIONS__THEIRS__PLACE": PASSWORD,  # nothing in its name says what it is
}


def parts(secret: str) -> set[str]:
    return {secret[at : at + redaction.PART] for at in range(len(secret) - redaction.PART + 1)}


PIECES = [piece for secret in (KEY, SECRET, PASSWORD, TOKEN, HOOK) for piece in parts(secret)]


def found_in(text: str) -> list[str]:
    return [piece for piece in PIECES if piece in text]


@pytest.mark.parametrize("secret", [KEY, SECRET, TOKEN])
def test_every_part_of_eight_characters_is_masked(secret: str) -> None:
    redact = redaction.redactor([secret])
    for start in range(len(secret) - redaction.PART + 1):
        text = f"ends in {secret[start:]}', and begins with {secret[: start + redaction.PART]}..."
        assert not [piece for piece in parts(secret) if piece in redact(text)]


def test_of_an_address_the_token_is_masked_and_plain_words_are_not() -> None:
    redact = redaction.redactor([f"https://hooks.example.com/services/T0/{HOOK}"])
    assert redact("the services of hooks.example.com") == "the services of hooks.example.com"
    assert found_in(redact(f"POST /services/{HOOK[:12]}")) == []


def test_what_is_shorter_than_a_part_is_not_looked_for_in_data() -> None:
    redaction.remember(["id", SECRET])
    assert redaction.clean(f'{{"id": "{SECRET[5:30]}"}}').startswith('{"id": "')


def test_what_the_venue_says_of_the_keys_is_masked_before_it_is_cut() -> None:
    redaction.remember([SECRET])
    told = Failure.of(403, '{"message": "' + "x" * 180 + SECRET + '"}').message
    assert found_in(told) == []


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("OPTIONS__THEIRS__PLACE", PASSWORD, "**********"),
        ("OPTIONS__THEIRS__ROWS", "12000000.5", "12000000.5"),
        ("OPTIONS__THEIRS__DEVICE", "cuda", "cuda"),
        ("OPTIONS__THEIRS__PIN_KEY", "1234", "**********"),
        ("MAXDIFF__STOP_QUANTILE", "0.05", "0.05"),
    ],
)
def test_of_a_parameter_of_others_only_what_cannot_be_a_secret_is_shown(
    name: str, value: str, shown: str, tmp_path: Path
) -> None:
    loaded = load(environ={"HOME": "/h", name: value}, folder=tmp_path)
    assert {row.name: row.value for row in loaded.rows()}[name] == shown


def processes(above: int) -> Iterator[Path]:
    """Of a process and all that it started, in /proc."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if int(place.name) == above:
            yield place
        elif parent == above:
            yield from processes(int(place.name))


def read(place: Path, names: Sequence[str]) -> str:
    return "".join((place / name).read_bytes().decode(errors="replace") for name in names)


@pytest.mark.timeout(300)
def test_a_whole_run_at_the_lowest_level_leaves_no_part_of_one(tmp_path: Path) -> None:
    """websockets shortened the frame with the keys, so that its log held the last twenty characters of the secret."""
    state = tmp_path / "state"
    with exchange(tmp_path, "--symbol", "BTC/USD", "--speed", "600") as venue:
        given = venue | {name: value for name, value in CANARIES.items() if "THEIRS" not in name}
        with daemon(state, "--mode", "paper", LOG_LEVEL="TRACE", SYMBOLS="BTC/USD", STRATEGY="maxdiff", **given) as one:
            until(lambda: ask(state, "status", "--mode", "paper").code == 0, "a journal")
            one.says("Running job")  # the stream has signed in before it
            known = list(processes(one.process.pid))
            assert len(known) >= 2
            for place in known:
                argv, environ = read(place, ["cmdline"]), read(place, ["environ"])
                assert found_in(argv) == []
                assert int(place.name) == one.process.pid or found_in(environ) == []
            one.stop()
        report = ask(state, "report", "--mode", "paper", **given)
    assert report.code == 0, report.err
    left = "".join(path.read_bytes().decode(errors="replace") for path in state.rglob("*") if path.is_file())
    assert "DEBUG" in left
    assert found_in(left + report.out + report.err) == []


def crashing(line: str, environ: Mapping[str, str], cwd: Path) -> str:
    """What stands on the streams of a `trader` that fails in a way that nobody foresaw."""
    program = f"import sys, trader.__main__ as m\nsys.argv = ['trader', 'status']\n{line}\nm.main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=dict(environ), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_an_error_that_nobody_foresaw_is_said_without_secrets(tmp_path: Path) -> None:
    fail = (
        "import trader.commands.show as show\n"
        "def glance(*_): import os; raise RuntimeError('with ' + os.environ['ALPACA_API_SECRET_KEY'][3:])\n"
        "import trader.adapters.glance; show.glance = glance"
    )
    said = crashing(fail, environment(tmp_path, **CANARIES), tmp_path)
    assert "RuntimeError" in said
    assert found_in(said.replace(fail, "")) == []


def test_the_memory_of_a_command_is_closed_to_other_processes_and_leaves_no_core(tmp_path: Path) -> None:
    look = (
        "import ctypes, resource, trader.__main__ as m\nm._command = lambda: print("
        "ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0]) or 0"
    )
    program = f"{look}\nm.main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "0 0\n", done.stderr


def test_alerts_and_reasons_are_kept_without_secrets(tmp_path: Path) -> None:
    redaction.remember([SECRET])
    now = datetime(2024, 3, 1, tzinfo=UTC)
    with Journal.open(f"sqlite:///{tmp_path}/j.db") as journal:
        journal.alert("venue", "warning", f"it said {SECRET}", now)
        journal.begin_cycle("c", "trade", now)
        journal.close_cycle("c", now, "failed", note=f"it said {SECRET[4:]}")
        journal.put_status({"said": SECRET[:20]}, now)
    left = "".join(path.read_bytes().decode(errors="replace") for path in tmp_path.iterdir())
    assert "it said" in left
    assert found_in(left) == []
