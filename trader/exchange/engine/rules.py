"""What the venue refuses, with its status, code and words. Each check is pure and looks at one thing.

`judge` runs them in order: first the form of the order, then, with its quantity known, what the books say to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

from trader.core.types import (
    ZERO,
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
    quantize,
)
from trader.exchange.engine.accounting import (
    NOTHING,
    account_figures,
    available,
    held_for_orders,
    opens,
    sound_quote,
    valuation_price,
)
from trader.exchange.engine.events import Books, Refusal, SimOrder, Submit

INVALID, DUPLICATE, FORBIDDEN, NOT_FOUND = 42210000, 40010001, 40310000, 40410000
CRYPTO_MIN_COST = Decimal(10)  # USD of a crypto buy; no field of the asset shows it
STOCK_MIN_NOTIONAL = Decimal(1)  # USD of an order given by its value
SHORT_MIN_EQUITY = Decimal(2_000)  # USD
MAX_CLIENT_ID = 128  # characters
_LARGEST_QTY, _LARGEST_PRICE, _FINEST = Decimal("1e12"), Decimal("1e9"), -12
_FRACTION = Decimal("0.000000001")
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
_LIMITS = (OrderType.LIMIT, OrderType.STOP_LIMIT)

Check = Callable[[Books, Submit], Refusal | None]


def judge(books: Books, submit: Submit) -> tuple[Submit, Refusal | None]:
    """The order with its quantity worked out, and the venue's refusal, or None where it is accepted."""
    for check in _FORM:
        refusal = check(books, submit)
        if refusal is not None:
            return submit, refusal
    submit = sized(books, submit)
    for check in _SUBSTANCE:
        refusal = check(books, submit)
        if refusal is not None:
            return submit, refusal
    return submit, None


def sized(books: Books, submit: Submit) -> Submit:
    """With `qty` from `notional` at the order's price or the quote; without either, unchanged."""
    if submit.qty is not None or submit.notional is None:
        return submit
    price = submit.limit_price or submit.stop_price or _quoted(books, submit)
    if price is None:
        return submit
    step = books.instruments[submit.symbol].lot if _crypto(submit) else _FRACTION
    return replace(submit, qty=quantize(submit.notional / price, step, ROUND_FLOOR))


def plain(value: Decimal) -> str:
    """As the venue writes a number: no exponent, no idle zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# ---- form: the order alone ----


def _identity(books: Books, submit: Submit) -> Refusal | None:
    if len(submit.client_order_id) > MAX_CLIENT_ID:
        return _invalid(f"client_order_id must be at most {MAX_CLIENT_ID} characters")
    taken = submit.duplicate or any(o.client_order_id == submit.client_order_id for o in books.orders.values())
    if taken or submit.order_id in books.orders:
        return Refusal(status=422, code=DUPLICATE, message="client_order_id must be unique")
    return None


def _asset(books: Books, submit: Submit) -> Refusal | None:
    instrument = books.instruments.get(submit.symbol)
    if instrument is None:
        return _invalid(f'asset "{submit.symbol}" not found')
    if not instrument.tradable and opens(books, submit.symbol, submit.side):  # what is held may be left
        return _invalid(f'asset "{submit.symbol}" is not tradable')
    if submit.symbol.currency != "USD":
        return _invalid(f"{submit.symbol} is not quoted in USD: only USD pairs trade here")
    return None


def _numbers(_: Books, submit: Submit) -> Refusal | None:
    if (submit.qty is None) == (submit.notional is None):
        return _invalid("exactly one of qty and notional is required")
    for name, value, largest in (
        ("qty", submit.qty, _LARGEST_QTY),
        ("notional", submit.notional, _LARGEST_QTY),
        ("limit_price", submit.limit_price, _LARGEST_PRICE),
        ("stop_price", submit.stop_price, _LARGEST_PRICE),
        ("take_profit.limit_price", submit.take_profit, _LARGEST_PRICE),
        ("stop_loss.stop_price", submit.stop_loss, _LARGEST_PRICE),
        ("stop_loss.limit_price", submit.stop_loss_limit, _LARGEST_PRICE),
    ):
        if value is not None and not _sane(value, largest):
            return _invalid(f"{name} must be a positive number, at most {largest:f}")
    return None


def _sane(value: Decimal, largest: Decimal) -> bool:
    if not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return ZERO < value <= largest and isinstance(exponent, int) and exponent >= _FINEST


def _prices(_: Books, submit: Submit) -> Refusal | None:
    if submit.order_class is OrderClass.OCO:
        return None if submit.type is OrderType.LIMIT else _invalid("oco orders must be of type limit")
    if (submit.limit_price is not None) != (submit.type in _LIMITS):
        needs = "require a" if submit.type in _LIMITS else "take no"
        return _invalid(f"{submit.type} orders {needs} limit price")
    if (submit.stop_price is not None) != (submit.type in _STOPS):
        needs = "require a" if submit.type in _STOPS else "take no"
        return _invalid(f"{submit.type} orders {needs} stop price")
    return None


def _crypto_form(_: Books, submit: Submit) -> Refusal | None:
    if not _crypto(submit):
        return None
    if submit.order_class is not OrderClass.SIMPLE:
        return _invalid("crypto orders not allowed for advanced order_class: " + submit.order_class)
    if submit.type is OrderType.STOP:
        return _invalid("invalid order type for crypto order")
    if submit.tif is TimeInForce.DAY:
        return _invalid("invalid crypto time_in_force")
    if submit.extended_hours:
        return _invalid("extended hours do not apply to crypto orders")
    return None


def _stock_form(_: Books, submit: Submit) -> Refusal | None:
    if _crypto(submit):
        return None
    if submit.extended_hours and (submit.type is not OrderType.LIMIT or submit.tif is not TimeInForce.DAY):
        return _invalid("extended hours order must be DAY limit orders")
    if submit.tif is TimeInForce.IOC and not submit.market_open:
        return _invalid("ioc orders are accepted only while the market is open")
    if _fractional(submit) and submit.tif is not TimeInForce.DAY:
        return _invalid("fractional orders must be DAY orders")
    if _fractional(submit) and submit.order_class is not OrderClass.SIMPLE:
        return _invalid("fractional orders must be simple orders")
    return None


def _complex_form(_: Books, submit: Submit) -> Refusal | None:
    name = submit.order_class
    if name is OrderClass.SIMPLE:
        extra = submit.take_profit or submit.stop_loss or submit.stop_loss_limit
        return _invalid("simple orders take neither take_profit nor stop_loss") if extra is not None else None
    if submit.tif is TimeInForce.IOC:
        return _invalid(f"{name} orders must be DAY or GTC orders")
    if submit.take_profit is None:
        return _invalid(f"{name} orders require take_profit.limit_price")
    if submit.stop_loss is None:
        return _invalid(f"{name} orders require stop_loss.stop_price")
    exit_sign = -submit.side.sign if name is OrderClass.OCO else submit.side.sign
    if (submit.take_profit - submit.stop_loss) * exit_sign <= 0:
        return _invalid("take_profit.limit_price and stop_loss.stop_price are the wrong way round")
    base = submit.limit_price or submit.stop_price
    if name is OrderClass.BRACKET and base is not None:
        if (submit.take_profit - base) * exit_sign <= 0:
            return _invalid("take_profit.limit_price must be on the profit side of base_price")
        if (base - submit.stop_loss) * exit_sign <= 0:
            return _invalid("stop_loss.stop_price must be on the loss side of base_price")
    return None


# ---- substance: the order against the asset and the books; qty is known from here on ----


def _quantity(books: Books, submit: Submit) -> Refusal | None:
    instrument = books.instruments[submit.symbol]
    if submit.qty is None:
        return _invalid(f"no quote for {submit.symbol}: an order by value cannot be sized")
    if not ZERO < submit.qty <= _LARGEST_QTY:
        return _invalid(f"qty must be > 0 and at most {_LARGEST_QTY:f}")
    if _crypto(submit):
        if submit.qty < instrument.min_qty:
            return _invalid(f"qty must be >= {plain(instrument.min_qty)}")
        return _multiple("qty", submit.qty, instrument.lot)
    if not _fractional(submit):
        return None
    if not instrument.fractionable:
        return _forbidden(f'asset "{submit.symbol}" is not fractionable')
    if opens(books, submit.symbol, submit.side) and submit.side is OrderSide.SELL:
        return _invalid("fractional orders cannot be sold short")
    return _multiple("qty", submit.qty, _FRACTION)


def _ticks(books: Books, submit: Submit) -> Refusal | None:
    instrument = books.instruments[submit.symbol]
    for name, price in (
        ("limit_price", submit.limit_price),
        ("stop_price", submit.stop_price),
        ("take_profit.limit_price", submit.take_profit),
        ("stop_loss.stop_price", submit.stop_loss),
        ("stop_loss.limit_price", submit.stop_loss_limit),
    ):
        if price is None or price % instrument.tick_at(price) == 0:
            continue
        if _crypto(submit):
            return _multiple(name, price, instrument.tick_at(price))
        return _invalid(f"invalid {name} {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria")
    return None


def _cost(books: Books, submit: Submit) -> Refusal | None:
    least = CRYPTO_MIN_COST if _crypto(submit) else STOCK_MIN_NOTIONAL
    if submit.notional is not None and submit.notional < least:
        return _minimum(submit.notional, least)
    if submit.qty is None or not _crypto(submit):
        return None
    price = valuation_price(books, submit.symbol, submit.side, submit.limit_price, submit.stop_price)
    most = books.rules.coin_order_limit
    if most is not None and price is not None and submit.qty * price > most:
        told = plain(submit.qty * price)
        return _forbidden(f"cost basis must be <= maximal amount of order {plain(most)}", cost_basis=told)
    if submit.side is not OrderSide.BUY:
        return None
    # an order by value is judged by that value: its quantity was rounded down to a lot
    cost = submit.notional if submit.notional is not None else None if price is None else submit.qty * price
    return _minimum(cost, least) if cost is not None and cost < least else None


def _minimum(cost: Decimal, least: Decimal) -> Refusal:
    return _forbidden(f"cost basis must be >= minimal amount of order {plain(least)}", cost_basis=plain(cost))


def _opposites(books: Books, submit: Submit) -> Refusal | None:
    resting = [o for o in books.orders.values() if o.symbol == submit.symbol and o.side is not submit.side]
    for order in resting:
        if order.status is OrderStatus.HELD:
            continue
        refusal = None if submit.order_class is not OrderClass.SIMPLE else _wash(order, submit)
        refusal = refusal or _both_ways(books, order, submit)
        if refusal is not None:
            return refusal
    return None


def _wash(order: SimOrder, submit: Submit) -> Refusal | None:
    """Bracket and OCO are exempt; the caller knows."""
    extra = {"existing_order_id": order.id}
    if order.type is not OrderType.LIMIT or submit.type in _STOPS:
        return _forbidden("opposite side market/stop order exists", **extra)
    crosses = (
        submit.limit_price is None
        or order.limit_price is None
        or (submit.limit_price - order.limit_price) * submit.side.sign >= 0
    )
    return _forbidden("potential wash trade detected. use complex orders", **extra) if crosses else None


def _both_ways(books: Books, order: SimOrder, submit: Submit) -> Refusal | None:
    """Two opening orders on both sides would let one fill turn the other into something that nobody asked for."""
    both_open = opens(books, submit.symbol, submit.side) and opens(books, submit.symbol, order.side)
    if _crypto(submit) or not both_open:
        return None
    if submit.side is OrderSide.SELL:
        return _forbidden("cannot open a short sell while a long buy order is open", existing_order_id=order.id)
    return _forbidden("cannot open a long buy while a short sell order is open", existing_order_id=order.id)


def _position(books: Books, submit: Submit) -> Refusal | None:
    opening = opens(books, submit.symbol, submit.side)
    if submit.order_class is OrderClass.OCO and opening:
        return _invalid("oco orders must be exit orders")
    if submit.order_class is OrderClass.BRACKET and not opening:
        return _invalid("bracket orders must be entry orders")
    if opening and (submit.side is OrderSide.BUY or not _crypto(submit)):
        return None
    return _enough(books, submit)


def _enough(books: Books, submit: Submit) -> Refusal | None:
    qty = submit.qty if submit.qty is not None else ZERO
    free = available(books, submit.symbol)
    if qty <= free:
        return None
    figures = f"(requested: {plain(qty)}, available: {plain(free)})"
    crypto = _crypto(submit)
    words = f"insufficient balance for {submit.symbol.base}" if crypto else "insufficient qty available for order"
    return _forbidden(
        f"{words} {figures}",
        available=plain(free),
        existing_qty=plain(abs(books.holdings.get(submit.symbol, NOTHING).qty)),
        held_for_orders=plain(held_for_orders(books, submit.symbol)),
        symbol=submit.symbol.base if crypto else submit.symbol.text,
    )


def _short(books: Books, submit: Submit) -> Refusal | None:
    if _crypto(submit) or submit.side is OrderSide.BUY or not opens(books, submit.symbol, submit.side):
        return None
    if not books.instruments[submit.symbol].shortable:
        return _invalid(f'asset "{submit.symbol}" cannot be sold short')
    if account_figures(books).equity < SHORT_MIN_EQUITY:
        return _forbidden("account is not allowed to short")
    return None


def _power(books: Books, submit: Submit) -> Refusal | None:
    if submit.qty is None or not opens(books, submit.symbol, submit.side):
        return None
    price = valuation_price(books, submit.symbol, submit.side, submit.limit_price, submit.stop_price)
    if price is None:
        return _invalid(f"no quote for {submit.symbol}: a market order cannot be valued")
    figures, cost = account_figures(books), submit.qty * price
    if _crypto(submit):
        free = figures.non_marginable_buying_power
        if cost <= free:
            return None
        return _forbidden(
            f"insufficient balance for USD (requested: {plain(cost)}, available: {plain(free)})",
            available=plain(free),
            balance=plain(figures.cash),
            symbol="USD",
        )
    if cost <= figures.buying_power:
        return None
    return _forbidden("insufficient buying power", buying_power=plain(figures.buying_power), cost_basis=plain(cost))


_FORM: tuple[Check, ...] = (_identity, _asset, _numbers, _prices, _crypto_form, _stock_form, _complex_form)
_SUBSTANCE: tuple[Check, ...] = (_quantity, _ticks, _cost, _opposites, _position, _short, _power)


# ---- helpers ----


def _crypto(submit: Submit) -> bool:
    return submit.symbol.asset_class is AssetClass.CRYPTO


def _fractional(submit: Submit) -> bool:
    """A stock order by value, or of a part of a share."""
    return submit.qty is None or submit.notional is not None or submit.qty != submit.qty.to_integral_value()


def _quoted(books: Books, submit: Submit) -> Decimal | None:
    quote = sound_quote(books, submit.symbol)
    if quote is None:
        return None
    return quote.ask if submit.side is OrderSide.BUY else quote.bid


def _multiple(name: str, value: Decimal, step: Decimal) -> Refusal | None:
    return None if value % step == 0 else _invalid(f"{name} {plain(value)} must be a multiple of {plain(step)}")


def _invalid(message: str) -> Refusal:
    return Refusal(status=422, code=INVALID, message=message)


def _forbidden(message: str, **extra: str) -> Refusal:
    return Refusal(status=403, code=FORBIDDEN, message=message, extra=extra)
