"""What an exit looks like at the venue: break-even floors, fallback levels, and the order for each kind of exit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from trader.core.decision import ExitPolicy, Levels
from trader.core.quotes import price_problem
from trader.core.types import (
    AssetClass,
    EntrySide,
    Instrument,
    OrderClass,
    OrderIntent,
    OrderType,
    Position,
    Purpose,
    Quote,
    Symbol,
    TimeInForce,
)
from trader.core.values import maker, quick

BPS = Decimal(10_000)
VALUED_UP_TO = Decimal("1.1")  # of the price: the venue values a sale 3% above the ask, and that moves
MIN_PROFIT = Decimal("1.0003")  # a profit exit closer than this to the entry is an error, whatever the fees


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ExitWish:
    """An exit without its id: the shell gives it one. An OCO has `limit_price` as target and `stop_price` as stop."""

    symbol: Symbol
    purpose: Purpose
    entry_side: EntrySide
    qty: Decimal
    type: OrderType
    tif: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    reason: str = ""

    def under(self, client_order_id: str) -> OrderIntent:
        """The order that carries it out."""
        return OrderIntent(
            client_order_id=client_order_id,
            symbol=self.symbol,
            purpose=self.purpose,
            entry_side=self.entry_side,
            order_side=self.entry_side.closing,
            qty=self.qty,
            type=self.type,
            tif=self.tif,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            order_class=self.order_class,
            reason=self.reason,
        )

    def is_of(self, intent: OrderIntent) -> bool:
        """Whether that would be the same order."""
        return _TERMS(self) == _TERMS(intent)


_TERMS = attrgetter(
    "symbol", "purpose", "entry_side", "qty", "type", "tif", "limit_price", "stop_price", "order_class"
)  # all but the reason


_new_exit_wish = maker(ExitWish)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A position with what is needed to leave it.

    side        of the position
    qty         what our exit may own: no other's order holds it; on the lot
    quote       a possible one, or None
    exit_price  what could be had now: the quote's side, or the mark where there is no quote; or None
    is_open     whether the market trades now
    """

    position: Position
    side: EntrySide
    qty: Decimal
    instrument: Instrument
    policy: ExitPolicy
    quote: Quote | None
    exit_price: Decimal | None
    is_open: bool

    @property
    def is_crypto(self) -> bool:
        return self.instrument.symbol.asset_class is AssetClass.CRYPTO

    def piece(self, price: Decimal | None, qty: Decimal) -> Decimal:
        """Of `qty`, what goes in one order by the venue's limit for one, so that what is left can be sold as well. By
        the highest price known: the venue may value an order by the market's and not by its own."""
        prices = (price, self.exit_price, self.position.mark, self.position.avg_entry_price)
        highest, limit = max([p for p in prices if p is not None], default=Decimal(0)), self.instrument.max_notional
        if limit is None or 2 * qty * highest <= limit:
            return qty  # far from it, which is the usual case
        cap = self.instrument.most_units(VALUED_UP_TO * highest)
        if cap is None or not 0 < cap < qty:
            return qty
        return cap if qty - cap >= self.instrument.min_qty else cap - self.instrument.min_qty

    @property
    def is_fraction(self) -> bool:
        """Of a share: the venue takes day orders only."""
        return not self.is_crypto and self.qty != self.qty.to_integral_value()

    def beyond(self, price: Decimal, level: Decimal) -> bool:
        """Whether `price` is at `level` or on its losing side."""
        return price * self.side.sign <= level * self.side.sign


def usable(quote: Quote | None) -> Quote | None:
    """Exits need a possible quote, not a perfect one: a wide one is still the market."""
    return None if quote is None or price_problem(quote) is not None else quote


# ---- levels ----


def break_even(entry: Decimal, side: EntrySide, instrument: Instrument) -> Decimal:
    """The first price on the tick at which a profit exit is one, after the fees of both fills.

    The entry is charged as maker and the exit as taker: a watched target may have to be taken.
    """
    fees = instrument.fees
    kept = (1 - fees.maker_bps / BPS) * (1 - fees.taker_bps / BPS)
    if side is EntrySide.LONG:
        return instrument.price_up(max(entry / kept, entry * MIN_PROFIT))
    return instrument.price_down(min(entry * kept, entry / MIN_PROFIT))


def floored_target(held: Held, target: Decimal) -> Decimal:
    """The target, or break-even where that is further: on the tick."""
    floor = break_even(held.position.avg_entry_price, held.side, held.instrument)
    if held.side is EntrySide.LONG:
        return max(held.instrument.price_up(target), floor)
    return min(held.instrument.price_down(target), floor)


def fallback_levels(
    position: Position, quote: Quote | None, policy: ExitPolicy, instrument: Instrument, now: datetime
) -> Levels:
    """A stop for a position whose levels are not known, below the lower of its entry and the market.

    Below the market: a position that was adopted under water is not to be sold for having been adopted. What came
    without a trade may have no entry price: then the market alone says.
    """
    side, possible = position.entry_side, usable(quote)
    reference = position.avg_entry_price
    if possible is not None:
        market = possible.bid if side is EntrySide.LONG else possible.ask
        known = reference or market
        reference = min(known, market) if side is EntrySide.LONG else max(known, market)
    elif not reference:
        reference = position.mark or reference
    stop = reference * (1 - side.sign * policy.fallback_stop_bps / BPS)
    return Levels(
        symbol=position.symbol,
        entry_side=side,
        target=None,
        stop=away(stop, side, instrument),
        set_at=now,
        expires_at=None,
    )


def away(price: Decimal, side: EntrySide, instrument: Instrument) -> Decimal:
    """On the tick, rounded to the losing side of `side`; never to zero."""
    if side is EntrySide.SHORT:
        return instrument.price_up(price)
    down = instrument.price_down(price)
    return down if down > 0 else instrument.tick_at(price)


# ---- orders ----


def target_order(held: Held, target: Decimal) -> ExitWish:
    """A limit at the target, for all that can be sold; a stock's lasts for the day."""
    tif = TimeInForce.GTC if held.is_crypto else TimeInForce.DAY
    return _wish(held, Purpose.TARGET, OrderType.LIMIT, tif, limit=target, reason=f"target {target}")


def stop_order(held: Held, stop: Decimal) -> ExitWish:
    """Crypto has stop-limits only: the limit lies a collar beyond the stop."""
    if held.is_crypto:
        limit = away(stop * (1 - held.side.sign * held.policy.chase_collar_bps / BPS), held.side, held.instrument)
        kind, tif = OrderType.STOP_LIMIT, TimeInForce.GTC
        return _wish(held, Purpose.STOP, kind, tif, limit=limit, stop=stop, reason=f"stop {stop}")
    return _wish(held, Purpose.STOP, OrderType.STOP, _stock_tif(held), stop=stop, reason=f"stop {stop}")


def oco_order(held: Held, target: Decimal, stop: Decimal) -> ExitWish:
    return _new_exit_wish(
        symbol=held.position.symbol,
        purpose=Purpose.PROTECT,
        entry_side=held.side,
        qty=held.qty,
        type=OrderType.LIMIT,
        tif=_stock_tif(held),
        limit_price=target,
        stop_price=stop,
        order_class=OrderClass.OCO,
        reason=f"target {target}, stop {stop}",
    )


def exit_at_market(held: Held, purpose: Purpose, reason: str) -> ExitWish | None:
    """Crypto as an ioc limit a collar past the quote, stocks at the market. None: it has to wait (closed, no quote).

    Without a quote only flatten and kill go on, at the market: a person has said so.
    """
    if not held.is_crypto:
        return _wish(held, purpose, OrderType.MARKET, TimeInForce.DAY, reason=reason) if held.is_open else None
    price = held.exit_price
    if price is None:
        at_once = purpose in (Purpose.FLATTEN, Purpose.KILL)
        return (
            _wish(held, purpose, OrderType.MARKET, TimeInForce.IOC, reason=f"{reason}, no quote") if at_once else None
        )
    limit = away(price * (1 - held.side.sign * held.policy.chase_collar_bps / BPS), held.side, held.instrument)
    source = "mark" if held.quote is None else "quote"
    return _wish(held, purpose, OrderType.LIMIT, TimeInForce.IOC, limit=limit, reason=f"{reason}, {source} {price}")


def _stock_tif(held: Held) -> TimeInForce:
    """By the day inside a session that is left before its end; else it has to outlive the night."""
    if held.is_fraction:
        return TimeInForce.DAY
    return TimeInForce.DAY if held.is_open and not held.policy.stocks_overnight else TimeInForce.GTC


def _wish(
    held: Held,
    purpose: Purpose,
    kind: OrderType,
    tif: TimeInForce,
    *,
    limit: Decimal | None = None,
    stop: Decimal | None = None,
    reason: str,
) -> ExitWish:
    return _new_exit_wish(
        symbol=held.position.symbol,
        purpose=purpose,
        entry_side=held.side,
        qty=held.qty if held.instrument.max_notional is None else held.piece(limit, held.qty),
        type=kind,
        tif=tif,
        limit_price=limit,
        stop_price=stop,
        reason=reason,
    )
