"""The invariants of core/invariants.py, looked at after each run of the positions job."""

from __future__ import annotations

from dataclasses import dataclass, field

from trader.core.decision import RiskLimits
from trader.core.invariants import violations
from trader.core.portfolio import is_ours
from trader.core.types import Portfolio
from trader.trading.desk import Desk

IN_A_ROW = 2  # runs: between an order and its report the venue's lists may disagree for a moment


@dataclass(slots=True, kw_only=True)
class StandingRules:
    """What does not hold in two runs in a row halts the entries, with its figures. With the desk's lock held."""

    limits: RiskLimits
    _standing: dict[str, int] = field(default_factory=dict)  # what does not hold, and for how many runs

    def look(self, desk: Desk, portfolio: Portfolio) -> None:
        limits, equity = self.limits, portfolio.account.equity
        broken_rules = violations(
            portfolio,
            _known(desk, portfolio),
            equity,
            max_symbol=limits.max_symbol,
            max_gross=limits.max_gross,
        )
        if not (broken_rules or self._standing):
            return
        # by what it is about: the figures of one violation change from run to run
        self._standing = {subject: self._standing.get(subject, 0) + 1 for subject in map(_about, broken_rules)}
        for text in broken_rules:
            if self._standing[_about(text)] == IN_A_ROW:
                desk.halt(f"this must never be: {text}")


def _about(text: str) -> str:
    return text.partition(":")[0]


def _known(desk: Desk, portfolio: Portfolio) -> frozenset[str]:
    """Names of our open orders that the journal has made. Those that are over in it are asked for one by one."""
    if not portfolio.orders:
        return frozenset()
    live = {record.intent.client_order_id for record in desk.known.live()}
    ours = {order.client_order_id for order in portfolio.orders if is_ours(order, desk.account_id)}
    if ours <= live:
        return frozenset(ours)
    made = {record.intent.client_order_id for record in desk.journal.intents()}
    return frozenset(ours & (live | made))
