"""Values to test with: one of everything, sound unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from forecasters.types import Forecast
from trader.core.decision import DecisionInputs, ExitPolicy, Levels, RiskLimits, RiskState, Signal, Sizing
from trader.core.exits import ExitWish
from trader.core.fees import schedule_for
from trader.core.ids import client_order_id, cycle_id
from trader.core.market import Bars, to_datetime64
from trader.core.types import (
    Account,
    AssetClass,
    EntrySide,
    Execution,
    Instrument,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    Portfolio,
    Position,
    Purpose,
    Quote,
    Symbol,
    Timeframe,
    TimeInForce,
)

BTC, ETH, SPY = Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY")
NOW = datetime(2025, 3, 12, 15, 0, 5, tzinfo=UTC)
CLOSE = datetime(2025, 3, 12, 20, 0, tzinfo=UTC)
HOUR = Timeframe(1, "Hour")
ACCOUNT = "11111111-2222-3333-4444-555555555555"
LEVELS = np.round(np.arange(1, 20) * 0.05, 2)
D = Decimal


def instrument(symbol: Symbol = BTC, **changes: object) -> Instrument:
    crypto = symbol.asset_class is AssetClass.CRYPTO
    made = Instrument(
        symbol=symbol,
        tick=D("0.01"),
        lot=D("0.000000001"),
        min_qty=D("0.000000001"),
        min_notional=D(10) if crypto else D(1),
        fees=schedule_for(symbol.asset_class),
        sub_dollar_tick=None if crypto else D("0.0001"),
        shortable=not crypto,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def quote(symbol: Symbol = BTC, mid: str | Decimal = "100", width_bps: str = "20", **changes: object) -> Quote:
    half = D(mid) * D(width_bps) / 20_000
    made = Quote(
        symbol=symbol, bid=D(mid) - half, ask=D(mid) + half, bid_size=D(1), ask_size=D(1), at=NOW, source="test"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def account(equity: str | Decimal = "100000", **changes: object) -> Account:
    value = D(equity)
    made = Account(
        id=ACCOUNT,
        status="ACTIVE",
        currency="USD",
        equity=value,
        cash=value,
        buying_power=value,
        trading_blocked=False,
        shorting_enabled=True,
        at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def position(symbol: Symbol = BTC, qty: str = "1", entry: str = "100", available: str | None = None) -> Position:
    free = D(available) if available is not None else abs(D(qty))
    return Position(symbol=symbol, qty=D(qty), qty_available=free, avg_entry_price=D(entry), mark=D(entry))


def order(
    purpose: Purpose | None = Purpose.ENTRY,
    symbol: Symbol = BTC,
    side: OrderSide = OrderSide.BUY,
    qty: str = "1",
    *,
    name: str = "o1",
    **changes: object,
) -> Order:
    """`purpose` None: an order that is not ours."""
    ours = client_order_id(ACCOUNT, cycle_id(NOW, "trade"), symbol, purpose, 0) if purpose else f"by-hand-{name}"
    made = Order(
        id=name,
        client_order_id=ours,
        symbol=symbol,
        side=side,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        qty=D(qty),
        filled_qty=D(0),
        status=OrderStatus.NEW,
        submitted_at=NOW,
        updated_at=NOW,
        limit_price=D(100),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def execution(
    name: str = "e1", symbol: Symbol = BTC, side: OrderSide = OrderSide.BUY, qty: str = "1", price: str = "100",
    **changes: object,
) -> Execution:  # fmt: skip
    made = Execution(id=name, order_id="o1", symbol=symbol, side=side, qty=D(qty), price=D(price), at=NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


def portfolio(positions: Sequence[Position] = (), orders: Sequence[Order] = (), of: Account | None = None) -> Portfolio:
    return Portfolio(account=of or account(), positions={p.symbol: p for p in positions}, orders=tuple(orders), at=NOW)


def forecast(
    symbol: Symbol = BTC, *, last: float = 100.0, low: float = 98.0, high: float = 103.0, spread: float = 1.0,
    steps: int = 1, asof: datetime | None = None, **changes: object,
) -> Forecast:  # fmt: skip
    """Median low and high as given; each quantile `spread` away at the 5% and 95% ends; body around the last close."""
    offset = (LEVELS - 0.5) / 0.45 * spread
    table = np.empty((len(LEVELS), steps, 4))
    table[:, :, 0] = table[:, :, 3] = last
    table[:, :, 1] = (high + offset)[:, None]
    table[:, :, 2] = (low + offset)[:, None]
    start = asof or datetime(2025, 3, 12, 15, tzinfo=UTC)
    times = to_datetime64(start) + np.timedelta64(1, "h") * np.arange(steps)
    fields = {
        "symbol": str(symbol), "asof": start, "times": times, "last_close": last, "levels": LEVELS.copy(),
        "quantiles": table, "paths": None, "backend": "test", "model": "test@1", "dtype": "float64",
        "compile_mode": "eager", "latency_s": 0.0, "max_factor": 3.0,
    } | changes  # fmt: skip
    made = object.__new__(Forecast)  # as a backend's bug would: unjudged, for what the core itself must refuse
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def bars(count: int = 64, symbol: Symbol = BTC, *, last_start: datetime | None = None, seed: int = 0) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    end = to_datetime64(last_start or datetime(2025, 3, 12, 14, tzinfo=UTC))
    times = end - np.timedelta64(1, "h") * np.arange(count - 1, -1, -1)
    volume = np.full(count, 10.0)
    return Bars(
        symbol=symbol,
        timeframe=HOUR,
        times=times,
        values=np.column_stack([opened, high, low, close, volume, volume * close]),
    )


def signal(symbol: Symbol = BTC, side: EntrySide | None = EntrySide.LONG, **changes: object) -> Signal:
    up = side is not EntrySide.SHORT
    made = Signal(
        symbol=symbol,
        entry_side=side,
        entry=D("99.5") if up else D("100.5"),
        target=D(102) if up else D(98),
        stop=D(97) if up else D(103),
        reason="test",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def inputs(symbols: Sequence[Symbol] = (BTC,), **changes: object) -> DecisionInputs:
    made = DecisionInputs(
        cycle_id=cycle_id(NOW.replace(second=0), "trade"),
        now=NOW,
        timeframe=HOUR,
        strategy="maxdiff",
        params={},
        sizing=Sizing(),
        limits=RiskLimits(),
        exits=ExitPolicy(),
        portfolio=portfolio(),
        quotes={s: quote(s) for s in symbols},
        forecasts={s: forecast(s) for s in symbols},
        instruments={s: instrument(s) for s in symbols},
        levels={},
        open_symbols=frozenset(symbols),
        risk=RiskState(day_start_equity=D(100_000), peak_equity=D(100_000), last_stop_at={}),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def levels(symbol: Symbol = BTC, target: str | None = "105", stop: str | None = "95", **changes: object) -> Levels:
    made = Levels(
        symbol=symbol,
        entry_side=EntrySide.LONG,
        target=D(target) if target else None,
        stop=D(stop) if stop else None,
        set_at=NOW,
        expires_at=NOW + timedelta(days=2),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def resting(wish: ExitWish, name: str = "x1", **changes: object) -> Order:
    """The wish as the venue shows it once it rests."""
    legs: tuple[Order, ...] = ()
    if wish.order_class is OrderClass.OCO:
        leg = order(None, wish.symbol, wish.entry_side.closing, str(wish.qty), name=f"{name}-leg")
        legs = (
            replace(leg, type=OrderType.STOP, limit_price=None, stop_price=wish.stop_price, status=OrderStatus.HELD),
        )
    made = Order(
        id=name,
        client_order_id=client_order_id(ACCOUNT, cycle_id(NOW, "manage"), wish.symbol, wish.purpose, 0),
        symbol=wish.symbol,
        side=wish.entry_side.closing,
        type=wish.type,
        tif=wish.tif,
        qty=wish.qty,
        filled_qty=D(0),
        status=OrderStatus.NEW,
        submitted_at=NOW,
        updated_at=NOW,
        limit_price=wish.limit_price,
        stop_price=None if legs else wish.stop_price,
        order_class=wish.order_class,
        legs=legs,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)
