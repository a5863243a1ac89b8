"""A model is not judged by bars that it has learned, unless somebody wants to: then every figure says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forecasters.base import ForecastError
from forecasters.card import CARD, UNKNOWN, later, learned_to, write
from tests.research.forecasts.planted import TAUGHT, bars_file, plant
from trader.cli import cli
from trader.errors import ConfigurationError
from trader.research.forecasts.in_sample import trained

UNTIL = "2024-01-11T00:00Z"
EVALUATE = ("evaluate", "--data", "BTC/USD=bars.csv", "--backends", "taught", "--origins", "20", "--no-timing")
BACKTEST = ("backtest", "--data", "BTC/USD=bars.csv", "--backend", "taught", "--no-bounds", "--cycles", "20")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bars to 13 January; the last quarter begins on the 10th."""
    plant(tmp_path / "site", monkeypatch, taught=TAUGHT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTEXT", "60")
    monkeypatch.setenv("HORIZON", "3")
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OPTIONS__TAUGHT__UNTIL", UNTIL)
    bars_file(tmp_path / "bars.csv")
    return tmp_path


COMPARE = ("compare", "taught", "baseline", "--data", "BTC/USD=bars.csv", "--cycles", "60", "--out", "compared.json")


def said(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.mark.parametrize("words", [EVALUATE, BACKTEST, COMPARE], ids=["evaluate", "backtest", "compare"])
def test_bars_that_were_learned_are_refused(words: tuple[str, ...], folder: Path) -> None:
    given = said(*words)
    assert isinstance(given.exception, ConfigurationError)
    why = str(given.exception)
    assert "taught has learned BTC/USD up to 2024-01-11 00:00Z" in why
    assert "--from 2024-01-11T00:00Z" in why
    assert "--in-sample" in why
    assert given.stdout == ""


@pytest.mark.parametrize("words", [EVALUATE, BACKTEST], ids=["evaluate", "backtest"])
def test_from_where_the_refusal_says_they_are_not(words: tuple[str, ...], folder: Path) -> None:
    given = said(*words, "--from", UNTIL)
    assert given.exit_code == 0, given.output
    assert "taught has learned BTC/USD up to 2024-01-11 00:00Z, before all of these" in given.stdout
    assert "in-sample" not in given.stdout.lower()


def test_an_evaluation_of_learned_bars_is_marked_in_every_form(folder: Path) -> None:
    shown = said(*EVALUATE, "--in-sample", "--report", "page.html").stdout
    assert shown.count("taught (in-sample)") >= 3
    assert "IN-SAMPLE: taught has learned BTC/USD up to" in shown
    assert (folder / "page.html").read_text().count("taught (in-sample)") >= 3
    plain = json.loads(said(*EVALUATE, "--in-sample", "--json").stdout)
    (arm,) = [arm for arm in plain["arms"] if arm["name"] == "taught"]
    assert arm["in_sample"] == ["BTC/USD"]
    assert arm["learned_to"] == {"BTC/USD": "2024-01-11T00:00:00+00:00"}
    assert {each["arm"]: each["in_sample"] for each in plain["scores"]} == {"random walk": False, "taught": True}


def test_a_backtest_of_learned_bars_is_marked_in_every_form(folder: Path) -> None:
    shown = said(*BACKTEST, "--in-sample", "--out", "RUN").stdout
    assert "IN-SAMPLE: taught has learned BTC/USD up to" in shown
    assert "pessimistic (IN-SAMPLE)" in shown
    assert json.loads((folder / "RUN" / "result.json").read_text())["in_sample"] == ["BTC/USD"]
    assert said("report", "RUN").exit_code == 0
    assert "IN-SAMPLE" in (folder / "RUN" / "report.html").read_text()


@pytest.mark.parametrize("words", [EVALUATE, BACKTEST], ids=["evaluate", "backtest"])
def test_what_nobody_says_is_unknown_and_that_is_said(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS__TAUGHT__UNTIL", "")
    given = said(*words)
    assert given.exit_code == 0, given.output
    assert "taught: until when its training data goes is unknown" in given.stdout


def test_a_generated_market_was_learned_by_nobody(folder: Path) -> None:
    given = said("backtest", "--generated", *BACKTEST[3:])
    assert given.exit_code == 0, given.output
    assert "taught has learned none of these series" in given.stdout


def test_a_comparison_on_learned_bars_is_marked_in_every_form(folder: Path) -> None:
    shown = said(*COMPARE, "--in-sample").stdout
    assert "(IN-SAMPLE)" in shown.splitlines()[0]
    assert "IN-SAMPLE: taught has learned BTC/USD up to" in shown
    plain = json.loads((folder / "compared.json").read_text())
    assert plain["in_sample"] is True
    assert plain["trained"][1] == "baseline has learned none of these series"


def test_a_comparison_on_bars_that_nobody_has_learned_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS__TAUGHT__UNTIL", "2024-01-02T00:00Z")
    shown = said(*COMPARE).stdout
    assert "IN-SAMPLE" not in shown
    assert "taught has learned BTC/USD up to 2024-01-02 00:00Z, before all of these" in shown


# ---- the values ----

ONE, TWO = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def test_a_symbol_without_a_word_of_its_own_is_one_of_all_others() -> None:
    found = trained("mine", {"*": TWO, "SPY": ONE}, {"BTC/USD": ONE, "SPY": ONE})
    assert found.learned_to == {"BTC/USD": TWO, "SPY": ONE}
    assert found.in_sample == ("BTC/USD",), "the first unseen moment is the end of what was learned"


def test_what_is_known_of_a_symbol_counts_though_the_rest_is_unknown() -> None:
    found = trained("mine", {"BTC/USD": TWO, "*": None}, {"BTC/USD": ONE, "SPY": ONE})
    assert (found.in_sample, found.unknown) == (("BTC/USD",), True)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"A": ONE}, {"A": TWO, "B": ONE}, {"A": TWO, "B": ONE}),
        ({"A": ONE}, {"*": TWO}, {"A": TWO, "*": TWO}),
        ({"A": TWO}, {"*": ONE}, {"A": TWO, "*": ONE}),
        ({"A": ONE}, UNKNOWN, {"A": ONE, "*": None}),
        ({}, {}, {}),
    ],
)
def test_weights_that_went_on_have_learned_what_both_have(
    one: dict[str, datetime | None], other: dict[str, datetime | None], both: dict[str, datetime | None]
) -> None:
    assert later(one, other) == later(other, one) == both


def test_a_card_is_read_as_it_was_written_and_no_card_is_unknown(tmp_path: Path) -> None:
    assert learned_to(tmp_path) == UNKNOWN
    write(tmp_path, {"BTC/USD": ONE, "*": None}, {"from": "random weights"})
    assert learned_to(tmp_path) == {"BTC/USD": ONE, "*": None}


@pytest.mark.parametrize("text", ["{}", "[]", '{"learned_to": {"A": "2024-01-01"}}', '{"learned_to": {"A": 5}}', "{"])
def test_a_card_that_says_nothing_clear_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(ForecastError, match="does not say what was learned"):
        learned_to(tmp_path)
