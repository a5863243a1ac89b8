"""An evaluation as one page that needs nothing else: tables, calibration, fan charts of good and bad cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from forecasters.types import CLOSE
from trader.core.market import to_datetime
from trader.research import pictures
from trader.research.evaluate import ArmResult, Evaluation
from trader.research.evaluate_view import NOTE, cost_cells, difference_text, share_text, skill, span_of
from trader.research.measure import RULER, Figures

_PAST = 24  # closes before an origin, in a fan chart
_GOOD = 0.1  # the share of cases that went better than the good one that is shown

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #22262c; background: #fff; margin: 0 auto; max-width: 1200px;
       padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.82rem; }
th, td { padding: 0.2rem 0.5rem; text-align: right; border-bottom: 1px solid #e3e6ea; white-space: nowrap; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); gap: 0.8rem; }
figure { margin: 0; } .pictures svg, .lone svg { width: 100%; height: auto; } .lone { max-width: 620px; }
.better { color: #1f6b38; } .worse { color: #a8321e; } .note { color: #5a616b; font-size: 0.86rem; }
@media print { body { max-width: none; } .pictures { grid-template-columns: 1fr 1fr; } figure { break-inside: avoid; } }
"""


def page(found: Evaluation) -> str:
    """The whole document. Needs matplotlib."""
    parts = [
        f"<h1>Evaluation of {escape(', '.join(found.plan.backends))}</h1>",
        f"<p class=note>{found.plan.window.context} bars in, {found.plan.window.horizon} ahead. {escape(NOTE)}</p>",
        *_spans(found),
        "<h2>Scores</h2>",
        _scores(found),
        "<h2>Against the baseline and the random walk</h2>",
        _differences(found),
        "<h2>Cost</h2>",
        _costs(found),
        *_problems(found),
        "<h2>Calibration of the close</h2>",
        "<p class=note>Reliability: quantiles against what came at or below them. PIT: where the outcomes fell.</p>",
        _pictures(_calibration(found)),
        "<h2>Cases</h2>",
        f"<p class=note>For each backend and symbol the case that only {_GOOD:.0%} went better than, and the worst. "
        "The fan is from 10% to 90%.</p>",
        _pictures(_cases(found)),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = "<title>Evaluation of forecasts</title>"
    body = "\n".join(parts)
    document = f'<html lang="en"><head>{head}{title}<style>{_STYLE}</style></head>\n<body>{body}</body></html>'
    return f"<!doctype html>\n{document}\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    """Cells are escaped. `classes` of the last cell of each row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = []
    for n, row in enumerate(rows):
        kind = f' class="{classes[n]}"' if classes else ""
        lines.append(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[:-1]) + f"<td{kind}>{escape(row[-1])}</td></tr>"
        )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _spans(found: Evaluation) -> Iterator[str]:
    for symbol, truth in found.truths.items():
        yield f"<p>{escape(str(symbol))}, {truth.bars.timeframe} bars: {escape(span_of(truth))}</p>"


def _scores(found: Evaluation) -> str:
    rows = []
    for each in found.figures:
        saved = skill(found, each)
        rows.append(
            [
                str(each.symbol), each.arm, str(each.count), f"{each.mae['close']:.6g}",
                *(f"{each.mase[name]:.3f}" for name in ("close", "high", "low")),
                f"{each.score['close']:.4f}", "-" if each.path_score is None else f"{each.path_score:.4f}",
                *(share_text(each.coverage[name]) for name in ("close", "high", "low")),
                share_text(each.hits), "-" if saved is None else f"{saved:+.1%}",
            ]
        )  # fmt: skip
    columns = (
        "symbol", "backend", "origins", "MAE close", "MASE close", "MASE high", "MASE low", "CRPS close",
        "CRPS of paths", "80% covers, close", "high", "low", "direction", "skill",
    )  # fmt: skip
    return _table(columns, rows)


def _differences(found: Evaluation) -> str:
    if not found.against:
        return "<p>Nothing to compare.</p>"
    rows, classes = [], []
    for each in found.against:
        symbol = "all" if each.symbol is None else str(each.symbol)
        verdict = each.difference.verdict
        rows.append([each.arm, each.other, symbol, difference_text(each.difference), verdict])
        classes.append(verdict if verdict in ("better", "worse") else "")
    names = [f"{each.arm} − {each.other}, {each.symbol or 'all'}" for each in found.against]
    means, lows, highs = (
        np.array([each.difference.mean for each in found.against]),
        np.array([each.difference.interval.low for each in found.against]),
        np.array([each.difference.interval.high for each in found.against]),
    )
    table = _table(("backend", "against", "symbol", "difference, 95% interval", "verdict"), rows, classes)
    return f"{table}<figure class=lone>{pictures.skill_bars('less is better', names, means, lows, highs)}</figure>"


def _costs(found: Evaluation) -> str:
    columns = ("backend", "latency", "99%", "windows/s", "warm-up", "peak memory", "GPU memory", "computed", "stored")
    return _table(columns, [[arm.name, *cost_cells(arm)] for arm in found.arms if arm.about])


def _problems(found: Evaluation) -> Iterator[str]:
    for arm in found.arms:
        if arm.problem:
            yield f"<p class=worse>{escape(arm.name)} was left out: {escape(arm.problem)}</p>"
        for reason, count in arm.absent.items():
            yield f"<p>{escape(arm.name)} had no forecast at {count} origins: {escape(reason)}</p>"


def _pictures(svgs: Sequence[str] | Iterator[str]) -> str:
    return "<div class=pictures>" + "".join(f"<figure>{svg}</figure>" for svg in svgs) + "</div>"


def _calibration(found: Evaluation) -> Iterator[str]:
    for symbol in found.truths:
        here = [each for each in found.figures if each.symbol == symbol]
        if here:
            yield pictures.reliability(f"{symbol}: reliability", RULER, {each.arm: each.below for each in here})
            yield pictures.pit(f"{symbol}: PIT", RULER, {each.arm: each.pit for each in here})


def _cases(found: Evaluation) -> Iterator[str]:
    arms = {arm.name: arm for arm in found.arms}
    for each in found.figures:
        order = np.argsort(each.by_origin)
        places = {"good": order[int(_GOOD * len(order))], "worst": order[-1]}
        for word, place in places.items():
            yield _case(found, arms[each.arm], each, int(place), word)


def _case(found: Evaluation, arm: ArmResult, each: Figures, place: int, word: str) -> str:
    truth = found.truths[each.symbol]
    row = int(np.searchsorted(truth.asof, each.asof[place]))
    origin = truth.origins[row]
    at = to_datetime(truth.asof[row])
    title = f"{arm.name}, {each.symbol}: {word}\n{at:%Y-%m-%d %H:%M}Z, CRPS {each.by_origin[place]:.2f}"
    return pictures.fan(
        pictures.Fan(
            title=title,
            past=truth.bars.values[max(0, origin - _PAST) : origin, CLOSE],
            came=truth.actual[row, :, CLOSE],
            levels=RULER,
            bands=arm.answers[each.symbol][origin].quantiles[:, :, CLOSE],
        )
    )
