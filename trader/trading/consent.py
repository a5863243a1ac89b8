"""Holdings that were there before the first start: left alone until a person says what is to become of them.

They are part of the account: shown, counted as exposure, and in the way of an entry in their symbol. They get no exit
of ours, except by `flatten` and `kill`, which a person has given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from trader.core.decision import Levels
from trader.core.types import Portfolio, Symbol
from trader.trading.journal_cache import Known
from trader.trading.ports import Journal

FOUND = "found"  # in the journal's meta: symbols held at the first start, and not adopted since


def note_found(journal: Journal, held: Collection[Symbol]) -> None:
    """Once, when the books are opened."""
    journal.set_meta(FOUND, ",".join(sorted(symbol.text for symbol in held)))


class Consent:
    """With the desk's lock held. `policy` is ADOPT: ask, adopt or ignore."""

    def __init__(self, journal: Journal, known: Known, alert: Callable[[str, str, str], None]) -> None:
        self.policy = "adopt"
        self._journal, self._known, self._alert = journal, known, alert
        self._found: frozenset[Symbol] | None = None  # as the journal has it; None until it was read
        self._told: frozenset[Symbol] = frozenset()

    def withheld(self) -> frozenset[Symbol]:
        """Symbols whose position is not ours to touch."""
        return frozenset() if self.policy == "adopt" else self._read()

    def look(self, portfolio: Portfolio) -> frozenset[Symbol]:
        """After each sync: what has left the account is forgotten, what is left alone is told once."""
        withheld_symbols = self.withheld()
        if not withheld_symbols:
            return withheld_symbols  # the usual case
        gone_symbols = withheld_symbols - portfolio.positions.keys()
        if gone_symbols and not any(portfolio.orders_of(symbol) for symbol in gone_symbols):
            self._write(withheld_symbols - gone_symbols)
        untold_symbols = withheld_symbols - gone_symbols - self._told
        if untold_symbols and self.policy == "ask":
            for symbol in sorted(untold_symbols):
                text = f"{portfolio.positions[symbol].qty} {symbol} was held before the first start: it is left alone"
                self._alert(
                    "adopt", "warning", f"{text}, without an exit, and nothing is entered there; `trader adopt`"
                )
        self._told |= untold_symbols
        return self.withheld()

    def adopt(self, portfolio: Portfolio | None, args: Mapping[str, str], now: datetime) -> str:
        """What came of it, in a person's words. Raises ValueError where it can't be meant."""
        symbol = Symbol(args["symbol"])
        position = portfolio.position(symbol) if portfolio is not None else None
        if symbol not in self._read() or position is None:
            raise ValueError(f"{symbol} is not among what was held before the first start")
        stop, target = (_price(args.get(name, "")) for name in ("stop", "target"))
        sign = position.entry_side.sign
        if stop is not None and target is not None and (target - stop) * sign <= 0:
            raise ValueError(f"a stop of {stop} and a target of {target} are the wrong way round")
        if stop is not None or target is not None:
            fresh = Levels(
                symbol=symbol, entry_side=position.entry_side, target=target, stop=stop, set_at=now, expires_at=None
            )
            self._known.save_levels([fresh])
        self._write(self._read() - {symbol})
        return f"{position.qty} {symbol} adopted; it gets an exit now"

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
