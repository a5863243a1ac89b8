"""A small driver for the engine: keeps the books from one event to the next and everything that came out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trader.core.fees import FREE, schedule_for
from trader.core.types import (
    AssetClass,
    Execution,
    Instrument,
    OrderClass,
    OrderSide,
    OrderType,
    Quote,
    Symbol,
    TimeInForce,
)
from trader.exchange.engine.accounting import open_books
from trader.exchange.engine.engine import apply
from trader.exchange.engine.events import (
    Books,
    Cancel,
    Event,
    MatchingRules,
    OrderEvent,
    Output,
    Phase,
    Refusal,
    SimOrder,
    Submit,
    Tape,
)

BTC, ETH, SPY, AAPL = (Symbol(name) for name in ("BTC/USD", "ETH/USD", "SPY", "AAPL"))
START = datetime(2026, 1, 5, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPREAD = Decimal(1)  # between bid and ask, around the last trade
BUY, SELL = OrderSide.BUY, OrderSide.SELL
MARKET, LIMIT, STOP, STOP_LIMIT = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT
DAY, GTC, IOC = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC

Number = int | str | Decimal


def instruments() -> Mapping[Symbol, Instrument]:
    coins = {
        symbol: Instrument(
            symbol=symbol,
            tick=Decimal("0.01"),
            lot=Decimal("0.000000001"),
            min_qty=Decimal("0.0001"),
            min_notional=Decimal(10),
            fees=schedule_for(AssetClass.CRYPTO),
        )
        for symbol in (BTC, ETH)
    }
    stocks = {
        symbol: Instrument(
            symbol=symbol,
            tick=Decimal("0.01"),
            lot=Decimal("0.000000001"),
            min_qty=Decimal("0.000000001"),
            min_notional=Decimal(1),
            fees=FREE,
            sub_dollar_tick=Decimal("0.0001"),
            shortable=symbol is SPY,
            fractionable=symbol is SPY,
        )
        for symbol in (SPY, AAPL)
    }
    return coins | stocks


class Scene:
    """Events in, books and outputs kept. Prices are small round numbers; a tape's book is `SPREAD` wide."""

    def __init__(self, cash: Number = 10_000, **rules: Decimal | bool) -> None:
        chosen: dict[str, Decimal | bool] = {"volume_share": Decimal(1), **rules}
        self.books: Books = open_books(Decimal(cash), instruments(), rules=MatchingRules(**chosen))  # type: ignore[arg-type]
        self.at = START
        self.bar = START
        self.outputs: list[Output] = []
        self.last: tuple[Output, ...] = ()
        self.orders: dict[str, SimOrder] = {}  # the newest word on each, terminal ones too
        self._numbers = iter(range(1, 1_000_000))

    def send(self, event: Event) -> tuple[Output, ...]:
        self.books, self.last = apply(self.books, event)
        self.outputs.extend(self.last)
        for output in self.last:
            if isinstance(output, OrderEvent):
                self.orders[output.order.id] = output.order
        return self.last

    def tape(
        self,
        phase: Phase,
        low: Number,
        high: Number | None = None,
        last: Number | None = None,
        *,
        symbol: Symbol = BTC,
        volume: Number = 1000,
        spread: Number = SPREAD,
        quoted: bool = True,
        uncapped: bool = False,
        regular: bool = True,
        fresh_for: timedelta | None = None,
    ) -> tuple[Output, ...]:
        """The next phase of a bar; an OPEN starts the next one. `last` is the low unless told."""
        if phase is Phase.OPEN:
            self.bar += HOUR
        self.at = self.bar + HOUR / 4 * int(phase)
        lowest = Decimal(low)
        ended, half = Decimal(last if last is not None else low), Decimal(spread) / 2
        book = Quote(
            symbol=symbol,
            bid=ended - half,
            ask=ended + half,
            bid_size=Decimal(2),
            ask_size=Decimal(2),
            at=self.at,
            source="test",
        )
        tape = Tape(
            symbol=symbol,
            at=self.at,
            bar_start=self.bar,
            phase=phase,
            low=lowest,
            high=Decimal(high if high is not None else max(lowest, ended)),
            last=ended,
            volume=Decimal(volume),
            quote=book if quoted else None,
            uncapped=uncapped,
            regular=regular,
            fresh_until=None if fresh_for is None else self.at + fresh_for,
        )
        return self.send(tape)

    def open(self, price: Number, *, symbol: Symbol = BTC, volume: Number = 1000) -> tuple[Output, ...]:
        return self.tape(Phase.OPEN, price, symbol=symbol, volume=volume)

    def submit(
        self,
        side: OrderSide,
        type: OrderType,
        qty: Number | None,
        *,
        symbol: Symbol = BTC,
        tif: TimeInForce = GTC,
        notional: Number | None = None,
        limit: Number | None = None,
        stop: Number | None = None,
        order_class: OrderClass = OrderClass.SIMPLE,
        take_profit: Number | None = None,
        stop_loss: Number | None = None,
        stop_loss_limit: Number | None = None,
        client_id: str | None = None,
        extended_hours: bool = False,
        duplicate: bool = False,
        market_open: bool = True,
    ) -> str:
        """The id under which the order was submitted, accepted or not."""
        order_id = f"order-{next(self._numbers)}"
        self.send(
            Submit(
                at=self.at,
                order_id=order_id,
                client_order_id=client_id if client_id is not None else f"client-{order_id}",
                symbol=symbol,
                side=side,
                type=type,
                tif=tif,
                qty=_decimal(qty),
                notional=_decimal(notional),
                limit_price=_decimal(limit),
                stop_price=_decimal(stop),
                order_class=order_class,
                take_profit=_decimal(take_profit),
                stop_loss=_decimal(stop_loss),
                stop_loss_limit=_decimal(stop_loss_limit),
                extended_hours=extended_hours,
                duplicate=duplicate,
                market_open=market_open,
            )
        )
        return order_id

    def cancel(self, order_id: str) -> tuple[Output, ...]:
        return self.send(Cancel(at=self.at, order_id=order_id))

    # ---- what came of it ----

    @property
    def fills(self) -> list[Execution]:
        return [o.execution for o in self.outputs if isinstance(o, OrderEvent) and o.execution is not None]

    @property
    def refusal(self) -> Refusal:
        assert len(self.last) == 1, self.last
        refusal = self.last[0]
        assert isinstance(refusal, Refusal), refusal
        return refusal

    @property
    def words(self) -> list[str]:
        """The events of the last step."""
        return [o.event for o in self.last if isinstance(o, OrderEvent)]

    def qty(self, symbol: Symbol = BTC) -> Decimal:
        holding = self.books.holdings.get(symbol)
        return holding.qty if holding is not None else Decimal(0)


def _decimal(value: Number | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def prices(scene: Scene) -> list[Decimal]:
    return [fill.price for fill in scene.fills]


def holding(qty: int | str, at: int = 100, cash: int = 10_000) -> Scene:
    """Bought at the open of a bar that is over."""
    scene = Scene(cash=cash)
    scene.open(at, symbol=SPY)
    scene.submit(BUY, MARKET, qty, symbol=SPY)
    scene.tape(Phase.CLOSE, at, symbol=SPY)
    scene.outputs.clear()
    return scene
