"""Two arms through a whole comparison: a sound pair is compiled, a broken one of any kind never."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forecasters.compiled.compile_report import CompileReport
from forecasters.compiled.likeness import Tolerance
from settings.load import load
from settings.research import Compare
from tests.research.compare import arms
from trader.commands.compare_table import show
from trader.errors import ConfigurationError
from trader.research.backtest.simulate import Setup, market_options
from trader.research.compare.apply_decision import apply_decision
from trader.research.compare.compare import Comparison, compare
from trader.research.compare.rival_workers import RivalSpec
from trader.research.compare.rivals import Rival
from trader.research.compare.teacher import MOST_QUESTIONS
from trader.research.compare.verdict import Outcome

RULE = Compare(least_forecasts=40, least_trades=1)
CYCLES = 24


def compared(reference: Rival, candidate: Rival, state: Path, rule: Compare = RULE) -> Comparison:
    flags = {"trading_mode": "sim", "state_dir": str(state), "symbols": "BTC/USD,ETH/USD", "context": 120}
    settings = load(flags, environ={"HOME": str(state)}, folder=state).settings
    setup = Setup(settings=settings, market=market_options(settings), cycles=CYCLES)
    return compare(setup, reference, candidate, rule, tolerance=Tolerance())


def test_the_same_forecasts_several_times_as_fast_are_compiled(tmp_path: Path) -> None:
    found = compared(arms.eager(), arms.compiled(), tmp_path)
    assert found.verdict.outcome is Outcome.COMPILED, found.verdict.reasons
    assert 3.5 < found.speed.sums.low < 4 < found.speed.sums.high < 4.5
    assert (found.agreement, found.difference) == (1.0, 0.0)
    assert found.reference.total_return == found.candidate.total_return
    assert found.reference.asked == found.candidate.given == 2 * CYCLES
    assert found.reference.trades
    assert found.reference.crps == found.candidate.crps
    assert 0 < found.reference.crps["close"] < 2 * found.reference.mae["close"]
    assert found.teacher_forced.outputs["s1 logits"].worst == 0.0
    assert found.teacher_forced.contexts == 2 * MOST_QUESTIONS
    assert found.sharpe_change is None or (found.sharpe_change.low, found.sharpe_change.high) == (0.0, 0.0)


BROKEN: dict[str, tuple[Callable[[], Rival], str]] = {
    "crash": (lambda: arms.compiled(arms.crashing), "signal 11"),
    "identical arms": (lambda: arms.compiled(key="key of eager"), "one and the same"),
    "nothing compiled": (lambda: arms.compiled(frames=0), "compiled nothing"),
    "NaN": (lambda: arms.compiled(arms.not_a_number), "NaN"),
    "stale cache": (lambda: arms.compiled(arms.stale()), "other bars"),
    "the question before": (lambda: arms.compiled(arms.late()), "other bars"),
    "wrong by 1%": (lambda: arms.compiled(arms.off_by(0.01)), "forecasts differ"),
    "wrong by 10%": (lambda: arms.compiled(arms.off_by(0.10)), "forecasts differ"),
    "wrong by 1% now and then": (lambda: arms.compiled(arms.off_by(0.01, every=12)), "forecasts differ"),
    "one forecast missing": (lambda: arms.compiled(arms.one_missing), "47 of 48|46 of 48"),
    "the eager fallback": (lambda: arms.compiled(arms.fallen_back), "eager fallback"),
    "another model": (lambda: arms.compiled(arms.of_another_model), "different models"),
    "logits off by 1%": (lambda: arms.compiled(shows=arms.logits(0.01)), "the networks differ in s1 logits by 0.01"),
    "logits off by 10%": (lambda: arms.compiled(shows=arms.logits(0.10)), "the networks differ in s1 logits by 0.1"),
    "logits that are NaN": (lambda: arms.compiled(shows=arms.nan_logits), "no raw outputs.*not finite"),
    "logits that can't be had": (lambda: arms.compiled(shows=arms.failing), "no raw outputs.*again and again"),
    "no logits where eager has some": (lambda: arms.compiled(shows=arms.no_logits), "no raw outputs of 24 contexts"),
    "fewer logits": (lambda: arms.compiled(shows=arms.few), "no raw outputs of 1 contexts"),
    "logits of another kind": (lambda: arms.compiled(shows=arms.logits(kind="numbers")), "different networks"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_compiled_arm_is_never_compiled(kind: str, tmp_path: Path) -> None:
    make, why = BROKEN[kind]
    found = compared(arms.eager(), make(), tmp_path)
    assert found.verdict.outcome is not Outcome.COMPILED
    assert re.search(why, "\n".join(found.verdict.reasons)), found.verdict.reasons


def test_a_model_that_shows_no_logits_is_judged_by_its_forecasts_and_says_so(tmp_path: Path) -> None:
    found = compared(arms.eager(shows=arms.no_logits), arms.compiled(shows=arms.no_logits), tmp_path)
    assert found.verdict.outcome is Outcome.COMPILED
    assert "no logits" in found.verdict.warnings[0]
    assert "no logits" in show(found)


def test_the_table_says_what_was_decided_and_by_which_line(tmp_path: Path) -> None:
    text = show(compared(arms.eager(), arms.compiled(shows=arms.logits(0.01)), tmp_path))
    assert text.startswith("EAGER")
    assert re.search(r"the same raw outputs +1\.\de-02 \(s1 logits\) .* no$", text, re.MULTILINE)
    assert re.search(r"s1 logits +\d+ steps, largest difference 1\.\de-01, ", text)
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_table_says_what_follows_and_when_the_warm_up_is_paid_back(sound: Comparison) -> None:
    slow = replace(sound.candidate, median_s=0.25, warm_up_s=62.0, report=CompileReport(frames=1, cache_misses=1))
    quick = replace(sound.reference, median_s=0.5, warm_up_s=2.0)
    text = show(replace(sound, reference=quick, candidate=slow))
    assert text.splitlines()[0] == "COMPILED"
    assert "so it is worth compiling" in text
    assert "250.0 ms saved in a cycle pay for the longer warm-up without a cache after 240 cycles, 10 days" in text
    assert "pay for" not in show(replace(sound, reference=slow, candidate=quick))
    unclear = replace(sound, verdict=replace(sound.verdict, outcome=Outcome.INCONCLUSIVE))
    assert "nothing is decided" in show(unclear)


def test_a_broken_eager_arm_decides_nothing(tmp_path: Path) -> None:
    broken = arms.compiled(arms.crashing, key="key of eager", frames=0)
    found = compared(replace(broken, name="eager"), arms.compiled(), tmp_path)
    assert found.verdict.outcome is Outcome.INCONCLUSIVE


def test_a_graph_made_while_asked_is_a_recompile(tmp_path: Path) -> None:
    candidate = arms.compiled()
    asked = iter(range(1, 100))
    candidate.report = lambda: CompileReport(frames=next(asked))
    found = compared(arms.eager(), candidate, tmp_path)
    assert found.verdict.outcome is Outcome.EAGER
    assert found.candidate.report is not None
    assert found.candidate.report.recompiles == 1


# ---- the decision is written down ----


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(arms.eager(), arms.compiled(), tmp_path_factory.mktemp("sound"))


def test_a_decision_changes_its_own_switch_and_nothing_else(sound: Comparison, tmp_path: Path) -> None:
    file = tmp_path / ".env.compile"
    file.write_text("# why\nKRONOS_COMPILE=0\n#KRONOS_COMPILE_MODE=default\nTOTO_COMPILE=0\n")
    evidence = tmp_path / "evidence.json"
    assert "KRONOS_COMPILE=1" in apply_decision(sound, "kronos", evidence, tmp_path)
    lines = file.read_text().splitlines()
    assert lines[0] == "# why"
    assert lines[2:] == ["KRONOS_COMPILE=1", "#KRONOS_COMPILE_MODE=default", "TOTO_COMPILE=0"]
    assert f"{sound.at:%Y-%m-%d}" in lines[1]
    assert str(evidence) in lines[1]
    slower = replace(sound, verdict=replace(sound.verdict, outcome=Outcome.EAGER, reasons=("no faster",)))
    apply_decision(slower, "kronos", evidence, tmp_path)
    again = file.read_text().splitlines()
    assert len(again) == len(lines)
    assert again[2] == "KRONOS_COMPILE=0"
    assert load({}, environ={"HOME": str(tmp_path)}, folder=tmp_path).settings.kronos.compile is False


def test_nothing_is_written_where_nothing_was_decided(sound: Comparison, tmp_path: Path) -> None:
    (tmp_path / ".env.compile").write_text("KRONOS_COMPILE=0\n")
    unclear = replace(sound, verdict=replace(sound.verdict, outcome=Outcome.INCONCLUSIVE))
    for comparison, family in ((unclear, "kronos"), (sound, "baseline")):
        with pytest.raises(ConfigurationError):
            apply_decision(comparison, family, tmp_path / "evidence.json", tmp_path)
    assert (tmp_path / ".env.compile").read_text() == "KRONOS_COMPILE=0\n"


def test_an_arm_with_a_misspelt_setting_is_told_which_was_meant() -> None:
    assert RivalSpec.parse("kronos,kronos_sample_count=10").flags()["kronos_sample_count"] == "10"
    assert RivalSpec.parse("mine,OPTIONS__MINE__DEPTH=3").changes == {"OPTIONS__MINE__DEPTH": "3"}
    with pytest.raises(ConfigurationError, match=r"KRONOS_SAMPEL_COUNT is not a setting \(KRONOS_SAMPLE_COUNT\?\)"):
        RivalSpec.parse("kronos,KRONOS_SAMPEL_COUNT=10")
