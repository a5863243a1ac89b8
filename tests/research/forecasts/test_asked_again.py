"""A backend that remembers what it was shown has no figures: some of its forecasts are asked again, alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from forecasters.compiled.likeness import Tolerance
from forecasters.types import Context, Forecast
from forecasters.worker.sandbox.policy import Sandbox, is_whole
from tests.forecasters.support import context
from tests.research.evaluate.support import Counting
from tests.research.forecasts.planted import KEEPS, REMEMBERS, bars_file, plant
from trader.cli import cli
from trader.errors import ConfigurationError
from trader.research.forecasts.again import LEAST, LEAST_EACH, Again, Depends, Sample, Watched, ask_again, demand


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plant(tmp_path / "site", monkeypatch, remembers=REMEMBERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    bars_file(tmp_path / "bars.csv")
    return tmp_path


def said(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def refusal(given: Result) -> str:
    """What is said to whoever asked, where it ended as bad data does."""
    assert isinstance(given.exception, ConfigurationError)
    assert given.exception.exit_code == 78
    return str(given.exception)


EVALUATE = ("evaluate", "--data", "BTC/USD=bars.csv", "--backends", "remembers", "--context", "60", "--horizon", "3")


def test_an_evaluation_of_a_backend_that_remembers_bars_has_no_figures(folder: Path) -> None:
    given = said(*EVALUATE, "--origins", "60", "--no-timing")
    why = refusal(given)
    assert "remembers's answer depends on what else it was asked: BTC/USD at 2024-" in why
    assert "alone" in why
    assert "among others" in why
    assert given.stdout == ""


def test_its_skill_looks_brilliant_to_whoever_does_not_ask_again(folder: Path) -> None:
    given = said(*EVALUATE, "--origins", "60", "--no-timing", "--ask-again", "0", "--json")
    assert given.exit_code == 0
    plain = json.loads(given.stdout)
    assert next(each["skill"] for each in plain["scores"] if each["arm"] == "remembers") > 0.8
    assert next(each for each in plain["arms"] if each["name"] == "remembers")["asked_again"]["asked"] == 0


def test_so_has_a_second_evaluation_that_finds_them_stored(folder: Path) -> None:
    assert said(*EVALUATE, "--origins", "60", "--no-timing", "--ask-again", "0").exit_code == 0
    assert "12 of 12" in refusal(said(*EVALUATE, "--origins", "60", "--no-timing"))


def test_an_honest_backend_is_said_to_be_the_same(folder: Path) -> None:
    given = said(*EVALUATE[:4], "baseline", *EVALUATE[5:], "--origins", "30", "--no-timing")
    assert given.exit_code == 0
    assert "asked again: 12 of 30 forecasts" in given.stdout
    assert "the same to the last bit" in given.stdout


@pytest.mark.skipif(not is_whole(Sandbox()), reason="this kernel keeps no process in")
def test_what_it_kept_on_the_disk_is_not_found_in_the_fresh_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(folder / "other", monkeypatch, keeps=KEEPS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    given = said(*EVALUATE[:4], "keeps", *EVALUATE[5:], "--origins", "60", "--no-timing")
    assert (folder / "cache" / "trader" / "compiled" / "bars.pickle").is_file(), "it did keep them"
    assert "keeps's answer depends on what else it was asked" in refusal(given)


BACKTEST = ("backtest", "--data", "BTC/USD=bars.csv", "--backend", "remembers", "--no-bounds", "--cycles", "40")


def test_a_backtest_of_it_has_no_figures_and_leaves_no_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "60")
    given = said(*BACKTEST, "--out", "RUN")
    assert "remembers's answer depends on what else it was asked: BTC/USD at 2024-" in refusal(given)
    assert given.stdout == ""
    assert not (folder / "RUN").exists()


def test_a_backtest_says_what_it_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "60")
    given = said(*BACKTEST[:4], "baseline", *BACKTEST[5:])
    assert given.exit_code == 0, given.output
    assert "asked again: 12 of" in given.stdout
    assert "the same to the last bit" in given.stdout


# ---- what is chosen ----


def moments(count: int, symbol: str = "BTC/USD") -> list[Context]:
    whole = context(count=count + 20, horizon=2)
    return [
        Context(
            symbol=symbol,
            times=whole.times[first : first + 20],
            values=whole.values[first : first + 20],
            future_times=whole.times[first + 20 : first + 22],
        )
        for first in range(count - 2)
    ]


def seen(contexts: Sequence[Context], sample: Sample) -> Sample:
    for each, forecast in zip(contexts, map(Counting().forecast, [[c] for c in contexts]), strict=True):
        sample.see(each, forecast[each.symbol])
    return sample


def places(sample: Sample) -> list[tuple[str, int]]:
    return [(a.context.symbol, int(a.context.times[-1].astype(np.int64))) for a in sample.chosen()]


def test_a_few_are_asked_again_however_small_the_share_and_of_each_symbol() -> None:
    few = seen([*moments(80), *moments(10, "ETH/USD")], Sample(0.001))
    assert len(few.chosen()) >= LEAST
    assert sum(symbol == "ETH/USD" for symbol, _ in places(few)) >= LEAST_EACH
    assert not seen(moments(80), Sample(0.0)).chosen()


def test_all_are_where_the_share_is_one() -> None:
    assert len(seen(moments(80), Sample(1.0)).chosen()) == 78


def test_the_choice_follows_from_the_seed_alone_and_not_from_the_order() -> None:
    asked = moments(100)
    assert places(seen(asked, Sample(0.1))) == places(seen(asked[::-1], Sample(0.1)))
    assert places(seen(asked, Sample(0.1))) != places(seen(asked, Sample(0.1, seed=1)))


# ---- how it is asked ----


class Spoilt(Counting):
    """Its answer to some questions is moved."""

    def __init__(self, moved: Sequence[int], by: float = 1e-12, *, alone: bool = True, company: bool = True) -> None:
        super().__init__()
        self._moved, self._by, self._when = moved, by, (company, alone)

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        found = dict(super().forecast(contexts))
        for each in contexts:
            if int(each.times[-1].astype(np.int64)) in self._moved and self._when[len(contexts) == 1]:
                forecast = found[each.symbol]
                moved = {"quantiles": forecast.quantiles * (1 + self._by), "paths": None}
                found[each.symbol] = replace(forecast, **moved)  # type: ignore[arg-type]
        return found


def test_each_is_asked_alone_in_the_order_of_time_and_then_all_in_another_order() -> None:
    inner = Counting()
    again = ask_again(seen(moments(60)[::-1], Sample(0.2)), lambda: inner)
    asked = [int(each.times[-1].astype(np.int64)) for each in inner.asked]
    alone, together = asked[: again.asked], asked[again.asked :]
    assert alone == sorted(alone)
    assert together != alone
    assert sorted(together) == alone
    assert inner.batches == again.asked + -(-again.asked // 32)
    assert inner.closed
    assert again.problem == ""


@pytest.mark.parametrize(("alone", "company"), [(True, True), (True, False), (False, True)])
def test_one_other_answer_is_enough(alone: bool, company: bool) -> None:
    sample = seen(moments(60), Sample(0.2))
    odd = int(sample.chosen()[3].context.times[-1].astype(np.int64))
    again = ask_again(sample, lambda: Spoilt([odd], alone=alone, company=company))
    assert again.differing == 1
    with pytest.raises(Depends, match=r"mine's answer depends on what else it was asked: BTC/USD at .* alone .* among"):
        demand("mine", again)


def test_a_forecast_that_is_only_sometimes_there_is_another_answer() -> None:
    sample = seen(moments(60), Sample(0.2))
    again = ask_again(sample, lambda: Counting(nothing_of="BTC/USD"))
    assert again.differing == again.asked
    assert "alone no forecast" in again.problem


def test_what_a_backend_says_of_its_rounding_is_allowed_and_no_more() -> None:
    sample = seen(moments(60), Sample(0.2))
    odd = [int(each.context.times[-1].astype(np.int64)) for each in sample.chosen()]
    for by, problem in ((1e-7, False), (1e-2, True)):
        again = ask_again(sample, lambda by=by: Spoilt(odd, by), Tolerance())  # type: ignore[misc]
        assert bool(again.problem) is problem
        assert not again.exact


def test_whoever_watches_changes_nothing() -> None:
    asked, sample = moments(30), Sample(1.0)
    watched = Watched(Counting(), sample)
    assert set(watched.forecast(asked[:1])) == {"BTC/USD"}
    assert sample.seen == 1


def test_that_nothing_was_asked_again_is_said() -> None:
    assert "not known" in Again(asked=0, of=5).told
