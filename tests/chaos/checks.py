"""What must hold in every scenario, at each moment and at the end. The truth is the venue's own books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal

from tests.chaos.journal import ChaosJournal
from tests.faults.universal import double_entries
from trader.core.ids import parse_client_order_id
from trader.core.invariants import violations
from trader.core.orders import IntentState
from trader.core.portfolio import is_dust
from trader.core.types import ZERO, AssetClass, OrderSide, OrderStatus, Portfolio, Position, Purpose, Symbol
from trader.exchange.engine.events import Books, SimOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker

MAX_SYMBOL, MAX_GROSS = Decimal("0.12"), Decimal("0.40")
DRIFT = Decimal("1.25")  # prices move between the decision and the fill
_LEAST = Decimal("0.001")  # of a quantity
_CENT = Decimal("0.01")


class Violation(BaseException):
    """Something that must hold does not. Nothing of the daemon may catch it."""


def demand(holds: object, what: str) -> None:
    if not holds:
        raise Violation(what)


# ---- at each moment ----


def price_of(books: Books, symbol: Symbol) -> Decimal:
    tape = books.tapes.get(symbol)
    return tape.last if tape is not None else ZERO


def held(books: Books) -> dict[Symbol, Decimal]:
    """Units of what is worth looking after."""
    found = {}
    for symbol in sorted(books.holdings):
        qty, price = books.holdings[symbol].qty, price_of(books, symbol)
        position = Position(symbol=symbol, qty=qty, qty_available=abs(qty), avg_entry_price=price, mark=price)
        if qty and not is_dust(position, books.instruments[symbol]):
            found[symbol] = qty
    return found


def purpose_of(order: SimOrder) -> Purpose | None:
    parsed = parse_client_order_id(order.client_order_id)
    return parsed.purpose if parsed is not None else None


def exits_at_rest(books: Books, symbol: Symbol) -> Decimal:
    """Units that the daemon's own exits would sell. An OCO's two sell one quantity; its stop has no name of ours."""
    resting = ZERO
    for order in books.orders.values():
        purpose = purpose_of(order)
        if order.symbol == symbol and purpose is not None and purpose.reduces:
            resting += order.qty - order.filled_qty
    return resting


def is_protected(books: Books, symbol: Symbol, qty: Decimal) -> bool:
    return exits_at_rest(books, symbol) >= abs(qty) * (1 - _LEAST)


def nothing_short(books: Books) -> None:
    for symbol, holding in sorted(books.holdings.items()):
        demand(holding.qty >= 0, f"{symbol}: {holding.qty} held, and nobody meant to sell short")


def within_caps(books: Books, equity: Decimal, symbol: Symbol) -> None:
    """After a fill of an entry."""
    values = {each: holding.qty * price_of(books, each) for each, holding in books.holdings.items()}
    value, gross = values[symbol], sum(values.values(), ZERO)
    demand(value <= equity * MAX_SYMBOL * DRIFT, f"{symbol}: {value:.2f} held of an equity of {equity:.2f}")
    demand(gross <= equity * MAX_GROSS * DRIFT, f"{gross:.2f} held in all of an equity of {equity:.2f}")


def invariants_hold(broker: VenueBroker, now: datetime, known: Collection[str]) -> None:
    """Those that the daemon looks at itself, on the venue's own books. `known`: names of our orders."""
    positions = {each.symbol: each for each in broker.positions()}
    account = broker.account()
    portfolio = Portfolio(account=account, positions=positions, orders=tuple(broker.open_orders()), at=now)
    found = violations(portfolio, known, account.equity, max_symbol=MAX_SYMBOL, max_gross=MAX_GROSS)
    demand(not found, "; ".join(found))


# ---- at the end ----


def books_agree(venue: Venue, journal: ChaosJournal) -> None:
    believed = journal.believed()
    true = {symbol: holding.qty for symbol, holding in venue.books.holdings.items() if holding.qty}
    for symbol in sorted({*true, *believed.positions}):
        ours, theirs = believed.positions.get(symbol, ZERO), true.get(symbol, ZERO)
        demand(abs(ours - theirs) <= abs(theirs) * Decimal("1e-6") + Decimal("1e-7"),
               f"{symbol}: the journal has {ours}, the venue {theirs}")  # fmt: skip
    demand(abs(believed.cash - venue.books.cash) < _CENT, f"cash: {believed.cash}, at the venue {venue.books.cash}")


def each_fill_once(ledger: MemoryLedger, journal: ChaosJournal) -> None:
    there, here = Counter(each.id for each in ledger.fills), Counter(each.id for each in journal.fills)
    demand(there == here, f"fills missed: {sorted((there - here).elements())}, too many: {sorted(here - there)}")


def one_order_an_intent(ledger: MemoryLedger, journal: ChaosJournal) -> None:
    ours = {o.client_order_id: o for o in ledger.history.values() if parse_client_order_id(o.client_order_id)}
    for name, order in ours.items():
        record = journal.all_intents.get(name)
        if record is None:
            raise Violation(f"{name} is at the venue, and was never journaled")
        told = order.symbol, order.qty, order.side
        demand(told == (record.intent.symbol, record.intent.qty, record.intent.order_side), f"{name}: {told}")
    for name, record in journal.all_intents.items():
        state = IntentState(record.state)
        if state in (IntentState.DONE, IntentState.ACCEPTED):
            demand(name in ours, f"{name} is {state} in the journal, and not at the venue")
        if state is IntentState.REJECTED and name in ours:
            demand(ours[name].status is OrderStatus.REJECTED, f"{name} was given up, and is at the venue")
    double = double_entries(ours)
    demand(not double, f"several entries in one cycle: {double}")


def nothing_unmanaged(venue: Venue, may_rest: Mapping[Symbol, bool]) -> None:
    """`may_rest`: whether an exit of that symbol can rest now."""
    for symbol, qty in held(venue.books).items():
        if may_rest[symbol]:
            there = exits_at_rest(venue.books, symbol)
            demand(is_protected(venue.books, symbol, qty), f"{symbol}: {qty} held, exits for {there} rest")
    entries = [each.client_order_id for each in venue.books.orders.values() if purpose_of(each) is Purpose.ENTRY]
    demand(not entries, f"entries rest after the end: {entries}")


def never_sold_more(ledger: MemoryLedger) -> None:
    """The fills played again, in their order."""
    units: dict[Symbol, Decimal] = {}
    for each in ledger.fills:
        sign = 1 if each.side is OrderSide.BUY else -1
        units[each.symbol] = units.get(each.symbol, ZERO) + sign * each.qty
        short = units[each.symbol] * each.price
        least = -_CENT if each.symbol.asset_class is AssetClass.STOCK else Decimal(0)
        demand(short >= least, f"{each.symbol}: {units[each.symbol]} after the fill {each.id} at {each.at}")


def day_gates_hold(ledger: MemoryLedger, gates: Mapping[str, str], equity: Decimal, uncounted: int) -> None:
    """On each day of the venue's. `equity`: no less than it ever was; `uncounted`: entries that a crash may have kept
    from being counted."""
    orders, notional = Counter[date](), Counter[date]()
    for each in ledger.history.values():
        if purpose_of(each) is Purpose.ENTRY and each.limit_price is not None:
            orders[each.submitted_at.date()] += 1
            notional[each.submitted_at.date()] += each.qty * each.limit_price  # type: ignore[assignment]
    most_orders, most_notional = gates.get("max_day_orders"), gates.get("max_day_notional")
    for day, count in sorted(orders.items()):
        if most_orders is not None:
            demand(count <= int(most_orders) + uncounted, f"{count} entries on {day}, {most_orders} are allowed")
        if most_notional is not None:  # it is looked at before each plan, which may take all of the gross cap
            most = equity * (Decimal(most_notional) + MAX_GROSS + uncounted * MAX_SYMBOL)
            demand(notional[day] <= most, f"{notional[day]:.0f} entered on {day}, of an equity of {equity:.0f}")


def moment(at: datetime) -> str:
    return at.isoformat(" ")[5:19]
