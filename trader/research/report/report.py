"""One run as one HTML file that needs nothing else: no network, no script, legible on a phone and on paper.

Whatever a run says of itself (symbols, settings, reasons) is escaped: it may come from a venue or from a stranger.
"""

from __future__ import annotations

from importlib.resources import files

from trader.research.backtest.figures import Figures, RunHistory, grid_of, hold_curve
from trader.research.report import run_charts as report_charts
from trader.research.report import tables as report_tables
from trader.research.report.html import el, number, percent, raw, section
from trader.research.report.run import Run

TRADES_SHOWN = 200
_BOUNDS = (
    "Where one bar touches two levels nobody knows which came first. The run takes the worse order, the optimistic "
    "bound the better one: for each bar, not for the run, as other fills lead to other trades and limits."
)
# Says to the browser what is true anyway: this file loads nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(run: Run) -> str:
    """The whole file."""
    history, figures, trades = run.history, run.figures, run.trades
    times, worth = grid_of(history.start, history.end, history.interval), history.worth
    held = hold_curve(history, times)
    body = [
        _head(run, figures),
        report_tables.tiles(figures),
        section(
            "equity",
            "Equity",
            report_charts.equity(times, worth.growth, held),
            note="Return since the start, after fees and spreads. The strip below is the fall from the highest "
            "equity so far.",
        ),
        section(
            "summary",
            "Against holding and doing nothing",
            report_tables.against(figures, run.beside),
            note=_BOUNDS if run.beside else "",
        ),
        section("months", "Month by month", report_tables.months(times, worth.growth)),
        section(
            "exposure",
            "Exposure",
            report_charts.exposure(times, (worth.equity - worth.cash) / worth.equity),
            note="What was held over equity, at each bar's close; below zero is short.",
        ),
        section(
            "costs",
            "Costs",
            report_charts.costs(times, history.fills, worth.equity[0]),
            report_tables.costs(figures),
            note="What the venue charged. Spreads and slipped stops are no fee: they are in the prices, and so in the "
            "profit before fees.",
        ),
        section("symbols", "By symbol", report_tables.symbols(figures)),
        section(
            "candles",
            "Trades on the chart",
            report_charts.trades_on_candles(run),
            note="The best and the worst trade of each symbol, and the last one. The fan is the forecast of the close "
            "at the time of the decision: its median, the middle half, and the 5% to 95% range (or the widest that "
            "the model gave). The dotted lines are the target and the stop while they rested at the venue.",
        ),
        section("trades", "Trades", report_tables.trades(trades, TRADES_SHOWN)),
        section("about", "About this run", report_tables.about(run.facts, run.notes)),
    ]
    return _page(run.title, "".join(body))


def _page(title: str, body: str) -> str:
    style = files("trader.research.report.templates").joinpath("report.css").read_text(encoding="utf-8")
    head = (
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"{el('title', title)}<style>{style}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'


def _head(run: Run, figures: Figures) -> str:
    chips = "".join(el("li", raw(el("b", name)), text) for name, text in run.facts[:6])
    return raw(
        f"<header>{el('h1', run.title)}{el('p', verdict(run.history, figures), kind='verdict')}"
        f"{''.join(el('p', each, kind='note') for each in run.warnings)}"
        f'<ul class="chips">{chips}</ul></header>'
    )


def verdict(history: RunHistory, figures: Figures) -> str:
    """The run in two sentences, good or bad."""
    days = (history.end - history.start).total_seconds() / 86_400
    account, hold = figures.account, figures.buy_and_hold
    did = "made" if account.total_return > 0 else "lost" if account.total_return < 0 else "kept its"
    amount = percent(abs(account.total_return), signed=False) if account.total_return else "money"
    first = f"In {_span(days)} it {did} {amount} after all costs"
    if hold is not None:
        first += f"; holding the same symbols would have brought {percent(hold.total_return)}, doing nothing 0%."
    else:
        first += "; doing nothing would have brought 0%."
    interval = account.sharpe_interval
    if not figures.fills:
        return f"{first} It never traded."
    if account.sharpe is None or interval is None:
        return f"{first} It is too short a run to judge its Sharpe ratio."
    between = f"{number(interval.low, 1)} to {number(interval.high, 1)}"
    ratio = number(account.sharpe, 1)
    if interval.low > 0:
        return f"{first} Its Sharpe ratio of {ratio} is above zero with 95% confidence ({between})."
    if interval.high < 0:
        return f"{first} Its Sharpe ratio of {ratio} is below zero with 95% confidence ({between})."
    return f"{first} Its Sharpe ratio of {ratio} can't be told from zero ({between} with 95% confidence)."


def _span(days: float) -> str:
    if days >= 730:
        return f"{days / 365.25:.1f} years"
    return f"{days / 30.44:.0f} months" if days >= 90 else f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
