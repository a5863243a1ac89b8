"""A comparison that was cut off goes on where it was; what it kept helps no arm that deserves none."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from forecasters.compiled.compile_report import CompileReport
from forecasters.compiled.likeness import Tolerance
from settings.load import load
from settings.research import Compare
from settings.schema import Settings
from tests.research.compare import arms
from trader.commands.compare_table import show
from trader.commands.options import whisper
from trader.research.backtest.simulate import Setup, market_options
from trader.research.compare.compare import Comparison, compare
from trader.research.compare.fresh import FRESH_QUESTIONS
from trader.research.compare.rivals import Rival
from trader.research.compare.run import going_on
from trader.research.compare.unfinished import KEPT_DAYS, Toll, Unfinished, unfinished_of
from trader.research.compare.verdict import Outcome

RULE = Compare(least_forecasts=40, least_trades=1)
CYCLES = 24
CUT = 10


def settings_in(state: Path, **more: object) -> Settings:
    flags = {"trading_mode": "sim", "state_dir": str(state), "symbols": "BTC/USD,ETH/USD", "context": 120, **more}
    return load(flags, environ={"HOME": str(state)}, folder=state).settings


def compared(reference: Rival, candidate: Rival, unfinished: Unfinished | None, state: Path) -> Comparison:
    settings = settings_in(state)
    setup = Setup(settings=settings, market=market_options(settings), cycles=CYCLES)
    return compare(setup, reference, candidate, RULE, tolerance=Tolerance(), unfinished=unfinished)


def cut_at(call: int, inner: arms.Tampering = lambda answer, call: answer) -> arms.Tampering:
    """Ctrl-C while this call is answered."""

    def tamper(answer: arms.Answer, now: int) -> arms.Answer:
        if now == call:
            raise KeyboardInterrupt
        return inner(answer, now)

    return tamper


def counted(calls: list[int], inner: arms.Tampering = lambda answer, call: answer) -> arms.Tampering:
    def tamper(answer: arms.Answer, now: int) -> arms.Answer:
        calls.append(now)
        return inner(answer, now)

    return tamper


def begun(folder: Path, state: Path, key: str = "key", tampering: arms.Tampering | None = None) -> Path:
    """A first sitting that was cut off."""
    candidate = arms.compiled(cut_at(CUT, tampering) if tampering else cut_at(CUT))
    with pytest.raises(KeyboardInterrupt):
        compared(arms.eager(), candidate, Unfinished(folder, key), state)
    assert len(Unfinished(folder, key)) == CUT - 1
    return folder / key


def test_it_goes_on_where_it_was_and_finds_the_same(tmp_path: Path) -> None:
    begun(tmp_path / "kept", tmp_path)
    calls: list[int] = []
    unfinished = Unfinished(tmp_path / "kept", "key")
    found = compared(arms.eager(), arms.compiled(counted(calls)), unfinished, tmp_path)
    whole = compared(arms.eager(), arms.compiled(), None, tmp_path)
    assert len(calls) == CYCLES - (CUT - 1) + FRESH_QUESTIONS
    assert found.earlier_cycles == CUT - 1
    assert found.verdict.outcome is whole.verdict.outcome is Outcome.COMPILED, found.verdict.reasons
    assert (found.questions, found.agreement, found.difference) == (CYCLES, 1.0, 0.0)
    for mine, theirs in ((found.reference, whole.reference), (found.candidate, whole.candidate)):
        assert replace(mine, median_s=None, p99_s=None) == replace(theirs, median_s=None, p99_s=None)
    assert f"of the cycles, {CUT - 1} were asked in an earlier sitting" in show(found)
    assert "earlier sitting" not in show(whole)
    unfinished.forget()
    assert len(Unfinished(tmp_path / "kept", "key")) == 0


def test_all_of_it_may_come_from_before(tmp_path: Path) -> None:
    """Cut off after the last cycle, in what follows the asking."""
    compared(arms.eager(), arms.compiled(), Unfinished(tmp_path / "kept", "key"), tmp_path)
    calls: list[int] = []
    again = compared(arms.eager(), arms.compiled(counted(calls)), Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert (len(calls), again.earlier_cycles) == (FRESH_QUESTIONS, CYCLES)
    assert again.verdict.outcome is Outcome.COMPILED


BROKEN: dict[str, arms.Tampering] = {
    "one missing": arms.one_missing,
    "crash": arms.crashing,
    "wrong by 1%": arms.off_by(0.01),
    "the eager fallback": arms.fallen_back,
    "another model": arms.of_another_model,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_went_wrong_before_is_not_forgotten(kind: str, tmp_path: Path) -> None:
    begun(tmp_path / "kept", tmp_path, tampering=BROKEN[kind])
    found = compared(arms.eager(), arms.compiled(), Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert found.earlier_cycles == CUT - 1
    assert found.verdict.outcome is not Outcome.COMPILED


def test_a_recompile_before_is_not_forgotten(tmp_path: Path) -> None:
    candidate = arms.compiled(cut_at(CUT))
    asked = iter(range(1, 100))
    candidate.report = lambda: CompileReport(frames=min(next(asked), 3))
    with pytest.raises(KeyboardInterrupt):
        compared(arms.eager(), candidate, Unfinished(tmp_path / "kept", "key"), tmp_path)
    found = compared(arms.eager(), arms.compiled(), Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert found.candidate.report is not None
    assert found.candidate.report.recompiles > 0
    assert found.verdict.outcome is Outcome.EAGER


# ---- files that must not count ----


def of_another_comparison(folder: Path) -> None:
    """Its files under our key."""
    folder.rename(folder.with_name("other"))
    shutil.copytree(folder.with_name("other"), folder)
    for each in folder.iterdir():
        each.write_bytes(each.read_bytes()[::-1])


def cut_short(folder: Path) -> None:
    for each in folder.iterdir():
        each.write_bytes(each.read_bytes()[:-1])


def emptied(folder: Path) -> None:
    for each in folder.iterdir():
        each.write_bytes(b"")


def one_bit_off(folder: Path) -> None:
    dice = random.Random(1)
    for each in folder.iterdir():
        content = bytearray(each.read_bytes())
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        each.write_bytes(content)


def of_other_questions(folder: Path) -> None:
    files = sorted(folder.iterdir())
    contents = [each.read_bytes() for each in files]
    for each, content in zip(files, contents[1:] + contents[:1], strict=True):
        each.write_bytes(content)


SPOILT: Sequence[Callable[[Path], None]] = (of_another_comparison, cut_short, emptied, one_bit_off, of_other_questions)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_spoilt_files_help_nobody(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    """They hold sound answers of a sound candidate; the one that is asked now is wrong in just those cycles."""
    spoil(begun(tmp_path / "kept", tmp_path))
    wrong_at_first: arms.Tampering = lambda answer, call: arms.off_by(0.01)(answer, call) if call < CUT else answer  # noqa: E731
    calls: list[int] = []
    candidate = arms.compiled(counted(calls, wrong_at_first))
    found = compared(arms.eager(), candidate, Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert (found.earlier_cycles, len(calls)) == (0, CYCLES + FRESH_QUESTIONS)
    assert found.verdict.outcome is not Outcome.COMPILED


def test_files_of_another_key_are_not_even_read(tmp_path: Path) -> None:
    folder = begun(tmp_path / "kept", tmp_path, key="another")
    shutil.copytree(folder, tmp_path / "kept" / "key")
    found = compared(arms.eager(), arms.compiled(), Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert found.earlier_cycles == 0


def test_files_of_other_arms_do_not_count(tmp_path: Path) -> None:
    begun(tmp_path / "kept", tmp_path)
    other = arms.compiled(arms.off_by(0.1), key="key of another compiled one")
    found = compared(arms.eager(), other, Unfinished(tmp_path / "kept", "key"), tmp_path)
    assert found.earlier_cycles == 0
    assert found.verdict.outcome is not Outcome.COMPILED


def test_one_that_nobody_went_on_with_for_a_month_is_removed_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, recent, old, empty = (tmp_path / "kept" / name for name in ("key", "recent", "old", "empty"))
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    for folder in (mine, recent, old, empty):
        folder.mkdir(parents=True)
        if folder is not empty:
            (folder / "00001.cycle").write_bytes(b"x" * 200_000)
    for path in (mine / "00001.cycle", old / "00001.cycle", mine, recent, old, empty):
        os.utime(path, (long_ago, long_ago))
    with going_on(Unfinished(tmp_path / "kept", "key"), CYCLES, whisper):
        pass
    assert sorted(each.name for each in (tmp_path / "kept").iterdir()) == ["key", "recent"]
    said = capsys.readouterr().err
    assert "removed 2 unfinished comparisons (0.2 MB) that nobody went on with for 30 days" in said
    with going_on(Unfinished(tmp_path / "kept", "key"), CYCLES, whisper):
        pass
    assert "removed" not in capsys.readouterr().err


def test_tolls_are_added_up_over_sittings() -> None:
    before = Toll(recompiles=1, graph_breaks=2, cudagraph_skips=3, memory_mb=5.0)
    found = before.on(CompileReport(frames=4, recompiles=1, graph_breaks=1, cudagraph_skips=1))
    assert found == CompileReport(frames=4, recompiles=2, graph_breaks=2, cudagraph_skips=4)
    assert before.on(None) is None
    assert before.worse(Toll(recompiles=0, memory_mb=7.0)) == replace(before, memory_mb=7.0)


# ---- the key ----


def test_everything_that_changes_the_figures_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("a")
    rivals = (arms.eager(), arms.compiled())

    def key(
        settings: Sequence[Settings] = (settings_in(tmp_path),), pair: Sequence[Rival] = rivals, *parts: object
    ) -> str:
        return unfinished_of(settings, pair, parts, [bars]).folder.name

    plain = key()
    assert key() == plain
    found = {
        plain,
        key([settings_in(tmp_path, symbols="BTC/USD")]),
        key([settings_in(tmp_path, strategy="edge")]),
        key([settings_in(tmp_path).model_copy(update={"compare": Compare(speed_up=1.5)})]),
        key([settings_in(tmp_path)] * 2),
        key(pair=(arms.eager(), arms.compiled(key="other"))),
        key(pair=(rivals[1], rivals[0])),
        key((settings_in(tmp_path),), rivals, "other cycles"),
    }
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found.add(key())
    bars.write_text("b")
    found.add(key())
    assert len(found) == 10
