"""The report's tiles and tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trader.adapters.journal.records import Trade
from trader.core.types import OrderSide
from trader.research.backtest.figures import Curve, Figures
from trader.research.report.html import DASH, Raw, coloured, el, money, number, percent, price, table

Floats = NDArray[np.float64]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DEEPEST = 0.10  # a month of this much has the full colour


def tiles(figures: Figures) -> Raw:
    """The figures that one asks for first."""
    account, hold = figures.account, figures.buy_and_hold
    gained_share = percent(figures.won / figures.trades, signed=False, digits=0) if figures.trades else DASH
    fees_share = float(figures.fees / figures.first_equity)
    entries = (
        ("Return", coloured(percent(account.total_return), account.total_return), _versus(hold)),
        ("Sharpe ratio", number(account.sharpe), _between(account)),
        ("Deepest fall", percent(account.max_drawdown, signed=False), _fall(hold)),
        ("Round trips", f"{figures.trades:,}", f"{gained_share} of them gained" if figures.trades else "none"),
        ("Fees", money(figures.fees), f"{percent(fees_share, signed=False)} of the first equity"),
        ("Turnover", f"{figures.turnover:,.1f}×", f"{figures.fills:,} fills of {figures.orders:,} orders"),
        ("Mean exposure", percent(figures.exposure), "of equity"),
        ("Equity", money(figures.last_equity), f"from {money(figures.first_equity)}"),
    )
    return el(
        "dl",
        *(el("div", el("dt", name), el("dd", value), el("dd", more, kind="more")) for name, value, more in entries),
        kind="tiles",
    )


def against(figures: Figures, beside: Sequence[tuple[str, Figures]]) -> Raw:
    """The run beside its yardsticks."""
    rows = [_curve_row("This run", figures.account, figures)]
    rows += [_curve_row(name, other.account, other) for name, other in beside]
    if figures.buy_and_hold is not None:
        rows.append(_curve_row("Buy and hold, no costs", figures.buy_and_hold, None))
    rows.append(["Flat", "0%", "0%", DASH, DASH, "0", "0"])
    return table(("", "Return", "Deepest fall", "Sharpe", "95% interval", "Fees", "Turnover"), rows)


def months(times: NDArray[np.datetime64], equity: Floats) -> Raw:
    """Returns by calendar month (UTC), the first and the last as far as they go; each year on its own line."""
    by_month = monthly_returns(times, equity)
    years = sorted({year for year, _ in by_month})
    rows = []
    for year in years:
        own = {month: value for (each, month), value in by_month.items() if each == year}
        whole = float(np.prod([1 + value for value in own.values()]) - 1)
        rows.append([str(year), *(_month_cell(own.get(month)) for month in range(1, 13)), _month_cell(whole)])
    return table(("", *MONTHS, "Year"), rows, kind="months")


def monthly_returns(times: NDArray[np.datetime64], equity: Floats) -> dict[tuple[int, int], float]:
    """By (year, month): from the last equity of the month before to the last of the month."""
    month = (times - np.timedelta64(1, "us")).astype("datetime64[M]")  # a bar that closes at midnight is of the old day
    month[0] = times[0].astype("datetime64[M]")
    last = np.flatnonzero(np.append(month[1:] != month[:-1], True))
    before, returns = float(equity[0]), dict[tuple[int, int], float]()
    for place in last:
        count = int(month[place].astype(np.int64))
        returns[1970 + count // 12, count % 12 + 1] = float(equity[place]) / before - 1
        before = float(equity[place])
    return returns


def costs(figures: Figures) -> Raw:
    """What trading took, beside what it brought before that."""
    rows = []
    for each in figures.symbols:
        gross = None if each.profit is None else each.profit + each.fees
        rate = float(each.fees / each.turnover * 10_000) if each.turnover else None
        rows.append(
            [
                each.symbol, coloured(money(gross, signed=True), gross), money(each.fees),
                coloured(money(each.profit, signed=True), each.profit), money(each.turnover), number(rate, 1),
            ]
        )  # fmt: skip
    return table(("", "Before fees", "Fees", "After fees", "Traded", "Fees, bps of it"), rows)


def symbols(figures: Figures) -> Raw:
    rows = []
    for each in figures.symbols:
        share = None if each.profit is None else float(each.profit / figures.first_equity)
        gained_share = percent(each.won / each.trades, signed=False, digits=0) if each.trades else DASH
        rows.append(
            [
                each.symbol, coloured(money(each.profit, signed=True), each.profit), coloured(percent(share), share),
                percent(each.buy_and_hold), f"{each.trades:,}", gained_share,
                percent(each.in_market, signed=False, digits=0), f"{each.buys:,}", f"{each.sells:,}",
            ]
        )  # fmt: skip
    head = ("", "Profit", "Of equity", "Holding it", "Round trips", "Gained", "Time in market", "Buys", "Sells")
    return table(head, rows)


def trades(trips: Sequence[Trade], most: int) -> Raw:
    """Newest first, at most `most`."""
    if not trips:
        return el("p", "There was none.", kind="note")
    rows = [
        [
            trip.symbol, "long" if trip.entry_order_side is OrderSide.BUY else "short",
            coloured(percent(return_of(trip)), trip.pnl),
            coloured(money(trip.pnl, signed=True, digits=2), trip.pnl),
            _moment(trip.opened_at), _moment(trip.closed_at), price(trip.entry_price), price(trip.exit_price),
            f"{trip.qty.normalize():f}", money(trip.fees, digits=2),
        ]
        for trip in reversed(trips[-most:])
    ]  # fmt: skip
    head = ("", "Side", "Return", "Profit", "In", "Out", "Entry", "Exit", "Quantity", "Fees")
    rest = f"The last {most} of {len(trips):,}." if len(trips) > most else ""
    return Raw((el("p", rest, kind="note") if rest else "") + table(head, rows, kind="trades"))


def return_of(trade: Trade) -> float:
    """After fees, of what the entry cost."""
    cost = trade.qty * trade.entry_price
    return float(trade.pnl / cost) if cost else 0.0


def about(facts: Sequence[tuple[str, str]], notes: Sequence[str]) -> Raw:
    listed = el("dl", *(el("div", el("dt", name), el("dd", text)) for name, text in facts), kind="facts")
    return Raw(listed + "".join(el("p", note, kind="note") for note in notes))


# ---- cells ----


def _versus(hold: Curve | None) -> str:
    return "no bars to compare with" if hold is None else f"holding: {percent(hold.total_return)}"


def _fall(hold: Curve | None) -> str:
    return "from a peak of equity" if hold is None else f"holding: {percent(hold.max_drawdown, signed=False)}"


def _between(curve: Curve) -> str:
    interval = curve.sharpe_interval
    return (
        "too short to judge" if interval is None else f"{number(interval.low, 1)} to {number(interval.high, 1)} at 95%"
    )


def _curve_row(name: str, curve: Curve, figures: Figures | None) -> list[object]:
    interval = curve.sharpe_interval
    between = DASH if interval is None else f"{number(interval.low)} to {number(interval.high)}"
    return [
        name, coloured(percent(curve.total_return), curve.total_return), percent(curve.max_drawdown, signed=False),
        number(curve.sharpe), between, money(figures.fees if figures else Decimal(0)),
        f"{figures.turnover:,.1f}×" if figures else "1.0×",
    ]  # fmt: skip


def _month_cell(value: float | None) -> Raw:
    if value is None:
        return el("td", "", kind="none")
    strength = min(abs(value) / _DEEPEST, 1.0) * 0.55
    kind = "rise" if value > 0 else "fall" if value < 0 else ""
    return el("td", percent(value, digits=1), kind=kind, style=f"--strength:{strength:.2f}")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
