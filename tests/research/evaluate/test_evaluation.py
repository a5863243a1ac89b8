"""Evaluations: figures that can be checked by hand, arms that fail beside arms that work, the answer in three forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from forecasters.types import CHANNELS, CLOSE, Forecast
from settings.load import Loaded
from tests.research.evaluate.support import made_bars
from trader.commands.options import settings_of
from trader.core.market import Bars
from trader.core.types import Symbol
from trader.errors import ConfigurationError
from trader.research.data.windows import Calendar, Window, context_at
from trader.research.evaluate.evaluate import Evaluation, Plan, evaluate, held_out
from trader.research.evaluate.html import page
from trader.research.evaluate.measure import (
    RULER,
    RuledForecast,
    at_ruler_levels,
    figures_of,
    pooled_difference,
    truth_of,
)
from trader.research.evaluate.random_walk import NAME as RANDOM_WALK
from trader.research.evaluate.random_walk import RandomWalk
from trader.research.evaluate.run import Wish, run
from trader.research.evaluate.scores import compare
from trader.research.evaluate.view import as_plain, print_tables
from trader.research.forecasts.store import ForecastStore
from trader.research.report import pictures

WINDOW = Window(context=60, horizon=3)
PLAN = Plan(backends=("baseline",), window=WINDOW, origins=40, batch=16, timing=False)


BOLD = "<b>bold</b>"


def load(name: str) -> Loaded:
    return settings_of({"forecaster": "baseline" if name == BOLD else name})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two symbols, the baseline timed, and three that can't be evaluated."""
    root = tmp_path_factory.mktemp("evaluation")
    plan = Plan(backends=("baseline", "nope", BOLD, "toto", "kronos"), window=WINDOW, origins=40, batch=16)
    flags = {"toto__model_id": str(root / "gone"), "kronos__model_id": str(root / "gone")}
    names = {name: load(name) if name == BOLD else settings_of(_known(flags, name)) for name in plan.backends}
    return evaluate(plan, [made_bars(), made_bars("ETH/USD", seed=2)], names.__getitem__, ForecastStore(root))


def _known(flags: dict[str, str], name: str) -> dict[str, object]:
    model = {f"{name}_model_id": path for key, path in flags.items() if key.startswith(name)}
    return {**model, "forecaster": name}


# ---- figures by hand ----


def flat_read(bars: Bars, horizon: int, spread: float) -> RuledForecast:
    """Median 100 everywhere, quantiles `spread` apart."""
    marks = 100.0 + spread * (np.arange(9) - 4)
    return RuledForecast(quantiles=np.tile(marks[:, None, None], (1, horizon, len(CHANNELS))), path_score=None)


def test_figures_by_hand() -> None:
    times = np.datetime64("2024-01-01", "us") + np.arange(8) * np.timedelta64(3600, "s")
    closes = np.array([100, 101, 100, 101, 100, 102, 97, 100.0])  # the contexts move by 1 a bar
    rows = np.column_stack([closes, closes + 1, closes - 1, closes, np.ones(8), closes])
    bars = Bars(
        symbol=Symbol("BTC/USD"), timeframe=made_bars().timeframe, times=times.astype("datetime64[us]"), values=rows
    )
    window = Window(context=5, horizon=2)
    truth = truth_of(bars, [5, 6], window)
    assert truth.origins == (5, 6)
    assert truth.actual[:, :, CLOSE].tolist() == [[102, 97], [97, 100]]
    figures = figures_of("flat", truth, {origin: flat_read(bars, 2, 1.0) for origin in (5, 6)}, (5, 6))
    assert figures.mae["close"] == pytest.approx((2 + 3 + 3 + 0) / 4)
    assert figures.mae["high"] == pytest.approx((3 + 2 + 2 + 1) / 4)
    # scales: |1|, |1|, |1|, |1| -> 1 and |1|, |1|, |1|, |2| -> 5/4
    assert figures.mase["close"] == pytest.approx(((2 + 3) / 1 + (3 + 0) / 1.25) / 4)
    assert figures.coverage["close"].hits == 4
    assert figures.below.tolist() == [0.0, 0.5, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0, 1.0]
    assert figures.pit.sum() == 4
    assert figures.hits.count == 1, "from 100 to 97 the flat forecast says nothing; from 102 it says down"
    assert figures.hits.hits == 1
    assert figures.by_origin.shape == (2,)


def test_origins_whose_bars_did_not_come_are_left_out_and_counted() -> None:
    bars = made_bars(count=100)
    keep = np.arange(100) != 70
    gap = Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=bars.times[keep], values=bars.values[keep])
    truth = truth_of(gap, [60, 68, 69, 70, 80], WINDOW)
    assert truth.origins == (60, 80)
    assert truth.skipped == 3


def test_a_forecast_is_read_at_the_ruler_between_its_own_levels() -> None:
    context = context_at(made_bars(), 100, WINDOW, Calendar())
    forecast = RandomWalk().forecast([context])["BTC/USD"]
    ruled = at_ruler_levels(forecast, np.ones((3, len(CHANNELS))))
    assert ruled is not None
    assert ruled.quantiles[4] == pytest.approx(forecast.quantiles[9])
    narrow = RandomWalk(levels=(0.2, 0.5, 0.8)).forecast([context])["BTC/USD"]
    assert at_ruler_levels(narrow, np.ones((3, len(CHANNELS)))) is None


def test_the_random_walk_has_no_opinion_but_a_proper_distribution() -> None:
    context = context_at(made_bars(), 100, WINDOW, Calendar())
    forecast: Forecast = RandomWalk().forecast([context])["BTC/USD"]
    for step in range(3):
        assert forecast.quantile(0.5, step, CLOSE) == pytest.approx(context.last_close)
    widths = forecast.quantiles[-1, :, CLOSE] - forecast.quantiles[0, :, CLOSE]
    assert (np.diff(widths) > 0).all()
    assert RandomWalk().forecast([context_at(made_bars(), 60, Window(context=20, horizon=3), Calendar())]) == {}


def test_what_is_held_out_is_the_end_of_each_series() -> None:
    origins = held_out(made_bars(count=400), WINDOW, 20)
    assert min(origins) >= 300
    assert max(origins) == 397
    assert len(origins) == 20


# ---- arms ----


def test_arms_that_cannot_run_are_listed_and_the_others_go_on(found: Evaluation) -> None:
    pytest.importorskip("torch", reason="a checkpoint is looked for only where torch is: make models")
    problems = {arm.name: arm.problem for arm in found.arms}
    assert problems[RANDOM_WALK] == ""
    assert problems["baseline"] == ""
    assert "no backend is called" in problems["nope"]
    assert "gone" in problems["toto"]
    assert "gone" in problems["kronos"]
    assert not found.is_empty
    assert {(each.arm, str(each.symbol)) for each in found.figures} == {
        (arm, symbol) for arm in (RANDOM_WALK, "baseline") for symbol in ("BTC/USD", "ETH/USD")
    }


def test_every_arm_is_scored_at_the_same_origins(found: Evaluation) -> None:
    for symbol in found.truths:
        asof = [each.asof.tolist() for each in found.figures if each.symbol == symbol]
        assert len(asof) == 2
        assert asof[0] == asof[1]


def test_on_a_random_walk_nobody_is_better(found: Evaluation) -> None:
    (pooled,) = [each for each in found.against if each.symbol is None]
    assert (pooled.arm, pooled.other) == ("baseline", RANDOM_WALK)
    assert pooled.difference.count == 40, "two symbols at one moment are one observation"
    assert abs(pooled.difference.mean) < 0.2


def test_moments_of_one_symbol_between_those_of_another_are_within_its_horizon_too(found: Evaluation) -> None:
    """Twice as many moments, and each horizon reaches over twice as many: nothing is known twice as well."""
    ours, theirs = (next(each for each in found.figures if each.arm == arm) for arm in ("baseline", RANDOM_WALK))
    later_ours, later_theirs = (replace(each, asof=each.asof + np.timedelta64(60, "s")) for each in (ours, theirs))
    together = pooled_difference([ours, later_ours], [theirs, later_theirs], overlap=2)
    twice = compare(np.repeat(ours.by_origin, 2), np.repeat(theirs.by_origin, 2), overlap=5)
    assert (together.count, together.statistic) == (80, pytest.approx(twice.statistic))


def test_latency_rate_and_memory_are_the_workers(found: Evaluation) -> None:
    (arm,) = [arm for arm in found.arms if arm.name == "baseline"]
    assert arm.timing is not None
    assert 0 < arm.timing.latency_s <= arm.timing.latency_p99_s
    assert arm.timing.windows_per_s > 0
    assert arm.timing.memory_mb is not None
    assert 20 < arm.timing.memory_mb < 1000
    assert arm.timing.warm_up_s > 0
    assert (arm.computed, arm.stored) == (80, 0)


def test_a_second_evaluation_computes_nothing_and_says_the_same(tmp_path: Path) -> None:
    first = evaluate(PLAN, [made_bars()], load, ForecastStore(tmp_path))
    again = evaluate(PLAN, [made_bars()], load, ForecastStore(tmp_path))
    assert [arm.computed for arm in again.arms] == [0, 0]
    assert as_plain(first)["scores"] == as_plain(again)["scores"]


def test_another_horizon_is_computed_anew(tmp_path: Path) -> None:
    evaluate(PLAN, [made_bars()], load, ForecastStore(tmp_path))
    plan = Plan(backends=("baseline",), window=Window(context=60, horizon=2), origins=40, timing=False)
    assert [arm.computed for arm in evaluate(plan, [made_bars()], load, ForecastStore(tmp_path)).arms] == [0, 40]


def test_too_short_a_series_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="63 bars in a row"):
        evaluate(PLAN, [made_bars(count=62)], load, ForecastStore(tmp_path))


def test_where_nothing_could_be_evaluated_it_is_empty(tmp_path: Path) -> None:
    plan = Plan(backends=("nope",), window=WINDOW, origins=10, timing=False)
    assert evaluate(plan, [made_bars()], load, ForecastStore(tmp_path)).is_empty


# ---- the answer ----


def test_json_has_every_figure(found: Evaluation) -> None:
    plain = json.loads(json.dumps(as_plain(found)))
    score = next(each for each in plain["scores"] if each["arm"] == "baseline" and each["symbol"] == "BTC/USD")
    assert set(score["mae"]) == set(score["mase"]) == set(score["crps"]) == {"close", "high", "low"}
    assert len(score["pit"]) == len(RULER) + 1
    assert sum(score["pit"]) == 40 * WINDOW.horizon
    assert score["crps_of_paths"] < score["crps"]["close"] * 1.2
    low, high = score["direction"]["interval"]
    assert low < score["direction"]["value"] < high
    assert {arm["name"]: arm["problem"] is None for arm in plain["arms"]}["nope"] is False
    assert plain["differences"][0]["interval"][0] <= plain["differences"][0]["mean"]


def test_the_tables_name_every_arm_and_why_one_is_not_there(
    found: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_tables(found)
    shown = capsys.readouterr().out
    for word in ("baseline", RANDOM_WALK, "BTC/USD", "nope was left out", "toto was left out", "MASE"):
        assert word in shown


def test_the_page_stands_alone(found: Evaluation) -> None:
    pytest.importorskip("matplotlib")
    document = page(found)
    assert not re.search(r'(?:src|href)="(?!#)', document), "nothing is fetched"
    assert "<script" not in document
    drawn = re.findall(r"<svg.*?</svg>", document, re.DOTALL)
    assert len(drawn) == 1 + 2 * 2 + 2 * 2 * 2, "differences; calibration of two symbols; two cases of two arms each"
    ids = re.findall(r'\bid="([^"]+)"', document)
    assert len(ids) == len(set(ids))
    for picture in drawn:
        ElementTree.fromstring(picture)
    assert "nope was left out" in document
    assert BOLD not in document, "a name from outside is no markup"


def test_equal_figures_draw_equal_pictures() -> None:
    pytest.importorskip("matplotlib")
    one, other = (pictures.reliability("BTC/USD", RULER, {"baseline": RULER**2}) for _ in range(2))
    assert one == other
    assert pictures.reliability("BTC/USD", RULER, {"baseline": RULER}) != one


def test_a_name_that_no_backend_has_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'baseline'"):
        run(Wish(backends=("basline",)), settings_of, as_json=False)
