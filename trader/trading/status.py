"""What the daemon shows of itself: written by the jobs, read by the terminal view and by `trader status`.

Only a display: nothing decides by it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from forecasters.types import CLOSE, HIGH, LOW, Forecast
from trader.core.decision import Levels, Plan
from trader.core.types import Execution, Order, Portfolio, Quote, Symbol
from trader.trading.ports import Opaque

EVENTS_KEPT = 200
UNLOGGED_KEPT = 5000
EQUITY_KEPT = 512


@dataclass(slots=True)
class Board:
    """Mutable on purpose; every field is replaced whole, so that a reader in another thread sees no half of one."""

    mode: str
    backend: str
    strategy: str
    timeframe: str
    symbols: tuple[Symbol, ...]
    speed: str = ""
    account_id: str = ""
    phase: str = "starting"
    market_time: datetime | None = None
    next_trade: datetime | None = None
    cycles: int = 0
    last_cycle: str = ""
    last_outcome: str = ""
    first_equity: Decimal | None = None
    portfolio: Portfolio | None = None
    quotes: dict[Symbol, Quote] = field(default_factory=dict)
    forecasts: dict[Symbol, Forecast] = field(default_factory=dict)
    unforecast: dict[Symbol, str] = field(default_factory=dict)  # of the last cycle: why there is no forecast
    mended: dict[Symbol, str] = field(default_factory=dict)  # likewise: how much of what was drawn
    reasons: dict[Symbol, str] = field(default_factory=dict)
    levels: dict[Symbol, Levels] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    last_command: int = 0  # the newest that was executed: `leaving` is from after it
    unadopted: frozenset[Symbol] = frozenset()  # left alone: there before the first start, or by a person's word
    dust: dict[Symbol, Decimal] = field(default_factory=dict)  # held without an exit: less than the venue takes
    by_hand: tuple[str, ...] = ()  # open orders that are not ours
    leaving: dict[Symbol, str] = field(default_factory=dict)  # what flatten or kill has not sold yet, and why not
    equity: deque[float] = field(default_factory=lambda: deque(maxlen=EQUITY_KEPT))
    events: deque[tuple[datetime | None, str, str]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    fills: int = 0
    fees_paid: Decimal = Decimal(0)
    errors: int = 0
    rooms: dict[str, Decimal] = field(default_factory=dict)  # by gate, the share of its limit that is left
    opaque: tuple[Opaque, ...] = ()  # what is at the venue and can't be read
    unlogged: deque[tuple[datetime | None, str, str]] = field(default_factory=lambda: deque(maxlen=UNLOGGED_KEPT))

    def say(self, kind: str, text: str) -> None:
        """One line of news: kind is a word such as fill, denied, alert."""
        self.events.append((self.market_time, kind, text))
        self.unlogged.append((self.market_time, kind, text))

    def saw_portfolio(self, portfolio: Portfolio) -> None:
        self.portfolio = portfolio
        if self.first_equity is None:
            self.first_equity = portfolio.account.equity

    def saw_forecasts(self, forecasts: dict[Symbol, Forecast]) -> None:
        self.forecasts = forecasts

    def saw_plan(self, plan: Plan) -> None:
        reasons = {signal.symbol: signal.reason for signal in plan.signals}
        for verdict in plan.verdicts:
            if verdict.denials:
                reasons[verdict.symbol] = "; ".join(f"{d.rule}: {d.detail}" for d in verdict.denials)
                self.say("denied", f"{verdict.symbol} {reasons[verdict.symbol]}")
        self.reasons = reasons

    def saw_fill(self, execution: Execution) -> None:
        self.fills += 1
        self.say("fill", f"{execution.side} {execution.qty} {execution.symbol} at {execution.price}")

    def resting(self, symbol: Symbol) -> tuple[Order, ...]:
        return self.portfolio.orders_of(symbol) if self.portfolio else ()

    def status(self) -> dict[str, object]:
        """Plain values for the journal's status row."""
        portfolio = self.portfolio
        return {
            "mode": self.mode,
            "backend": self.backend,
            "strategy": self.strategy,
            "timeframe": self.timeframe,
            "symbols": [str(symbol) for symbol in self.symbols],
            "account": self.account_id,
            "phase": self.phase,
            "market_time": _iso(self.market_time),
            "next_trade": _iso(self.next_trade),
            "cycles": self.cycles,
            "last_cycle": self.last_cycle,
            "last_outcome": self.last_outcome,
            "equity": str(portfolio.account.equity) if portfolio else None,
            "cash": str(portfolio.account.cash) if portfolio else None,
            "positions": len(portfolio.positions) if portfolio else None,
            "open_orders": len(portfolio.orders) if portfolio else None,
            "gates": {name: f"{room:.2f}" for name, room in sorted(self.rooms.items())},
            "opaque": [f"{each.kind} {each.symbol or ''}: {each.detail}" for each in self.opaque],
            "fills": self.fills,
            "errors": self.errors,
            "flags": {name: reason for name, reason in self.flags.items() if reason},
            "last_command": self.last_command,
            "unadopted": sorted(map(str, self.unadopted)),
            "by_hand": list(self.by_hand),
            "dust": {str(symbol): str(qty) for symbol, qty in sorted(self.dust.items())},
            "leaving": {str(symbol): why for symbol, why in self.leaving.items()},
            "unforecast": {str(symbol): why for symbol, why in self.unforecast.items()},
            "mended": {str(symbol): told for symbol, told in self.mended.items()},
            "reasons": {str(symbol): reason for symbol, reason in self.reasons.items()},
        }


def median_bar(forecast: Forecast) -> tuple[float, float, float]:
    """Median low, close and high of the first forecast bar."""
    levels: list[float] = forecast.levels.tolist()  # so few that an array would take far longer
    away = [abs(level - 0.5) for level in levels]
    middle = away.index(min(away))
    bar: list[float] = forecast.quantiles[middle, 0].tolist()
    return bar[LOW], bar[CLOSE], bar[HIGH]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
