"""Where an installed backend's code runs before it is the worker: in its own process, and only the chosen one's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forecasters import registry
from forecasters.registry import GROUP, RegistryError
from forecasters.worker import inquiry
from forecasters.worker.client import WorkerSettings
from forecasters.worker.sandbox.policy import Sandbox
from settings.load import load
from tests.packages import install
from trader.daemon.forecaster import check_backend
from trader.errors import ConfigurationError
from trader.research.evaluate.run import Wish, evaluated
from trader.research.forecasts.arms import apart, described

SPY = """
    import json, os, pathlib
    from pydantic import BaseModel

    HERE = pathlib.Path(__file__)

    def note(what):
        with HERE.with_suffix(".seen").open("a") as file:
            file.write(json.dumps([what, os.getpid(), dict(os.environ)]) + "\\n")

    note("imported")
    ALIASES = {"spy-fast": {"trees": 1}, "kronos-spied": {"trees": 1}}

    class Options(BaseModel):
        trees: int = 5

    def requires():
        note("asked")
        print("a word of its own")
        %s
        return ["a licence\\x1b[2J\\nof its own"]

    def build(options):
        raise NotImplementedError
"""
KEYS = {
    "ALPACA_API_KEY_ID": "PKTEST",
    "ALPACA_API_SECRET_KEY": "canary-of-the-test",
    "DATABASE_URL": "sqlite:////tmp/x.db",
}
# The spy writes where it lies, which no sandbox would let it: test_sandbox.py has what one lets be done.
OPEN = Sandbox(on=False)
ENVIRON = {"HOME": "/h", "WORKER_SANDBOX": "off"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def planted(site: Path, name: str = "spy", line: str = "pass") -> None:
    install(site, name, GROUP, {name: name}, **{name: SPY % line})


def seen(site: Path, name: str = "spy") -> list[tuple[str, int, dict[str, str]]]:
    file = site / f"{name}.seen"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def refusal(site: Path, forecaster: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_backend(
            load(environ={**ENVIRON, "FORECASTER": forecaster, "TRADING_MODE": "paper"}, folder=site).settings
        )
    return str(caught.value)


@pytest.mark.parametrize("forecaster", ["spy", "spy-fast"])
def test_what_a_backend_lacks_is_asked_of_another_process_that_has_no_keys(site: Path, forecaster: str) -> None:
    """It placed an order of 90,000 dollars past the limits."""
    planted(site)
    assert "can't run here: a licence [2J of its own" in refusal(site, forecaster)
    assert {what for what, _, _ in seen(site)} == {"imported", "asked"}
    for _, process, environ in seen(site):
        assert process != os.getpid()
        assert not set(KEYS) & set(environ)


@pytest.mark.parametrize("forecaster", ["baseline", "kronos-compiled", "spy", "spy-fast"])
def test_no_other_installed_package_is_imported_anywhere(site: Path, forecaster: str) -> None:
    planted(site)
    planted(site, "other")
    try:
        check_backend(load(environ={**ENVIRON, "FORECASTER": forecaster}, folder=site).settings)
    except ConfigurationError:
        assert "spy" in forecaster or "kronos" in forecaster
    assert seen(site, "other") == []
    assert bool(seen(site)) == forecaster.startswith("spy")


def test_an_alias_that_does_not_begin_with_its_backends_name_is_none(site: Path) -> None:
    planted(site)
    with pytest.raises(RegistryError, match="no backend is called 'kronos-spied'"):
        registry.resolve("kronos-spied")
    assert seen(site) == []


def test_the_menu_is_asked_elsewhere_too(site: Path) -> None:
    planted(site)
    (info,) = [each for each in inquiry.menu(OPEN) if each.name == "spy"]
    assert (info.missing, info.aliases) == (("a licence [2J of its own",), ("spy-fast",))
    assert os.getpid() not in {process for _, process, _ in seen(site)}


def test_what_decides_a_forecast_is_asked_elsewhere_too(site: Path) -> None:
    found = inquiry.describe("baseline", {"samples": 64})
    assert found == registry.describe("baseline", {"samples": 64})
    planted(site)
    with pytest.raises(RegistryError, match="a licence"):
        inquiry.describe("spy", {}, OPEN)
    assert os.getpid() not in {process for _, process, _ in seen(site)}


def test_whom_an_alias_stands_for_is_asked_elsewhere_too(site: Path) -> None:
    """By a comparison of backends, in a process that has the keys."""
    planted(site)
    found = inquiry.resolve("spy-fast", OPEN)
    assert (found.backend, dict(found.fixed)) == ("spy", {"trees": 1})
    with pytest.raises(RegistryError, match="no backend is called 'spy-x'"):
        inquiry.resolve("spy-x", OPEN)
    assert os.getpid() not in {process for _, process, _ in seen(site)}


def test_a_comparison_of_backends_imports_none(site: Path) -> None:
    """Neither to know whether there is one of that name, nor to know what it forecasts with."""
    planted(site)
    settings_of = lambda flags: load(flags, environ=ENVIRON, folder=site)  # noqa: E731
    for name, why in (("spy-x", "no backend is called 'spy-x'"), ("spy-fast", "no 1Hour bars")):
        with pytest.raises(ConfigurationError, match=why):
            evaluated(Wish(backends=(name,)), settings_of)
    with pytest.raises(RegistryError, match="a licence"):
        described("spy-fast", lambda name: settings_of({"forecaster": name}))
    apart(WorkerSettings(backend="spy-fast", sandbox=OPEN))
    assert seen(site)
    assert os.getpid() not in {process for _, process, _ in seen(site)}


@pytest.mark.parametrize(
    ("line", "said", "within_s"),
    [
        ("import time; time.sleep(600)", "did not say within", 2.0),
        ("import os; [os.write(3, b'x' * 65536) for _ in range(100)]", "did not say within", 60.0),
        ("import os; os._exit(3)", "ended without saying", 60.0),
        ("raise SystemExit(3)", "ended without saying", 60.0),
    ],
)
def test_one_that_hangs_floods_or_ends_costs_a_line(
    line: str, said: str, within_s: float, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry, "ANSWER_S", within_s)
    planted(site, line=line)
    assert said in refusal(site, "spy")
