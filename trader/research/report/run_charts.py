"""The report's charts: which lines, on which axes, with which words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from trader.adapters.journal.records import Trade
from trader.core.market import CLOSE, Bars, to_datetime64
from trader.core.types import Execution, OrderSide
from trader.research.report import charts
from trader.research.report.charts import Axis, Mark, axis_of
from trader.research.report.html import Raw, coloured, el, legend, money, percent, price
from trader.research.report.run import Fan, Resting, Run
from trader.research.report.tables import return_of

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

MOST_PICTURES = 8
_BEFORE, _AFTER, _WIDEST = 24, 10, 96  # bars around a trade, and in all


def equity(times: Times, wealth: Floats, hold_wealth: Floats | None) -> Raw:
    """Returns since the start, and the drawdown below on the same axis of time."""
    xs, own = charts.seconds(times), wealth / wealth[0] - 1
    hold_returns = None if hold_wealth is None else hold_wealth / hold_wealth[0] - 1
    x_axis = Axis(low=float(xs[0]), high=float(xs[-1]))
    y_axis = axis_of(
        [
            float(own.min()),
            float(own.max()),
            *([] if hold_returns is None else [hold_returns.min(), hold_returns.max()]),
        ],
        include=(0.0,),
    )
    shapes = [charts.level(0.0, y_axis, "zero")]
    if hold_returns is not None:
        shapes.append(charts.line(xs, hold_returns, x_axis, y_axis, "hold"))
    shapes.append(charts.line(xs, own, x_axis, y_axis, "own"))
    label = f"Return of the run: {percent(float(own[-1]))}"
    entries = (
        [("own", "this run")] + ([("hold", "buy and hold")] if hold_returns is not None else []) + [("zero", "flat")]
    )
    upper = charts.plot(
        shapes, label=label, x_ticks=(), y_ticks=charts.placed_values(y_axis, percent=True), height="tall bare"
    )
    return Raw(legend(*entries) + upper + _drawdown(times, xs, wealth, hold_wealth, x_axis))


def _drawdown(times: Times, xs: Floats, wealth: Floats, hold_wealth: Floats | None, x_axis: Axis) -> str:
    fall = wealth / np.maximum.accumulate(wealth) - 1
    hold_fall = None if hold_wealth is None else hold_wealth / np.maximum.accumulate(hold_wealth) - 1
    y_axis = Axis(
        low=min(float(fall.min()), 0.0 if hold_fall is None else float(hold_fall.min()), -0.001) * 1.06, high=0.0
    )
    shapes = [charts.area(xs, np.zeros_like(fall), fall, x_axis, y_axis, "under")]
    if hold_fall is not None:
        shapes.append(charts.line(xs, hold_fall, x_axis, y_axis, "hold thin"))
    shapes.append(charts.line(xs, fall, x_axis, y_axis, "loss thin"))
    return charts.plot(
        shapes,
        label=f"Drawdown, deepest {percent(float(fall.min()))}",
        x_ticks=charts.placed_times(times[0], times[-1], x_axis),
        y_ticks=charts.placed_values(y_axis, percent=True, most=3),
        height="short",
    )


def exposure(times: Times, share: Floats) -> Raw:
    """What was held over equity."""
    xs = charts.seconds(times)
    x_axis = Axis(low=float(xs[0]), high=float(xs[-1]))
    y_axis = axis_of([float(share.min()), float(share.max())], include=(0.0, 0.05))
    shapes = [
        charts.area(xs, np.maximum(share, 0), np.zeros_like(share), x_axis, y_axis, "long"),
        charts.area(xs, np.zeros_like(share), np.minimum(share, 0), x_axis, y_axis, "short"),
        charts.level(0.0, y_axis, "zero"),
    ]
    return Raw(
        charts.plot(
            shapes,
            label=f"Exposure, mean {percent(float(share.mean()))}",
            x_ticks=charts.placed_times(times[0], times[-1], x_axis),
            y_ticks=charts.placed_values(y_axis, percent=True, most=4),
            height="short",
        )
    )


def costs(times: Times, fills: Sequence[Execution], first_equity: float) -> Raw:
    """Fees so far, of the first equity."""
    if not any(fill.fee for fill in fills):
        return el("p", "No fee was charged.", kind="note")
    at = np.array([to_datetime64(fill.at) for fill in fills])
    each = [float(f.fee * f.price if f.fee_currency == f.symbol.base else f.fee) for f in fills]
    so_far = np.insert(np.cumsum(each), 0, 0.0)[np.searchsorted(at, times, side="right")] / first_equity
    xs = charts.seconds(times)
    x_axis = Axis(low=float(xs[0]), high=float(xs[-1]))
    y_axis = Axis(low=0.0, high=float(so_far.max()) * 1.08 or 1.0)
    shapes = [
        charts.area(xs, so_far, np.zeros_like(so_far), x_axis, y_axis, "under"),
        charts.line(xs, so_far, x_axis, y_axis, "loss thin"),
    ]
    picture = charts.plot(
        shapes,
        label=f"Fees in all: {percent(float(so_far[-1]), signed=False)} of the first equity",
        x_ticks=charts.placed_times(times[0], times[-1], x_axis),
        y_ticks=charts.placed_values(y_axis, percent=True, most=3),
        height="short",
    )
    return Raw(legend(("loss", "fees so far, of the first equity")) + picture)


# ---- trades on candles ----


def trades_on_candles(run: Run) -> Raw:
    """The best and the worst trade of each symbol and the last of all, with the forecast that led to each."""
    pictures = []
    for trade in trades_to_draw(run.trades):
        bars = run.history.bars.get(trade.symbol)
        if bars is not None and len(bars):
            pictures.append(_picture(run, trade, bars))
    if not pictures:
        return el("p", "There is no trade to show, or there are no bars of it.", kind="note")
    return el("div", *pictures, kind="pictures")


def trades_to_draw(trades: Sequence[Trade]) -> list[Trade]:
    """In order of time, at most MOST_PICTURES, the largest gains and losses before the smaller."""
    by_place = dict[int, Trade]()
    for symbol in sorted({trade.symbol for trade in trades}):
        own = [(place, trade) for place, trade in enumerate(trades) if trade.symbol == symbol]
        for place, trade in (min(own, key=lambda placed: placed[1].pnl), max(own, key=lambda placed: placed[1].pnl)):
            by_place[place] = trade
    if trades:
        by_place[len(trades) - 1] = trades[-1]
    largest = sorted(by_place, key=lambda place: -abs(by_place[place].pnl))[:MOST_PICTURES]
    return [by_place[place] for place in sorted(largest)]


def _fan_of(fans: Sequence[Fan], trade: Trade) -> Fan | None:
    """The newest forecast before the entry filled."""
    before = [fan for fan in fans if fan.asof <= to_datetime64(trade.opened_at)]
    return before[-1] if before else None


def _picture(run: Run, trade: Trade, bars: Bars) -> Raw:
    fan, interval = _fan_of(run.fans.get(trade.symbol, ()), trade), run.history.interval
    entry_place, exit_place = _place(bars, trade.opened_at), _place(bars, trade.closed_at)
    last = min(exit_place + _AFTER, len(bars) - 1)
    first = max(entry_place - _BEFORE, last - _WIDEST, 0)
    prices = bars.values[first : last + 1, : CLOSE + 1]
    x_axis = Axis(low=0.0, high=float(len(prices)))
    entry, leave = float(trade.entry_price), float(trade.exit_price)
    shape = None if fan is None else _fan_shape(fan, bars, first, last, interval)
    around = [] if shape is None else [float(shape[1].min()), float(shape[1].max())]
    y_axis = axis_of([float(prices.min()), float(prices.max()), entry, leave, *around])
    shapes = [] if shape is None or fan is None else _fan_shapes(fan.levels, shape[0], shape[1], x_axis, y_axis)
    if run.closes_only:
        shapes.append(charts.line(np.arange(1.0, len(prices) + 1.0), prices[:, CLOSE], x_axis, y_axis, "own thin"))
    else:
        shapes.append(charts.candles(prices, x_axis, y_axis))
    shapes += _resting(run.exits.get(trade.symbol, ()), trade, bars, first, x_axis, y_axis)
    start, end = max(entry_place - first, 0) + 0.5, exit_place - first + 0.5
    kind = "gained" if trade.pnl > 0 else "lost"
    ends = f"{x_axis.x(start):.1f} {y_axis.y(entry):.1f}L{x_axis.x(end):.1f} {y_axis.y(leave):.1f}"
    shapes.append(f'<path class="trip {kind}" d="M{ends}"/>')
    times = bars.times[first : last + 1]
    return _captioned(trade, shapes, _marks(trade, start, end, x_axis, y_axis), _bar_ticks(times), y_axis)


def _resting(exits: Sequence[Resting], trade: Trade, bars: Bars, first: int, x_axis: Axis, y_axis: Axis) -> list[str]:
    """Targets and stops while they rested within the trade; those far outside the picture are left out."""
    shapes = []
    for level in exits:
        from_time, to_time = max(level.start, trade.opened_at), min(level.end, trade.closed_at)
        if from_time < to_time and 0 <= y_axis.share(level.price) <= 1:
            start, end = (x_axis.x(max(_moment_place(bars, at) - first, 0.0)) for at in (from_time, to_time))
            kind = "aim" if level.is_target else "guard"
            shapes.append(charts.level(level.price, y_axis, kind, start, end))
    return shapes


def _moment_place(bars: Bars, moment: datetime) -> float:
    """Where in its bar a moment lies, in bars; a pause in the market takes no room."""
    place = _place(bars, moment)
    length = bars.timeframe.duration / timedelta(microseconds=1)
    since = (to_datetime64(moment) - bars.times[place]) / np.timedelta64(1, "us")
    return place + min(max(float(since) / length, 0.0), 1.0)


def _captioned(
    trade: Trade, shapes: list[str], marks: list[Mark], x_ticks: list[tuple[float, str]], y_axis: Axis
) -> Raw:
    side = "long" if trade.entry_order_side is OrderSide.BUY else "short"
    title = f"{trade.symbol} {side}"
    worth = el("span", coloured(f"{money(trade.pnl, signed=True, digits=2)} ({percent(return_of(trade))})", trade.pnl))
    when = f"{trade.opened_at:%Y-%m-%d %H:%M} at {price(trade.entry_price)} to {trade.closed_at:%Y-%m-%d %H:%M} at "
    picture = charts.plot(
        shapes, label=title, x_ticks=x_ticks, y_ticks=charts.placed_values(y_axis, most=5), height="middle", marks=marks
    )
    caption = el("figcaption", el("b", title), worth, el("small", when + price(trade.exit_price)))
    return Raw(f"<figure>{caption}{picture}</figure>")


def _marks(trade: Trade, start: float, end: float, x_axis: Axis, y_axis: Axis) -> list[Mark]:
    """A buy points up from below its price, a sale down from above."""
    buys = trade.entry_order_side is OrderSide.BUY
    marks = []
    for at, value, is_buy, what in (
        (start, float(trade.entry_price), buys, "entry"),
        (end, float(trade.exit_price), not buys, "exit"),
    ):
        kind, sign = ("buy", "▲") if is_buy else ("sell", "▼")
        title = f"{what} at {price(value)}"
        marks.append(Mark(x=x_axis.share(at), y=y_axis.share(value), text=sign, kind=kind, title=title))
    return marks


def _place(bars: Bars, moment: datetime) -> int:
    """Index of the bar that a moment lies in."""
    return max(int(np.searchsorted(bars.times, to_datetime64(moment), side="right")) - 1, 0)


def _bar_ticks(times: Times) -> list[tuple[float, str]]:
    """Labels by bar: a pause in the market takes no room."""
    count = len(times)
    found = []
    for tick in charts.time_ticks(times[0], times[-1], most=5):
        place = int(np.searchsorted(charts.seconds(times), tick.at))
        if place < count:
            found.append(((place + 0.5) / count, tick.label))
    return found


# ---- the fan ----


def _fan_shape(fan: Fan, bars: Bars, first: int, last: int, interval: timedelta) -> tuple[Floats, Floats] | None:
    """(places [1 + h] in bars from the left, closes [Q, 1 + h]), the close that it started from first.

    None where it lies outside the picture.
    """
    step = np.timedelta64(interval // timedelta(microseconds=1), "us")
    origin = int(np.searchsorted(bars.times + step, fan.asof, side="right")) - 1
    places = np.searchsorted(bars.times, fan.times, side="left")
    here = (places <= last) & (places < len(bars))
    if origin < first or not here.any():
        return None
    xs = np.concatenate([[origin + 1.0], places[here] + 1.0]) - first
    origin_closes = np.full((len(fan.levels), 1), bars.values[origin, CLOSE])
    return xs, np.concatenate([origin_closes, fan.closes[:, here]], axis=1)


def _fan_shapes(levels: Floats, xs: Floats, closes: Floats, x_axis: Axis, y_axis: Axis) -> list[str]:
    shapes = []
    for low, high, kind in ((0.05, 0.95, "fan wide"), (0.25, 0.75, "fan narrow")):
        bottom = _at_level(levels, closes, max(low, float(levels[0])))
        top = _at_level(levels, closes, min(high, float(levels[-1])))
        shapes.append(charts.area(xs, top, bottom, x_axis, y_axis, kind))
    shapes.append(charts.line(xs, _at_level(levels, closes, 0.5), x_axis, y_axis, "median"))
    return shapes


def _at_level(levels: Floats, closes: Floats, wanted: float) -> Floats:
    """[H]: linear between the levels; the outermost beyond them."""
    return np.array([np.interp(wanted, levels, closes[:, step]) for step in range(closes.shape[1])])
