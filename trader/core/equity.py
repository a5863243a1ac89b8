"""What the account is worth, by two counts: the venue's word, and our own cash and units at the venue's marks.

Where they differ by more than a band the smaller one counts: nothing is sized on a figure that another one contradicts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from trader.core.types import ZERO, Portfolio
from trader.core.values import altered, quick

_ROUNDED = Decimal("0.000001")  # account currency
CASH_ROUNDING = Decimal(1)  # account currency: regulatory fees, cents
CASH_SHARE = Decimal("0.0001")  # of equity: interest
_MARK_SHARE = Decimal("0.02")  # of what is held
AGREEING = 3  # readings in a row above the peak before it moves


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """`equity` is what counts; `problem` says why it is not the venue's, or "". `own`: by our count, where known."""

    equity: Decimal
    problem: str = ""
    own: Decimal | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Our own count as it goes into the journal.

    moved     money that had come in by then, less what had gone out, as far as it was booked: `equity` has it in it
    doubtful  the venue tells another equity
    """

    equity: Decimal | None
    moved: Decimal
    doubtful: bool


def worth_of(portfolio: Portfolio, cash: Decimal | None, band: Decimal) -> Worth:
    """`cash`: by the books; None where there are none yet. `band`: of equity, for what we don't count ourselves (margin
    interest, marks that move between two answers)."""
    venue_equity = portfolio.account.equity
    if cash is None or not venue_equity.is_finite():
        return Worth(equity=venue_equity)
    own_equity = cash + sum([position.notional for position in portfolio.positions.values()], ZERO)
    if not own_equity.is_finite() or abs(venue_equity - own_equity) <= band * max(abs(own_equity), abs(venue_equity)):
        return Worth(equity=venue_equity, own=own_equity if own_equity.is_finite() else None)
    problem = f"equity {venue_equity:.2f} by the venue, {own_equity:.2f} by cash and units"
    return Worth(equity=min(venue_equity, own_equity), problem=problem, own=own_equity)


def misses(portfolio: Portfolio, cash: Decimal) -> Decimal:
    """By how much the venue's equity is missed by `cash` and the units it tells at their marks, unsigned: beyond what
    marks may have moved between two answers. Zero where it tells no equity."""
    venue_equity, notionals = portfolio.account.equity, [position.notional for position in portfolio.positions.values()]
    own_equity = cash + sum(notionals, ZERO)
    if not (venue_equity.is_finite() and own_equity.is_finite()):
        return ZERO
    room = CASH_ROUNDING + CASH_SHARE * abs(venue_equity) + _MARK_SHARE * sum([abs(n) for n in notionals], ZERO)
    return max(abs(venue_equity - own_equity) - room, ZERO)


def denies(portfolio: Portfolio, difference: Decimal) -> bool:
    """Whether the venue's equity knows nothing of what its cash differs by: it agrees with the cash of before, or less
    badly."""
    cash = portfolio.account.cash
    off = misses(portfolio, cash)
    return bool(off) and misses(portfolio, cash - difference) < off


def counted(worth: Worth, movement: Decimal) -> Counted:
    """Rounded, and without zeros at the end: equal counts are the same text."""
    equity = worth.own
    if equity is not None and equity != worth.equity:  # else it is as the venue writes it, which is the usual case
        equity = Decimal(f"{equity.quantize(_ROUNDED).normalize():f}")
    return Counted(
        equity=equity if equity != worth.equity else worth.equity, moved=movement, doubtful=bool(worth.problem)
    )


def at_worth(portfolio: Portfolio, worth: Worth) -> Portfolio:
    """With the equity that counts, and no more to be spent than that: buying power is told by the same account."""
    account = portfolio.account
    if not worth.problem:
        return portfolio
    power = min(account.buying_power, max(worth.equity, ZERO)) if account.buying_power.is_finite() else ZERO
    return altered(portfolio, account=altered(account, equity=worth.equity, buying_power=power))


@dataclass(slots=True)
class Peak:
    """The highest equity so far. One reading alone moves it no more than it makes the first: that takes as many which
    agree to within `band`."""

    value: Decimal | None = None
    above: deque[Decimal] = field(default_factory=lambda: deque(maxlen=AGREEING))
    band: Decimal = Decimal("0.02")

    def reached(self, equity: Decimal) -> bool:
        """Whether it has moved."""
        if self.value is None:
            return self._begun(equity)
        if equity <= self.value:
            self.above.clear()
            return False
        self.above.append(equity)
        if len(self.above) < AGREEING:
            return False
        self.value = min(self.above)
        return True

    def _begun(self, equity: Decimal) -> bool:
        self.above.append(equity)
        low, high = min(self.above), max(self.above)
        if len(self.above) < AGREEING or high - low > self.band * abs(high):
            return False
        self.value = low
        return True
