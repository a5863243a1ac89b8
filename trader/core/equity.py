"""What the account is worth, by two counts: the venue's word, and our own cash and units at the venue's marks.

Where they differ by more than a band the smaller one counts: nothing is sized on a figure that another one contradicts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from trader.core.types import ZERO, Portfolio
from trader.core.values import altered, maker, quick

AGREEING = 3  # readings in a row above the peak before it moves


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """`equity` is what counts; `problem` says why it is not the venue's, or ""."""

    equity: Decimal
    problem: str = ""


_new_worth = maker(Worth)


def worth_of(portfolio: Portfolio, cash: Decimal | None, band: Decimal) -> Worth:
    """`cash`: by the books; None where there are none yet. `band`: of equity, for what we don't count ourselves (margin
    interest, marks that move between two answers)."""
    told = portfolio.account.equity
    if cash is None or not told.is_finite():
        return Worth(equity=told)
    own = cash + sum([position.notional for position in portfolio.positions.values()], ZERO)
    if not own.is_finite() or abs(told - own) <= band * max(abs(own), abs(told)):
        return _new_worth(equity=told)
    problem = f"equity {told:.2f} by the venue, {own:.2f} by cash and units"
    return Worth(equity=min(told, own), problem=problem)


def at_worth(portfolio: Portfolio, worth: Worth) -> Portfolio:
    """With the equity that counts, and no more to be spent than that: buying power is told by the same account."""
    account = portfolio.account
    if not worth.problem:
        return portfolio
    power = min(account.buying_power, max(worth.equity, ZERO)) if account.buying_power.is_finite() else ZERO
    return altered(portfolio, account=altered(account, equity=worth.equity, buying_power=power))


@dataclass(slots=True)
class Peak:
    """The highest equity so far. One reading alone does not move it, but the first."""

    value: Decimal | None = None
    above: deque[Decimal] = field(default_factory=lambda: deque(maxlen=AGREEING))

    def reached(self, equity: Decimal) -> bool:
        """Whether it has moved."""
        if self.value is None:
            self.value = equity
            return True
        if equity <= self.value:
            self.above.clear()
            return False
        self.above.append(equity)
        if len(self.above) < AGREEING:
            return False
        self.value = min(self.above)
        return True
