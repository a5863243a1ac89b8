"""Pure: does the account add up by itself, and is the journal's account of it the same?

Differences are only told once they were seen in several looks in a row: the venue's parts are out of step for seconds,
and fees of a day are posted at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from trader.audit.venue import Holding, OpenOrder, Report, plain_name

ZERO = Decimal(0)
UNITS_SLACK = Decimal("0.0040")  # of what was traded: fees in the coin that are posted at the day's end
CASH_SLACK_USD = Decimal(1)
CASH_SLACK = Decimal("0.0040")  # of what was traded, likewise
Severity = Literal["warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`key` stays the same while it lasts, whatever its figures do."""

    key: str
    text: str
    severity: Severity = "error"
    stops: bool = True  # reason enough to latch


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where the recomputation begins: what was held when the audit first looked."""

    cash: Decimal
    units: Mapping[str, Decimal]
    seen: frozenset[str] = frozenset()  # activities that were booked in it already


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSays:
    """What the daemon believes, read from its journal."""

    units: Mapping[str, Decimal]
    client_ids: frozenset[str]  # of all that it ever meant to send
    tag: str  # how its client order ids begin
    dust_usd: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Shares of equity."""

    symbol: Decimal
    gross: Decimal


def opinion(report: Report, anchor: Anchor, journal: JournalSays | None, caps: Caps) -> list[Finding]:
    """Everything that differs in this one look."""
    findings = [*_adds_up(report, anchor), *_within(report, caps), *_protected(report)]
    findings += [Finding(key=f"unread {what}", text=what, severity="warning", stops=False) for what in report.unread]
    if journal is not None:
        findings += [*_same_units(report.holdings, journal), *_known_orders(report.orders, journal)]
    return findings


def _adds_up(report: Report, anchor: Anchor) -> Iterable[Finding]:
    """Cash and units at the anchor, and everything since, are the cash and the units of now."""
    cash, units, traded_units = anchor.cash, dict(anchor.units), dict[str, Decimal]()
    turnover = ZERO
    for movement in report.movements:
        if movement.id in anchor.seen:
            continue
        cash += movement.cash
        if movement.symbol:
            units[movement.symbol] = units.get(movement.symbol, ZERO) + movement.qty
            if movement.kind == "FILL":
                traded_units[movement.symbol] = traded_units.get(movement.symbol, ZERO) + abs(movement.qty)
                turnover += abs(movement.cash)
    if abs(cash - report.cash) > CASH_SLACK_USD + turnover * CASH_SLACK:
        yield Finding(key="cash", text=f"the venue's activities make a cash of {cash:.2f}, it says {report.cash:.2f}")
    holdings = {holding.symbol: holding.qty for holding in report.holdings}
    for symbol in sorted({*units, *holdings}):
        computed_qty, venue_qty = units.get(symbol, ZERO), holdings.get(symbol, ZERO)
        if abs(computed_qty - venue_qty) > traded_units.get(symbol, ZERO) * UNITS_SLACK:
            yield Finding(
                key=f"units {symbol}",
                text=f"the venue's activities make {computed_qty} {symbol}, its positions say {venue_qty}",
            )


def _within(report: Report, caps: Caps) -> Iterable[Finding]:
    """Exposure against equity of our own making: cash and units at the venue's marks."""
    values = {
        holding.symbol: abs(holding.qty) * holding.mark for holding in report.holdings if holding.mark is not None
    }
    equity = report.cash + sum(
        (holding.qty * holding.mark for holding in report.holdings if holding.mark is not None), ZERO
    )
    unmarked_symbols = [holding.symbol for holding in report.holdings if holding.mark is None]
    if unmarked_symbols:
        yield Finding(
            key="marks",
            text=f"no mark for {', '.join(unmarked_symbols)}: exposure unknown",
            severity="warning",
            stops=False,
        )
    room = Decimal("1.05")  # prices move between an entry and this look
    for symbol, value in values.items():
        if value > equity * caps.symbol * room:
            yield Finding(
                key=f"cap {symbol}", text=f"{symbol} is {value:.0f} USD, over {caps.symbol:%} of {equity:.0f}"
            )
    gross = sum(values.values(), ZERO)
    if gross > equity * caps.gross * room:
        yield Finding(key="cap gross", text=f"positions of {gross:.0f} USD are over {caps.gross:.0%} of {equity:.0f}")


def _protected(report: Report) -> Iterable[Finding]:
    """Something that closes it rests beside each position. Which level, the daemon decides."""
    for holding in report.holdings:
        if abs(holding.qty) * (holding.mark or ZERO) < 1 and holding.mark is not None:
            continue  # dust can't be sold
        exit_side = "sell" if holding.qty > 0 else "buy"
        if not any(order.symbol == holding.symbol and order.side == exit_side for order in report.orders):
            yield Finding(
                key=f"unprotected {holding.symbol}", text=f"{holding.qty} {holding.symbol}: no exit rests", stops=False
            )


def _same_units(holdings: Collection[Holding], journal: JournalSays) -> Iterable[Finding]:
    by_symbol = {holding.symbol: holding for holding in holdings}
    believed_units = {plain_name(symbol): qty for symbol, qty in journal.units.items()}
    for symbol in sorted({*by_symbol, *believed_units}):
        qty = by_symbol[symbol].qty if symbol in by_symbol else ZERO
        mark = (by_symbol[symbol].mark if symbol in by_symbol else None) or ZERO
        difference = abs(qty - believed_units.get(symbol, ZERO))
        if difference and (mark == 0 or difference * mark > journal.dust_usd):
            yield Finding(
                key=f"journal {symbol}",
                text=f"the journal believes in {believed_units.get(symbol, ZERO)} {symbol}, the venue says {qty}",
            )


def _known_orders(orders: Collection[OpenOrder], journal: JournalSays) -> Iterable[Finding]:
    for order in orders:
        if order.client_order_id.startswith(journal.tag) and order.client_order_id not in journal.client_ids:
            yield Finding(
                key=f"order {order.id}",
                text=f"order {order.client_order_id} bears this daemon's name, and its journal never made it",
            )


@dataclass(slots=True)
class Confirmed:
    """Findings that stood in several looks in a row, and those that are over."""

    looks: int = 2
    _runs: dict[str, int] = field(default_factory=dict)
    _standing: set[str] = field(default_factory=set)

    def take(self, findings: Collection[Finding]) -> tuple[list[Finding], list[str]]:
        """(newly confirmed, keys of those confirmed before that are gone)."""
        now = {finding.key: finding for finding in findings}
        self._runs = {key: self._runs.get(key, 0) + 1 for key in now}
        new_findings = [now[key] for key, run in self._runs.items() if run >= self.looks and key not in self._standing]
        over = sorted(self._standing - set(now))
        self._standing = (self._standing - set(over)) | {finding.key for finding in new_findings}
        return new_findings, over
