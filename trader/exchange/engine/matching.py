"""Which orders trade, at what price and how much of them: on arrival, and on each tape.

Prices. An order that takes fills at the quote of its tape (a buy at the ask, a sell at the bid), never between.
Within a bar prices move without gaps from one tape to the next, so a stop that the path passed fills at the book as
it stood there: half the tape's spread beyond the stop, on the tick rounded to the worse, and moved on by `stop_slip`
towards the quote at the path's end. A stop that was never passed but found the market beyond it (a gap at a bar's
open, the end of a halt) fills at the quote; inside a bar at that price beyond the stop where it is the worse one.
A stop-limit whose limit does not allow the price that it fires at rests. A resting limit fills at its limit when the
market traded through it or the quote crossed it, and at the better quote only where a bar's open jumped over it.

Within one bar nobody knows which extreme came first, so a limit that came to rest after the bar's open waits for the
next bar's open; a stop may fire. An order placed while the bar had shown only its open counts as resting from it,
unless something in that symbol has filled in the bar already: no exit trades on a move that came before its entry.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from trader.core.types import ZERO, AssetClass, OrderSide, OrderStatus, OrderType, Quote, TimeInForce, quantize
from trader.core.values import altered
from trader.exchange.engine.accounting import account_figures, opens, sound
from trader.exchange.engine.events import Books, MatchingRules, Phase, SimOrder, Tape
from trader.exchange.engine.working_books import Desk

_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
_WHOLE, _FRACTION = Decimal(1), Decimal("0.000000001")
_PLENTY = Decimal("1e15")  # more units than any order may have


class Offer(NamedTuple):
    """What the market gives an order: a price, a cap in units, and whether the order provided the liquidity."""

    price: Decimal
    cap: Decimal
    maker: bool


def entered_bar(books: Books, tape: Tape | None, *, waiting: bool) -> datetime | None:
    """The bar that an arriving order may not trade on while it rests; None where it counts as there from the open."""
    if tape is None or waiting or books.rules.optimistic:  # its bound takes the order of a bar's extremes as known
        return None
    meets_open = tape.phase is Phase.OPEN and books.filled_bar.get(tape.symbol) != tape.bar_start
    return None if meets_open else tape.bar_start


def on_arrival(desk: Desk, order_id: str, books: Books) -> None:
    """A new order meets the market as its last tape left it; what an ioc cannot get at once is cancelled."""
    order = desk.orders.get(order_id)
    if order is None:
        return
    tape = desk.tapes.get(order.symbol)
    if order.symbol not in books.halted and tape is not None and (tape.regular or order.extended_hours):
        if order.type in _STOPS and _reached(order, tape.last, tape.last):
            order = desk.elect(order)
        asleep = order.type in _STOPS and not order.triggered
        offer = None if asleep else _taking(order, _book(tape, desk.at))
        if offer is not None:
            _execute(desk, order, offer, books)
    _end_immediate(desk, order_id)


def on_tape(desk: Desk, tape: Tape, books: Books) -> None:
    """Everything that waits in the tape's symbol meets it: stops first, then limits, the keenest price first."""
    previous_tape = desk.tapes.get(tape.symbol)
    desk.tapes[tape.symbol] = tape
    desk.used[tape.symbol] = ZERO
    if tape.symbol in books.halted:
        return
    played_ids: set[str] = set()
    while True:  # a bracket's entry can fill and put its legs to work on the very tape that passes their stop
        working_orders = [order for order in _working(desk, tape) if order.id not in played_ids]
        if not working_orders:
            break
        played_ids.update(order.id for order in working_orders)
        _play(desk, working_orders, tape, previous_tape, books)


def rests_on(order: SimOrder, tape: Tape) -> bool:
    """Whether this tape surely passes it by: of another symbol, still on its way, or at rest on a side that neither
    price nor book came near. False says nothing."""
    if order.symbol != tape.symbol or order.arrives_at is not None:
        return True
    limit, stop = order.limit_price, order.stop_price
    if order.status is not OrderStatus.NEW or order.taker or order.triggered or order.tif is TimeInForce.IOC:
        return False
    if order.type in _STOPS:
        return stop is not None and not _reached(order, tape.low, tape.high)
    quote = _book(tape, tape.at)
    if limit is None:
        return False
    if order.side is OrderSide.BUY:
        return tape.low > limit and (quote is None or quote.ask > limit)
    return tape.high < limit and (quote is None or quote.bid < limit)


def _working(desk: Desk, tape: Tape) -> list[SimOrder]:
    orders = [
        o
        for o in desk.orders.values()
        if o.symbol == tape.symbol and o.arrives_at is None and o.status is not OrderStatus.HELD
    ]
    return orders if tape.regular else [o for o in orders if o.extended_hours]


def _play(desk: Desk, orders: list[SimOrder], tape: Tape, previous_tape: Tape | None, books: Books) -> None:
    elected_ids: set[str] = set()
    for order in orders:
        if order.status is OrderStatus.ACCEPTED:
            # it arrives only now: what the market offers at once, it takes
            order = desk.put(altered(order, status=OrderStatus.NEW, taker=True, updated_at=desk.at))
            desk.emit("new", order)
        if order.type in _STOPS and not order.triggered and _reached(order, tape.low, tape.high):
            desk.elect(order)
            elected_ids.add(order.id)
    queue = [desk.orders[order.id] for order in orders if order.id in desk.orders]
    for queued in sorted(queue, key=lambda order: _priority(order, tape)):
        current = desk.orders.get(queued.id)  # an earlier fill may have cancelled or shrunk it
        if current is None:
            continue
        offer = _offer(desk, current, tape, previous_tape, elected_ids, books)
        if offer is not None:
            _execute(desk, current, offer, books)
        if current.type not in _STOPS or current.triggered:
            _end_immediate(desk, current.id)


def _reached(order: SimOrder, low: Decimal, high: Decimal) -> bool:
    """Whether trading over [low, high] sets off an untriggered stop."""
    stop = order.stop_price
    if stop is None or order.triggered:
        return False
    return high >= stop if order.side is OrderSide.BUY else low <= stop


def _priority(order: SimOrder, tape: Tape) -> tuple[int, Decimal]:
    """Takers and fired stops before resting limits, those by price; the sort is stable, so then by time."""
    if order.taker or order.triggered or order.limit_price is None:
        return 0, ZERO
    return 1, (tape.last - order.limit_price) * order.side.sign


# ---- at what price ----


def _offer(
    desk: Desk, order: SimOrder, tape: Tape, previous_tape: Tape | None, elected_ids: set[str], books: Books
) -> Offer | None:
    if order.type in _STOPS and not order.triggered:
        return None
    quote = _book(tape, tape.at)
    if order.id in elected_ids:
        return None if quote is None else _fired(order, quote, tape, previous_tape, books)
    if order.taker or order.limit_price is None:
        offer = _taking(order, quote)
        if offer is not None or quote is None or order.limit_price is None:
            return offer
        order = desk.put(altered(order, taker=False))  # the market left it behind: from here on it rests
    if order.entered_bar == tape.bar_start and not order.triggered:
        return None
    return _resting(order, quote, tape, previous_tape, books.rules)


def _book(tape: Tape, at: datetime) -> Quote | None:
    """What can be traded on: the tape's quote, unless it is unsound or too old by then."""
    return sound(tape.quote) if tape.fresh_until is None or at <= tape.fresh_until else None


def _taking(order: SimOrder, quote: Quote | None) -> Offer | None:
    """At the quote, where the order's limit allows it."""
    return None if quote is None else _within_limit(order, _far_side(order, quote), quote)


def _fired(order: SimOrder, quote: Quote, tape: Tape, previous_tape: Tape | None, books: Books) -> Offer | None:
    """What a stop gets on the tape that set it off, where its limit allows it."""
    far_price, stop = _far_side(order, quote), order.stop_price
    if tape.phase is Phase.OPEN or stop is None:
        return _within_limit(order, far_price, quote)
    slip = books.rules.stop_slip if _passed(order, stop, tape, previous_tape) else _WHOLE
    sign, stop_touch = order.side.sign, stop + order.side.sign * (quote.ask - quote.bid) / 2
    price = stop_touch + sign * max((far_price - stop_touch) * sign, ZERO) * slip
    instrument = books.instruments[order.symbol]
    price = instrument.price_up(price) if order.side is OrderSide.BUY else instrument.price_down(price)
    # a spread wider than the price must not bring it to nothing
    return _within_limit(order, max(price, instrument.sub_dollar_tick or instrument.tick), quote)


def _passed(order: SimOrder, stop: Decimal, tape: Tape, before: Tape | None) -> bool:
    """Whether the path came from the stop's other side and went through its price."""
    return before is not None and (before.last - stop) * order.side.sign < 0 and tape.low <= stop <= tape.high


def _far_side(order: SimOrder, quote: Quote) -> Decimal:
    return quote.ask if order.side is OrderSide.BUY else quote.bid


def _within_limit(order: SimOrder, price: Decimal, quote: Quote) -> Offer | None:
    if order.limit_price is not None and (price - order.limit_price) * order.side.sign > 0:
        return None
    return Offer(price, quote.ask_size if order.side is OrderSide.BUY else quote.bid_size, maker=False)


def _resting(
    order: SimOrder, quote: Quote | None, tape: Tape, previous_tape: Tape | None, rules: MatchingRules
) -> Offer | None:
    limit, sign = order.limit_price, order.side.sign
    if limit is None:
        return None
    buying = order.side is OrderSide.BUY
    if quote is not None and (_far_side(order, quote) - limit) * sign <= 0:
        jumps_past = tape.phase is Phase.OPEN and not _was_crossed(order, limit, previous_tape)
        return Offer(_far_side(order, quote) if jumps_past else limit, _PLENTY, maker=True)
    reach = (tape.low if buying else tape.high) - limit
    if reach * sign < 0:
        return Offer(limit, _PLENTY, maker=True)
    if reach == 0 and rules.touch_share > 0:
        return Offer(limit, tape.volume * rules.touch_share, maker=True)
    return None


def _was_crossed(order: SimOrder, limit: Decimal, before: Tape | None) -> bool:
    """Whether the quote stood beyond the limit already before this open: then no jump brought a better price."""
    quote = _book(before, before.at) if before is not None else None
    return quote is not None and (_far_side(order, quote) - limit) * order.side.sign <= 0


# ---- how much ----


def _execute(desk: Desk, order: SimOrder, offer: Offer, books: Books) -> None:
    if not offer.maker:
        order = desk.put(altered(order, taker=True))
    remaining = order.qty - order.filled_qty
    affordable = _affordable(desk, order, offer.price)
    qty = min(remaining, affordable, _on_offer(desk, order, offer, books))
    if qty < remaining:
        step = _step(books, order)
        qty, affordable = quantize(qty, step, ROUND_FLOOR), quantize(affordable, step, ROUND_FLOOR)
    if qty > 0:
        order = desk.fill(order, qty, offer.price, maker=offer.maker)
    if qty < remaining and max(qty, ZERO) >= affordable and order.id in desk.orders:
        desk.end(order, OrderStatus.CANCELED)  # the cash is spent: what is left could never be paid


def _on_offer(desk: Desk, order: SimOrder, offer: Offer, books: Books) -> Decimal:
    """Units that the market has left for this order on this tape."""
    tape, rules = desk.tapes[order.symbol], books.rules
    caps = [_PLENTY]
    if not tape.uncapped:
        caps.append(tape.volume * rules.volume_share - desk.used.get(order.symbol, ZERO))
    if offer.maker or rules.quote_size_limits:
        caps.append(offer.cap)
    return min(caps)


def _affordable(desk: Desk, order: SimOrder, price: Decimal) -> Decimal:
    """Units that buying power still pays for. A limit was paid for on acceptance; without one the price may slip."""
    if order.limit_price is not None or order.side is OrderSide.SELL:
        return _PLENTY
    books = desk.books()
    if not opens(books, order.symbol, order.side):
        return _PLENTY
    other_orders = {order_id: other for order_id, other in books.orders.items() if order_id != order.id}
    figures = account_figures(altered(books, orders=other_orders))
    crypto = order.symbol.asset_class is AssetClass.CRYPTO
    return (figures.non_marginable_buying_power if crypto else figures.buying_power) / price


def _step(books: Books, order: SimOrder) -> Decimal:
    if order.symbol.asset_class is AssetClass.CRYPTO:
        return books.instruments[order.symbol].lot
    return _WHOLE if order.qty == order.qty.to_integral_value() else _FRACTION


def _end_immediate(desk: Desk, order_id: str) -> None:
    order = desk.orders.get(order_id)
    if order is not None and order.tif is TimeInForce.IOC and (order.type not in _STOPS or order.triggered):
        desk.end(order, OrderStatus.CANCELED)
