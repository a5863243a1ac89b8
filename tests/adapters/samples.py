"""Values with something in every field, for the journal's tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from forecasters.types import Forecast
from trader.core.decision import (
    DecisionInputs,
    Denial,
    ExitPolicy,
    Levels,
    Plan,
    RiskLimits,
    RiskState,
    Signal,
    Sizing,
    Verdict,
)
from trader.core.fees import schedule_for
from trader.core.types import (
    Account,
    EntrySide,
    Execution,
    Instrument,
    Order,
    OrderIntent,
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

NOW = datetime(2026, 3, 2, 15, 0, 0, 250_000, tzinfo=UTC)
BTC = Symbol("BTC/USD")


def forecast(symbol: Symbol, seed: int = 0, samples: int = 64) -> Forecast:
    """[Q, H, C] and [S, H, C] of one lognormal bar around 100."""
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(0.01 * rng.standard_normal((samples, 2)))
    opens = np.full_like(closes, 100.0)
    highs, lows = np.maximum(opens, closes) * 1.002, np.minimum(opens, closes) * 0.998
    paths = np.stack([opens, highs, lows, closes], axis=-1)
    levels = np.array([0.1, 0.5, 0.9])
    return Forecast(
        symbol=symbol.text,
        asof=NOW.replace(microsecond=0),
        times=np.array(["2026-03-02T15:00", "2026-03-02T16:00"], dtype="datetime64[us]"),
        last_close=100.0,
        levels=levels,
        quantiles=np.quantile(paths, levels, axis=0),
        paths=paths,
        backend="baseline",
        model="baseline@1",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0123,
    )


def account(equity: str = "100000.125", cash: str = "90000.5") -> Account:
    return Account(
        id="a-1",
        status="ACTIVE",
        currency="USD",
        equity=Decimal(equity),
        cash=Decimal(cash),
        buying_power=Decimal(cash),
        trading_blocked=False,
        shorting_enabled=True,
        at=NOW,
    )


def order(number: int = 1, status: OrderStatus = OrderStatus.NEW, filled: str = "0") -> Order:
    return Order(
        id=f"order-{number}",
        client_order_id=f"client-{number}",
        symbol=BTC,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        qty=Decimal("0.5"),
        filled_qty=Decimal(filled),
        status=status,
        submitted_at=NOW + timedelta(seconds=number),
        updated_at=NOW + timedelta(seconds=number),
        limit_price=Decimal("99.50"),
    )


def portfolio(*orders: Order, equity: str = "100000.125", at: datetime = NOW) -> Portfolio:
    held = Position(
        symbol=BTC,
        qty=Decimal("0.99750"),
        qty_available=Decimal("0.9975"),
        avg_entry_price=Decimal("100.25"),
        mark=None,
    )
    return Portfolio(account=account(equity), positions={BTC: held}, orders=orders, at=at)


def intent(name: str = "client-1", symbol: Symbol = BTC, purpose: Purpose = Purpose.ENTRY) -> OrderIntent:
    side = EntrySide.LONG.closing if purpose.reduces else EntrySide.LONG.opening
    return OrderIntent(
        client_order_id=name,
        symbol=symbol,
        purpose=purpose,
        entry_side=EntrySide.LONG,
        order_side=side,
        qty=Decimal("0.500000000"),
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Decimal("99.50"),
        reason="predicted low",
    )


def execution(number: int = 1, side: OrderSide = OrderSide.BUY, price: str = "100", fee: str = "0.0025") -> Execution:
    return Execution(
        id=f"execution-{number}",
        order_id="order-1",
        symbol=BTC,
        side=side,
        qty=Decimal(1),
        price=Decimal(price),
        at=NOW + timedelta(minutes=number),
        fee=Decimal(fee),
        fee_currency="BTC" if side is OrderSide.BUY else "USD",
    )


def levels(symbol: Symbol = BTC) -> Levels:
    return Levels(
        symbol=symbol,
        entry_side=EntrySide.LONG,
        target=Decimal("103.10"),
        stop=None,
        set_at=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def symbols(count: int) -> list[Symbol]:
    return [Symbol(f"{chr(65 + i // 26)}{chr(65 + i % 26)}X/USD") for i in range(count)]


def quote(symbol: Symbol) -> Quote:
    return Quote(
        symbol=symbol,
        bid=Decimal("99.95"),
        ask=Decimal("100.05"),
        bid_size=Decimal("1.25"),
        ask_size=Decimal("0"),
        at=NOW,
        source="alpaca:us",
        synthetic=True,
    )


def inputs(names: list[Symbol] | None = None, cycle_id: str = "c1", samples: int = 64) -> DecisionInputs:
    chosen = names or [BTC]
    instrument = Instrument(
        symbol=BTC,
        tick=Decimal("0.01"),
        lot=Decimal("1E-9"),
        min_qty=Decimal("0.00002"),
        min_notional=Decimal(10),
        fees=schedule_for(BTC.asset_class),
    )
    return DecisionInputs(
        cycle_id=cycle_id,
        now=NOW,
        timeframe=Timeframe.parse("1Hour"),
        strategy="maxdiff",
        params={"low": "0.25", "high": "0.75"},
        sizing=Sizing(),
        limits=RiskLimits(),
        exits=ExitPolicy(),
        portfolio=portfolio(order()),
        quotes={symbol: quote(symbol) for symbol in chosen},
        forecasts={symbol: forecast(symbol, i, samples) for i, symbol in enumerate(chosen)},
        instruments={symbol: replace(instrument, symbol=symbol) for symbol in chosen},
        levels={symbol: levels(symbol) for symbol in chosen},
        open_symbols=frozenset(chosen),
        risk=RiskState(day_start_equity=Decimal("100000"), last_stop_at={BTC: NOW}, paused="by hand"),
    )


def plan(names: list[Symbol] | None = None, prefix: str = "client") -> Plan:
    chosen = names or [BTC]
    return Plan(
        signals=tuple(
            Signal(symbol=symbol, entry_side=EntrySide.LONG, entry=Decimal("99.50"), edge=Decimal("0.01"))
            for symbol in chosen
        ),
        verdicts=tuple(
            Verdict(
                symbol=symbol,
                wanted=Decimal(1),
                allowed=Decimal("0.5"),
                denials=(Denial(symbol=symbol, rule="max_symbol", detail="0.3 > 0.2"),),
                net_edge_bps=Decimal("41.5"),
            )
            for symbol in chosen
        ),
        cancels=("order-9",),
        intents=tuple(intent(f"{prefix}-{i}", symbol) for i, symbol in enumerate(chosen, start=1)),
        levels=tuple(levels(symbol) for symbol in chosen),
    )
