"""The account's equity over time, rebuilt from the ledger's executions and the market's bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.types import ZERO, Execution, OrderSide, Symbol, Timeframe
from trader.exchange.api.parse import BadRequest
from trader.exchange.api.wire import Json
from trader.exchange.engine.events import Posted
from trader.exchange.venue import Venue

MOST_POINTS = 10_000
_PERIODS = {"D": timedelta(days=1), "W": timedelta(days=7), "M": timedelta(days=30), "A": timedelta(days=365)}
_TIMEFRAMES = {"1Min": "1Min", "5Min": "5Min", "15Min": "15Min", "1H": "1Hour", "1D": "1Day"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    start: datetime
    end: datetime
    timeframe: str  # in the history's own spelling: 1H, not 1Hour


def history_query(
    now: datetime, *, period: str | None, timeframe: str | None, start: datetime | None, end: datetime | None
) -> HistoryQuery:
    """The defaults that the venue documents. Raises BadRequest."""
    until = min(end or now, now)
    length = _period(period or "1M")
    since = start if start is not None else until - length
    if since > until:
        raise BadRequest("start must be before end")
    if timeframe is None:
        span = until - since
        timeframe = "1Min" if span < timedelta(days=7) else "15Min" if span < timedelta(days=30) else "1D"
    if timeframe not in _TIMEFRAMES:
        raise BadRequest(f"timeframe must be one of {', '.join(_TIMEFRAMES)}")
    return HistoryQuery(start=since, end=until, timeframe=timeframe)


def portfolio_history(venue: Venue, query: HistoryQuery) -> Json:
    """Equity at the end of each window; the profit against the equity at the first."""
    step = Timeframe.parse(_TIMEFRAMES[query.timeframe])
    opened = max(query.start, venue.market.start)
    times = _grid(step.floor(opened), query.end, step.duration)
    executions = [row.execution for row in venue.ledger.executions()]
    deposit, posted = venue.ledger.deposit(), venue.ledger.posted()
    symbols = {e.symbol for e in executions} | {each.symbol for each in posted if each.symbol is not None}
    marks = {symbol: _Marks(venue, symbol, opened, query.end) for symbol in symbols}
    equity = _equities(deposit, executions, posted, marks, times)
    base = equity[0] if equity else deposit
    return {
        "timestamp": [int(t.timestamp()) for t in times],
        "equity": [float(round(e, 4)) for e in equity],
        "profit_loss": [float(round(e - base, 4)) for e in equity],
        "profit_loss_pct": [float(round((e - base) / base, 8)) if base else 0.0 for e in equity],
        "base_value": float(base),
        "base_value_asof": opened.date().isoformat(),
        "timeframe": query.timeframe,
        "cashflow": {},
    }


def _equities(
    deposit: Decimal,
    executions: Sequence[Execution],
    posted: Sequence[Posted],
    marks: dict[Symbol, _Marks],
    times: Sequence[datetime],
) -> list[Decimal]:
    cash, holdings, next_index, equities = deposit, dict.fromkeys(marks, ZERO), 0, []
    waiting = sorted(posted, key=lambda entry: entry.listed_at, reverse=True)
    for moment in times:
        while waiting and waiting[-1].listed_at <= moment:
            entry = waiting.pop()
            cash += entry.cash
            if entry.symbol is not None:
                holdings[entry.symbol] += entry.units
        while next_index < len(executions) and executions[next_index].at <= moment:
            execution = executions[next_index]
            cash, holdings[execution.symbol] = _booked(cash, holdings[execution.symbol], execution)
            next_index += 1
        value = sum((qty * marks[symbol].at(moment) for symbol, qty in holdings.items() if qty), ZERO)
        equities.append(cash + value)
    return equities


def _booked(cash: Decimal, qty: Decimal, execution: Execution) -> tuple[Decimal, Decimal]:
    signed = execution.side.sign * execution.qty
    cash -= signed * execution.price
    in_coin = execution.side is OrderSide.BUY and execution.fee_currency == execution.symbol.base
    if in_coin:
        return cash, qty + signed - execution.fee
    return cash - execution.fee, qty + signed


class _Marks:
    """Closes of one symbol, asked for with times that only grow."""

    def __init__(self, venue: Venue, symbol: Symbol, start: datetime, end: datetime) -> None:
        frame = venue.market.timeframe
        margin = frame.duration * 3
        self._length = frame.duration
        self._bars = venue.market.bars(symbol, frame, start=start - margin, end=end, limit=1_000_000)
        self._next = 0
        self._last = Decimal(str(self._bars[0].open)) if self._bars else ZERO

    def at(self, moment: datetime) -> Decimal:
        while self._next < len(self._bars) and self._bars[self._next].start + self._length <= moment:
            self._last = Decimal(str(self._bars[self._next].close))
            self._next += 1
        return self._last


def _grid(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    count = (end - start) // step + 1
    if count > MOST_POINTS:
        raise BadRequest(f"more than {MOST_POINTS} points: ask for a shorter period or a longer timeframe")
    return [start + step * number for number in range(max(count, 0))]


def _period(text: str) -> timedelta:
    digits, unit = text[:-1], text[-1:]
    if unit not in _PERIODS or not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits[:6]) <= 10_000:
        raise BadRequest("period must be a number and one of D, W, M, A: for example 1M")
    return _PERIODS[unit] * int(digits[:6])
