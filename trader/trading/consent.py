"""What was there before the first start, and what is placed by hand: left alone until a person says what is to become
of it.

It is part of the account: shown, counted as exposure, and in the way of an entry in its symbol. A holding that is left
alone, and what an order fills that is, get no exit of ours, except by `flatten` and `kill`, which a person has given.
An order by hand that is placed later is shown and told of; what it fills gets exits, unless a person leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from trader.core.decision import Levels
from trader.core.ids import purpose_of
from trader.core.types import EntrySide, Order, OrderSide, Portfolio, Symbol
from trader.core.values import altered
from trader.trading.journal_cache import Known
from trader.trading.memory import LIST_LAG
from trader.trading.ports import Journal

FOUND = "found"  # in the journal's meta: symbols that are left alone


def note_found(journal: Journal, symbols: Collection[Symbol]) -> None:
    """Once, when the books are opened."""
    journal.set_meta(FOUND, ",".join(sorted(symbol.text for symbol in symbols)))


def by_hand(portfolio: Portfolio) -> tuple[Order, ...]:
    """Open orders that are not ours."""
    return tuple(order for order in portfolio.orders if order.is_open and purpose_of(order) is None)


def there_before(portfolio: Portfolio) -> frozenset[Symbol]:
    """What a first start finds."""
    return frozenset(portfolio.positions) | {order.symbol for order in by_hand(portfolio)}


def described(order: Order) -> str:
    price = order.limit_price or order.stop_price or "the market"
    return f"{order.side} {order.remaining} {order.symbol} at {price} ({order.id})"


class Consent:
    """With the desk's lock held. `policy` is ADOPT: ask, adopt or ignore."""

    def __init__(self, journal: Journal, known: Known, alert: Callable[[str, str, str], None]) -> None:
        self.policy = "adopt"
        self._journal, self._known, self._alert = journal, known, alert
        self._found: frozenset[Symbol] | None = None  # as the journal has it; None until it was read
        self._seen: dict[Symbol, bool] = {}  # of what is left alone, whether it was held when it was seen last
        self._missed: dict[Symbol, datetime] = {}  # since when it is not there any more
        self._told: frozenset[Symbol | str] = frozenset()  # symbols, and ids of orders

    def withheld(self) -> frozenset[Symbol]:
        """Symbols whose position is not ours to touch."""
        return frozenset() if self.policy == "adopt" else self._read()

    def look(self, portfolio: Portfolio) -> frozenset[Symbol]:
        """After each sync: what has left the account is forgotten, what is left alone is told once."""
        withheld = self.withheld()
        if not withheld and not portfolio.orders:
            return withheld
        gone = {each for each in withheld if self._is_gone(each, portfolio)}
        if gone:
            self._write(withheld - gone)
        if self.policy == "ask":
            self._tell(portfolio, withheld - gone)
        return self.withheld()

    def _is_gone(self, symbol: Symbol, portfolio: Portfolio) -> bool:
        """An order that is over may have filled what the list of positions does not show yet."""
        if symbol in portfolio.positions or portfolio.orders_of(symbol):
            self._seen[symbol] = symbol in portfolio.positions
            self._missed.pop(symbol, None)
            return False
        since = self._missed.setdefault(symbol, portfolio.at)
        return self._seen.get(symbol, False) or portfolio.at - since >= LIST_LAG

    def _tell(self, portfolio: Portfolio, withheld: frozenset[Symbol]) -> None:
        for symbol in sorted(withheld - self._told):
            position = portfolio.position(symbol)
            if position is not None:
                text = f"{position.qty} {symbol} was held or ordered by hand before the first start: it is left alone"
                self._alert(
                    "adopt", "warning", f"{text}, without an exit, and nothing is entered there; `trader adopt`"
                )
        orders = [order for order in by_hand(portfolio) if order.id not in self._told]
        for order in orders:
            what = "gets exits of ours; `trader adopt --leave` leaves it alone"
            if order.symbol in withheld:
                what = "is left alone, without an exit; `trader adopt` looks after it"
            text = f"an order that is not ours: {described(order)}. It counts as exposure, nothing is entered there"
            self._alert("adopt", "warning", f"{text}, and what it fills {what}")
        self._told |= {symbol for symbol in withheld if symbol in portfolio.positions} | {each.id for each in orders}

    def adopt(self, portfolio: Portfolio | None, args: Mapping[str, str], now: datetime) -> str:
        """What came of it, in a person's words. Raises ValueError where it can't be meant."""
        symbol = Symbol(args["symbol"])
        position = portfolio.position(symbol) if portfolio is not None else None
        orders = [order for order in by_hand(portfolio) if order.symbol == symbol] if portfolio is not None else []
        if args.get("leave"):
            return self._leave(symbol, position is not None, orders)
        if symbol not in self._read() or (position is None and not orders):
            raise ValueError(f"{symbol} is not among what was there before the first start, or was left alone")
        if position is not None:
            side, what = position.entry_side, f"{position.qty} {symbol} adopted; it gets an exit now"
        else:
            side = EntrySide.LONG if orders[0].side is OrderSide.BUY else EntrySide.SHORT
            what = f"adopted: {', '.join(map(described, orders))}; what it fills gets an exit"
        fresh = _levels(symbol, side, args, now) or _all_of_it(self._known.levels().get(symbol))
        if fresh is not None:
            self._known.save_levels([fresh])
        self._write(self._read() - {symbol})
        return what

    def _leave(self, symbol: Symbol, is_held: bool, orders: Collection[Order]) -> str:
        if self.policy == "adopt":
            raise ValueError("ADOPT=adopt leaves nothing alone: set it to ask or ignore first")
        if symbol in self._read():
            return f"{symbol} is left alone already"
        if is_held or not orders:
            why = "is held, and has exits of ours: flatten it" if is_held else "has no order that was placed by hand"
            raise ValueError(f"{symbol} {why}")
        self._write(self._read() | {symbol})
        return f"left alone: {', '.join(map(described, orders))}, and what it fills"

    def _read(self) -> frozenset[Symbol]:
        if self._found is None:
            text = self._journal.get_meta(FOUND) or ""
            self._found = frozenset(Symbol(name) for name in text.split(",") if name)
        return self._found

    def _write(self, found: frozenset[Symbol]) -> None:
        note_found(self._journal, found)
        self._found = found

    def opened(self, held: Collection[Symbol]) -> None:
        self._write(frozenset(held))


def _levels(symbol: Symbol, side: EntrySide, args: Mapping[str, str], now: datetime) -> Levels | None:
    stop, target = (_price(args.get(name, "")) for name in ("stop", "target"))
    if stop is None and target is None:
        return None
    if stop is not None and target is not None and (target - stop) * side.sign <= 0:
        raise ValueError(f"a stop of {stop} and a target of {target} are the wrong way round")
    return Levels(symbol=symbol, entry_side=side, target=target, stop=stop, set_at=now, expires_at=None)


def _all_of_it(old: Levels | None) -> Levels | None:
    """What a strategy wanted to be sold of it was decided before anybody had agreed."""
    return None if old is None or old.keep is None else altered(old, keep=None, why="")


def _price(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no price") from None
    if not price.is_finite() or price <= 0:
        raise ValueError(f"{text} is no price")
    return price
