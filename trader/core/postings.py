"""What the venue's list of activities tells besides fills, and which of it explains a difference.

Fills move the books. A posting moves them only where the account shows that it has: the list and the account are two
systems, either may be first, and money may be in the opening balance or booked already. So an activity is the reason of
a difference, and never an amount to be added by itself; no order and no repetition of them books one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations

from trader.core.types import ZERO, Execution, Symbol
from trader.core.values import quick

CENT = Decimal("0.005")  # account currency: what is told to cents differs by no more
FEES = frozenset({"CFEE", "FEE"})
SPLITS = frozenset({"SPLIT", "SSP", "SSO"})
_TRANSFERS = frozenset({"CSD", "CSW", "JNL", "JNLC", "ACATC", "TRANS", "WH"})
_NAMES = {
    "FEE": "a fee", "CFEE": "a crypto fee", "INT": "interest", "DIV": "a dividend", "CSD": "a deposit",
    "CSW": "a withdrawal", "JNLC": "cash journaled", "JNLS": "shares journaled", "SPLIT": "a split",
    "SPIN": "a spin-off", "MA": "a merger", "NC": "a name change", "REORG": "a reorganisation",
    "OPASN": "an option assigned",
}  # fmt: skip
_MOST_AT_ONCE = 10  # of which every set is tried: 1,024


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An activity that is no fill. `cash` and `qty`: what it did to the cash and to the units of `symbol`, signed.

    day       as the venue dates it, which may be all that it says of when
    order_id, execution_id  of what it belongs to, where the venue says so
    """

    id: str
    kind: str
    day: date
    cash: Decimal = ZERO
    symbol: Symbol | None = None
    qty: Decimal = ZERO
    price: Decimal | None = None
    order_id: str = ""
    execution_id: str = ""
    detail: str = ""

    @property
    def is_fee(self) -> bool:
        return self.kind in FEES

    @property
    def is_transfer(self) -> bool:
        """Money that came in or went out: neither won nor lost."""
        return self.kind in _TRANSFERS

    @property
    def told(self) -> str:
        """In words, with the venue's own name for it: a type that nobody knew is kept as what it says it is."""
        what = _NAMES.get(self.kind, "of a type that is not known here")
        amount = f"{self.cash:f}" if self.cash or not self.qty else f"{self.qty:f} {self.symbol}"
        return f"{self.kind}, {what}: {amount} on {self.day}{f', {self.detail}' if self.detail else ''}"


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Activities:
    """One answer of the venue. Executions are oldest first, each with its fee or our estimate of it."""

    executions: Sequence[Execution] = ()
    postings: Sequence[Posting] = ()


def explaining(
    difference: Decimal, postings: Sequence[Posting], amount: Callable[[Posting], Decimal], room: Decimal
) -> tuple[Posting, ...]:
    """The postings whose amounts add up to `difference`, give or take `room`: the closest set, of those the smallest.

    Empty where there is none. It depends on neither their order nor how often each is told.
    """
    moving = sorted(
        {posting.id: posting for posting in postings if amount(posting)}.values(), key=lambda p: (p.day, p.id)
    )
    if not moving or abs(difference) <= room:
        return ()
    best: tuple[Decimal, int, int] | None = None
    best_set: tuple[Posting, ...] = ()
    for place, subset in enumerate(_sets(moving)):
        off = abs(sum([amount(posting) for posting in subset], ZERO) - difference)
        rank = (off, len(subset), place)
        if off <= room and (best is None or rank < best):
            best, best_set = rank, subset
    return best_set


def _sets(postings: Sequence[Posting]) -> Sequence[tuple[Posting, ...]]:
    """Every set of a few; of many, each alone and each run of neighbours."""
    count = len(postings)
    if count <= _MOST_AT_ONCE:
        return [subset for size in range(1, count + 1) for subset in combinations(postings, size)]
    return [tuple(postings[i:j]) for i in range(count) for j in range(i + 1, count + 1)]
