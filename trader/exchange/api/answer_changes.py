"""Faults on the contents of an answer: entries that lack, told numbers that are not the true ones. Pure, on JSON.

Figures have one name each here, whatever the API calls them where they stand. A number stays of its kind: texts in
the trading API, JSON numbers in the data API.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from trader.core.types import Symbol
from trader.exchange.api.endpoints import ACCOUNT, ACTIVITIES, ASSETS, ORDERS, POSITIONS, QUOTES
from trader.exchange.api.faults import Figures, Fired, Rule
from trader.exchange.api.wire import number

Json = dict[str, Any]
_BARS, _BOOK = frozenset(["bars", "snapshots"]), frozenset(["quotes", "snapshots"])
ENTRIES_IN = ACCOUNT | POSITIONS | ORDERS | ACTIVITIES | ASSETS | QUOTES | _BARS | {"trades", "calendar"}


def _in(places: frozenset[str], *fields: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(places, fields)


# figure -> endpoint -> the JSON fields that tell it there
FIGURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "equity": _in(ACCOUNT, "equity", "portfolio_value"),
    "cash": _in(ACCOUNT, "cash"),
    "buying_power": _in(
        ACCOUNT, "buying_power", "regt_buying_power", "effective_buying_power", "non_marginable_buying_power"
    ),
    "qty": _in(POSITIONS, "qty", "qty_available") | _in(ORDERS | ACTIVITIES, "qty"),
    "qty_available": _in(POSITIONS, "qty_available"),
    "avg_price": _in(POSITIONS, "avg_entry_price") | _in(ORDERS, "filled_avg_price"),
    "mark": _in(POSITIONS, "current_price"),
    "market_value": _in(POSITIONS, "market_value"),
    "filled_qty": _in(ORDERS, "filled_qty"),
    "limit_price": _in(ORDERS, "limit_price"),
    "stop_price": _in(ORDERS, "stop_price"),
    "price": _in(ACTIVITIES, "price"),
    "net_amount": _in(ACTIVITIES, "net_amount"),
    "tick": _in(ASSETS, "price_increment"),
    "lot": _in(ASSETS, "min_trade_increment"),
    "min_size": _in(ASSETS, "min_order_size"),
    "bid": _in(_BOOK, "bp"),
    "ask": _in(_BOOK, "ap"),
    "bid_size": _in(_BOOK, "bs"),
    "ask_size": _in(_BOOK, "as"),
    "open": _in(_BARS, "o"),
    "high": _in(_BARS, "h"),
    "low": _in(_BARS, "l"),
    "close": _in(_BARS, "c"),
    "volume": _in(_BARS, "v"),
}


class Entry(NamedTuple):
    """One thing that an answer tells of: `symbol` in any spelling, or empty."""

    symbol: str
    fields: Json


def changed(fired: Fired, endpoint: str, body: Any) -> Any:
    """What is told instead of `body`. None where there is nothing left of the one entry that was asked for."""
    rule = fired.rule
    if rule.action == "lack":
        return _lacking(rule, body)
    if rule.action == "inject" and isinstance(body, list):
        return [*body, *rule.entries]
    if rule.action == "shuffle" and isinstance(body, list):
        return fired.dice.sample(body, len(body))
    if rule.action in ("set", "figure"):
        body = copy.deepcopy(body)
        entries = [entry for entry in _entries(endpoint, body) if isinstance(entry.fields, dict)]
        if rule.figures is not None:
            _refigure(fired, rule.figures, endpoint, entries)
        else:
            for entry in entries:
                if chosen(rule, entry):
                    entry.fields.update(rule.told)
    return body


def chosen(rule: Rule, entry: Entry) -> bool:
    """Whether the rule is about that entry."""
    if rule.symbol is not None and not same_symbol(rule.symbol, entry.symbol):
        return False
    if rule.order is None:
        return True
    ids = " ".join(str(entry.fields.get(name) or "") for name in ("id", "client_order_id", "order_id"))
    return rule.order.search(ids) is not None


def same_symbol(symbol: Symbol, text: str) -> bool:
    return text in (symbol.text, symbol.position_name)


# ---- where the entries are ----


def _entries(endpoint: str, body: Any) -> Iterator[Entry]:
    """All entries of an answer, an order's legs and the rows of each symbol among them."""
    if isinstance(body, list):
        for item in body:
            yield from _with_legs(item)
    elif isinstance(body, dict) and endpoint in QUOTES | _BARS | {"trades"}:
        for symbol, content in _by_symbol(body).items():
            for row in content if isinstance(content, list) else [content]:
                yield from _rows(symbol, row)
    elif isinstance(body, dict):
        yield from _with_legs(body)


def _entry(item: Json) -> Entry:
    return Entry(str(item.get("symbol", "")), item)


def _with_legs(item: Any) -> Iterator[Entry]:
    if not isinstance(item, dict):
        return
    yield _entry(item)
    for leg in item.get("legs") or ():
        yield from _with_legs(leg)


def _by_symbol(body: Json) -> Mapping[str, Any]:
    """The data API's answers stand under one key, except for the snapshots of stocks."""
    for key in ("quotes", "bars", "trades", "orderbooks", "snapshots"):
        if isinstance(body.get(key), dict):
            return dict(body[key])
    return {symbol: told for symbol, told in body.items() if isinstance(told, dict)}


def _rows(symbol: str, row: Any) -> Iterator[Entry]:
    if not isinstance(row, dict):
        return
    yield Entry(symbol, row)
    for part in row.values():  # of a snapshot
        if isinstance(part, dict):
            yield Entry(symbol, part)


def _lacking(rule: Rule, body: Any) -> Any:
    if isinstance(body, list):
        return [item for item in body if not (isinstance(item, dict) and chosen(rule, _entry(item)))]
    if not isinstance(body, dict):
        return body
    key = next((k for k in ("quotes", "bars", "trades", "orderbooks", "snapshots") if k in body), None)
    if key is None:
        return None if chosen(rule, _entry(body)) else body
    rest = {s: rows for s, rows in body[key].items() if rule.symbol is not None and not same_symbol(rule.symbol, s)}
    return body | {key: rest}


# ---- numbers ----


def _refigure(fired: Fired, figures: Figures, endpoint: str, entries: Sequence[Entry]) -> None:
    rule = fired.rule
    if figures.swap_with is not None and rule.symbol is not None:
        _swap(figures, rule.symbol, figures.swap_with, endpoint, entries)
        return
    for entry in entries:
        if not chosen(rule, entry):
            continue
        for name in _fields(figures, endpoint):
            if entry.fields.get(name) is None:
                continue
            original = entry.fields[name]
            if figures.yesterday:
                entry.fields[name] = entry.fields.get("lastday_price", original)
            elif figures.frozen:
                key = f"{endpoint} {entry.symbol} {entry.fields.get('id', '')} {name}"
                entry.fields[name] = fired.kept.setdefault(key, original)
            elif figures.times is not None:
                entry.fields[name] = _scaled(original, figures.times)
            else:
                entry.fields[name] = _as_told(original, figures.value)


def _fields(figures: Figures, endpoint: str) -> list[str]:
    return [field for name in figures.names for field in FIGURES[name].get(endpoint, ())]


def _swap(
    figures: Figures, first_symbol: Symbol, second_symbol: Symbol, endpoint: str, entries: Sequence[Entry]
) -> None:
    first = next((e.fields for e in entries if same_symbol(first_symbol, e.symbol)), None)
    second = next((e.fields for e in entries if same_symbol(second_symbol, e.symbol)), None)
    if first is None or second is None:
        return
    for name in _fields(figures, endpoint):
        if name in first and name in second:
            first[name], second[name] = second[name], first[name]


def _scaled(was: Any, factor: float) -> Any:
    if isinstance(was, str):
        try:
            return number(Decimal(was) * Decimal(str(factor)))
        except InvalidOperation:
            return was
    return was * factor if isinstance(was, int | float) and not isinstance(was, bool) else was


def _as_told(was: Any, value: Any) -> Any:
    """In the kind of number that stands there: a NaN is a text in the one API and a JSON NaN in the other."""
    if isinstance(was, str) and isinstance(value, int | float) and not isinstance(value, bool):
        return number(Decimal(str(value)))
    if isinstance(was, int | float) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
