"""An evaluation as one page that needs nothing else: tables, calibration, fan charts of good and bad cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from forecasters.types import CLOSE
from trader.core.market import to_datetime
from trader.research.evaluate.evaluate import ArmResult, Evaluation
from trader.research.evaluate.measure import RULER, Figures
from trader.research.evaluate.view import NOTE, cost_cells, difference_text, notes_of, share_text, skill, span_of
from trader.research.report import pictures
from trader.research.report.html import el, table

_KEY = (
    f'<span class=key><i style="color:{pictures.PAST}"></i>before<i style="color:{pictures.MEDIAN}"></i>median'
    f'<i style="color:{pictures.CAME}"></i>what came</span>'
)
_PAST = 24  # closes before an origin, in a fan chart
_GOOD = 0.1  # the share of cases that went better than the good one that is shown

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #22262c; background: #fff; margin: 0 auto; max-width: 1200px;
       padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
h3 { font-size: 0.95rem; margin: 1.4rem 0 0.4rem; }
.scroll { overflow-x: auto;
  background: linear-gradient(to right, #fff 30%, #fff0), linear-gradient(to left, #fff 30%, #fff0) right,
    linear-gradient(to right, #0002, #0000), linear-gradient(to left, #0002, #0000) right;
  background-repeat: no-repeat; background-size: 2rem 100%, 2rem 100%, 0.7rem 100%, 0.7rem 100%;
  background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.82rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #e3e6ea; white-space: nowrap; }
th { color: #5a616b; font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .names2 :is(th, td):nth-child(2), .names3 :is(th, td):nth-child(-n+3)
  { text-align: left; }
td:first-child { font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); gap: 0.8rem; }
figure { margin: 0; } .pictures svg, .lone svg { width: 100%; height: auto; }
.lone { max-width: 620px; margin-top: 1rem; }
.better { color: #1f6b38; } .worse { color: #a8321e; } .note { color: #5a616b; font-size: 0.86rem; max-width: 52rem; }
ul.spans { padding: 0; list-style: none; margin: 0.4rem 0; }
.key i { display: inline-block; width: 1.4rem; border-top: 3px solid; vertical-align: middle;
         margin: 0 0.3rem 0 0.8rem; }
@media print { body { max-width: none; } .pictures { grid-template-columns: 1fr 1fr; } figure { break-inside: avoid; }
  .scroll { overflow: visible; background: none; } table { font-size: 0.68rem; } }
"""


def page(evaluation: Evaluation) -> str:
    """The whole document. Needs matplotlib."""
    window = evaluation.plan.window
    parts = [
        f"<h1>Evaluation of {escape(', '.join(evaluation.plan.backends))}</h1>",
        f"<p class=note>{window.context} bars in, {window.horizon} ahead. {escape(NOTE)}</p>",
        *_spans(evaluation),
        *(f"<p class=note>{escape(line)}</p>" for line in notes_of(evaluation)),
        "<h2>Scores</h2>",
        *_scores(evaluation),
        "<h2>Against the baseline and the random walk</h2>",
        _differences(evaluation),
        "<h2>Cost</h2>",
        _costs(evaluation),
        *_problems(evaluation),
        "<h2>Calibration of the close</h2>",
        "<p class=note>Reliability: quantiles against what came at or below them. PIT: where the outcomes fell.</p>",
        _pictures(_calibration(evaluation)),
        "<h2>Cases</h2>",
        f"<p class=note>For each backend and symbol the case that only {_GOOD:.0%} went better than, and the worst. "
        f"The fan is from 10% to 90%. {_KEY}</p>",
        _pictures(_cases(evaluation)),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = "<title>Evaluation of forecasts</title>"
    body = "\n".join(("<main>", *parts, "</main>"))
    document = f'<html lang="en"><head>{head}{title}<style>{_STYLE}</style></head>\n<body>{body}</body></html>'
    return f"<!doctype html>\n{document}\n"


def _spans(evaluation: Evaluation) -> Iterator[str]:
    items = (
        f"<li>{escape(str(symbol))}, {truth.bars.timeframe} bars: {escape(span_of(truth))}</li>"
        for symbol, truth in evaluation.truths.items()
    )
    yield f"<ul class=spans>{''.join(items)}</ul>"


def _scores(evaluation: Evaluation) -> Iterator[str]:
    """Two tables, since one would be wider than a desk."""
    errors, shares = [], []
    for figures in evaluation.figures:
        saved = skill(evaluation, figures)
        names = [str(figures.symbol), evaluation.shown(figures.arm)]
        errors.append(
            [
                *names, "-" if saved is None else f"{saved:+.1%}", f"{figures.score['close']:.4f}",
                "-" if figures.path_score is None else f"{figures.path_score:.4f}", f"{figures.mae['close']:.6g}",
                *(f"{figures.mase[name]:.3f}" for name in ("close", "high", "low")), str(figures.count),
            ]
        )  # fmt: skip
        covers = (share_text(figures.coverage[name]) for name in ("close", "high", "low"))
        shares.append([*names, *covers, share_text(figures.hits)])
    columns = (
        "symbol", "backend", "skill", "CRPS close", "of the paths", "MAE close", "MASE close", "high", "low", "origins",
    )  # fmt: skip
    yield table(columns, errors, kind="names2")
    yield "<h3>How often the bar came within the 80% interval, and on the side that was said [95%]</h3>"
    yield table(("symbol", "backend", "close", "high", "low", "direction"), shares, kind="names2")


def _differences(evaluation: Evaluation) -> str:
    if not evaluation.against:
        return "<p>Nothing to compare.</p>"
    rows = []
    for pair in evaluation.against:
        symbol = "all" if pair.symbol is None else str(pair.symbol)
        verdict = pair.difference.verdict
        judged = el("td", verdict, kind=verdict if verdict in ("better", "worse") else "")
        arms = [evaluation.shown(pair.arm), evaluation.shown(pair.other)]
        rows.append([*arms, symbol, judged, difference_text(pair.difference)])
    names = [f"{evaluation.shown(pair.arm)} − {pair.other}, {pair.symbol or 'all'}" for pair in evaluation.against]
    means, lows, highs = (
        np.array([pair.difference.mean for pair in evaluation.against]),
        np.array([pair.difference.interval.low for pair in evaluation.against]),
        np.array([pair.difference.interval.high for pair in evaluation.against]),
    )
    columns = ("backend", "against", "symbol", "verdict", "difference, 95% interval")
    picture = pictures.skill_bars("less is better", names, means, lows, highs)
    return f"{table(columns, rows, kind='names3')}<figure class=lone>{picture}</figure>"


def _costs(evaluation: Evaluation) -> str:
    columns = ("backend", "latency", "99%", "windows/s", "warm-up", "peak memory", "GPU memory", "computed", "stored")
    return table(columns, [[arm.name + arm.mark, *cost_cells(arm)] for arm in evaluation.arms if arm.about])


def _problems(evaluation: Evaluation) -> Iterator[str]:
    for arm in evaluation.arms:
        if arm.problem:
            yield f"<p class=worse>{escape(arm.name)} was left out: {escape(arm.problem)}</p>"
        for reason, count in arm.absent.items():
            yield f"<p>{escape(arm.name)} had no forecast at {count} origins: {escape(reason)}</p>"


def _pictures(svgs: Sequence[str] | Iterator[str]) -> str:
    return "<div class=pictures>" + "".join(f"<figure>{svg}</figure>" for svg in svgs) + "</div>"


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    for symbol in evaluation.truths:
        here = [figures for figures in evaluation.figures if figures.symbol == symbol]
        if here:
            yield pictures.reliability(
                f"{symbol}: reliability", RULER, {evaluation.shown(figures.arm): figures.below for figures in here}
            )
            yield pictures.pit(
                f"{symbol}: PIT", RULER, {evaluation.shown(figures.arm): figures.pit for figures in here}
            )


def _cases(evaluation: Evaluation) -> Iterator[str]:
    arms = {arm.name: arm for arm in evaluation.arms}
    for figures in evaluation.figures:
        order = np.argsort(figures.by_origin)
        places = {"good": order[int(_GOOD * len(order))], "worst": order[-1]}
        for word, place in places.items():
            yield _case(evaluation, arms[figures.arm], figures, int(place), word)


def _case(evaluation: Evaluation, arm: ArmResult, figures: Figures, place: int, word: str) -> str:
    truth = evaluation.truths[figures.symbol]
    row = int(np.searchsorted(truth.asof, figures.asof[place]))
    origin = truth.origins[row]
    at = to_datetime(truth.asof[row])
    title = f"{arm.name}{arm.mark}, {figures.symbol}: {word}\n{at:%Y-%m-%d %H:%M}Z, CRPS {figures.by_origin[place]:.2f}"
    return pictures.fan(
        pictures.Fan(
            title=title,
            past=truth.bars.values[max(0, origin - _PAST) : origin, CLOSE],
            came=truth.actual[row, :, CLOSE],
            levels=RULER,
            bands=arm.answers[figures.symbol][origin].quantiles[:, :, CLOSE],
        )
    )
