"""Which fill a posted fee is of.

The venue posts crypto fees apart from the fills, hours later: one entry for each fill, dated, naming no order. In a
coin it gives the symbol, the units and a price that may be rounded to nothing; in dollars not even the symbol, and the
amount is rounded up to a cent. So it is joined by execution id or order id where there is one, else by side, symbol and
day, to the fill whose fee it is by one of the schedule's rates.

Which is whose depends on the sets alone, not on the order in which they came: it is found anew with each new entry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from trader.core.fees import CRYPTO_TIERS, fee_of, schedule_for
from trader.core.postings import Posting
from trader.core.types import ZERO, AssetClass, Execution, OrderSide

POSTED_WITHIN = timedelta(days=3)  # of the fill; afterwards our estimate stands
_LARGEST_RATIO = Decimal("1.5")  # a posted fee further above the schedule's is of another fill
_A_DAY = timedelta(days=1)  # the venue's date may be New York's
_CENT, _UNIT = Decimal("0.01"), Decimal("0.00000001")
_PRICE_ROOM = Decimal("0.02")
_RATES = sorted({bps for _, maker, taker in CRYPTO_TIERS for bps in (maker, taker) if bps})


class _Pair(NamedTuple):
    """Better ones are less: by name, then by one of the rates exactly, then by how far off."""

    unnamed: bool
    inexact: bool
    off: Decimal
    price_off: Decimal
    at: float
    fill: str
    posting: str


@dataclass(frozen=True, slots=True)
class _Charged:
    """A fill with what its fee may be: reckoned once, for there is a pair of it with each entry."""

    fill: Execution
    amounts: Sequence[Decimal]  # by each of the rates, the smallest first
    estimate: Decimal
    first_day: date
    last_day: date

    def off(self, amount: Decimal) -> Decimal:
        """By how much that is none of them."""
        place = bisect_left(self.amounts, amount)
        return min(abs(amount - each) for each in self.amounts[max(place - 1, 0) : place + 1])


def _charged(fill: Execution) -> _Charged:
    return _Charged(
        fill=fill,
        amounts=sorted(fee_of(fill.symbol, fill.side, fill.qty, fill.price, bps)[0] for bps in _RATES),
        estimate=estimate(fill)[0],
        first_day=fill.at.date() - _A_DAY,
        last_day=(fill.at + POSTED_WITHIN).date(),
    )


def joined(fills: Sequence[Execution], postings: Sequence[Posting]) -> dict[str, Posting]:
    """Postings by the id of the fill that each is the fee of; each once, and no fill twice."""
    fees = {fee.id: fee for fee in postings if fee.is_fee and (fee.cash or fee.qty or fee.execution_id)}
    coins = {fill.id: fill for fill in fills if fill.symbol.asset_class is AssetClass.CRYPTO}
    charges = [_charged(fill) for fill in coins.values()]
    pairs = sorted(pair for fee in fees.values() for charge in charges if (pair := _pair(fee, charge)) is not None)
    owners: dict[str, str] = {}  # the posting of each fill
    exact = [pair for pair in pairs if not pair.inexact]
    # exactly first: an amount that two fills could have been charged goes where the other one is explained as well
    for choice in (exact, pairs):
        _assign(choice, owners)
    return {fill: fees[posting] for fill, posting in owners.items()}


def _assign(pairs: Sequence[_Pair], owners: dict[str, str]) -> None:
    """As many of these postings as can be, the better pairs first. `owners` is added to."""
    posting_ids = set(owners.values())
    choices: dict[str, list[str]] = {}
    for pair in pairs:
        choices.setdefault(pair.posting, []).append(pair.fill)
        if pair.fill not in owners and pair.posting not in posting_ids:
            owners[pair.fill] = pair.posting
            posting_ids.add(pair.posting)
    for posting in sorted(choices.keys() - posting_ids):
        _make_room(posting, choices, owners)


def _make_room(posting: str, choices: Mapping[str, Sequence[str]], owners: dict[str, str]) -> None:
    """The fills that it may be of have other fees: each of them may be of another fill, if the last one is free."""
    had = {owner: fill for fill, owner in owners.items()}
    wanted_by = dict[str, str]()  # each fill, by the posting that would take it
    waiting = deque([posting])
    while waiting:
        wishing = waiting.popleft()
        for fill in choices[wishing]:
            if fill in wanted_by:
                continue
            wanted_by[fill] = wishing
            if fill in owners:
                waiting.append(owners[fill])
                continue
            while True:  # back along the wishes: each takes what it wished for, and gives up what it had
                taker = owners[fill] = wanted_by[fill]
                if taker == posting:
                    return
                fill = had[taker]


def with_fee(fill: Execution, fee: Posting | None) -> Execution:
    """As it was charged; without an entry, as we think it will be."""
    if fee is None:
        amount, currency = estimate(fill)
        return replace(fill, fee=amount, fee_currency=currency, fee_estimated=True)
    currency = fill.symbol.base if fee.qty else fill.symbol.currency
    return replace(fill, fee=-(fee.qty or fee.cash), fee_currency=currency, fee_estimated=False)


def estimate(fill: Execution) -> tuple[Decimal, str]:
    """At the first tier's taker rate: the venue charges no more than that."""
    bps = schedule_for(fill.symbol.asset_class).taker_bps
    return fee_of(fill.symbol, fill.side, fill.qty, fill.price, bps)


def _pair(fee: Posting, charged: _Charged) -> _Pair | None:
    fill, off, price_off = charged.fill, ZERO, ZERO
    if fee.execution_id:
        if fee.execution_id != fill.id:
            return None
    else:
        if not _may_be(fee, charged):
            return None
        off = charged.off(-(fee.qty or fee.cash))
        if fee.price:
            price_off = abs(fee.price / fill.price - 1)
    room = _UNIT if fee.qty else _CENT
    if off > room and fee.kind == "FEE" and not (fee.symbol or fee.order_id):
        return None  # of a stock's sale, for all it says: a coin's is by one of the rates
    return _Pair(
        unnamed=not fee.execution_id,
        inexact=off > room,
        off=off if off > room else ZERO,
        price_off=price_off,
        at=fill.at.timestamp(),
        fill=fill.id,
        posting=fee.id,
    )


def _may_be(fee: Posting, charged: _Charged) -> bool:
    fill, amount = charged.fill, -(fee.qty or fee.cash)
    if fee.order_id and fee.order_id != fill.order_id:
        return False
    if fee.symbol is not None and fee.symbol != fill.symbol:
        return False
    if bool(fee.qty) is not (fill.side is OrderSide.BUY):
        return False
    if not charged.first_day <= fee.day <= charged.last_day:
        return False
    if fee.price and abs(fee.price / fill.price - 1) > _PRICE_ROOM:
        return False
    room = _UNIT if fee.qty else _CENT
    return ZERO < amount <= charged.estimate * _LARGEST_RATIO + room
