"""An entry just before it goes: what was true when it was decided on may not be any more."""

from __future__ import annotations

from datetime import datetime, timedelta

from trader.core.decision import Levels, RiskLimits
from trader.core.ids import purpose_of
from trader.core.portfolio import is_held
from trader.core.quotes import is_beyond, quote_problem
from trader.core.types import OrderIntent, Portfolio, Quote, Symbol
from trader.errors import Transient
from trader.trading.commands import ENDING_ENTRIES
from trader.trading.desk import Desk
from trader.trading.ports import MarketData
from trader.trading.positions import Manager

STILL_FRESH = timedelta(seconds=1)  # since the decision: its quotes are those of now


class LastLook:
    """With the desk's lock held. `quotes` are those that were decided on, `levels` what goes with the entries."""

    def __init__(self, desk: Desk, manager: Manager, market: MarketData, decided_at: datetime) -> None:
        self._desk, self._manager, self._market, self._decided_at = desk, manager, market, decided_at

    def unwanted(
        self,
        intent: OrderIntent,
        portfolio: Portfolio,
        quote: Quote | None,
        levels: Levels | None,
        now: datetime,
        limits: RiskLimits,
        decided_on: Portfolio,
    ) -> str:
        """Why it is not to be sent after all; "" for no reason."""
        switched = switched_off(self._desk)
        if switched:
            return switched
        stale = quote_problem(quote, now, limits)
        if stale is not None:
            return f"quote: {stale}"
        if intent.symbol in self._manager.awaited(but=intent):
            return "an earlier entry may still arrive"
        if self._has_changed(intent.symbol, portfolio, decided_on):
            return "filled or taken while this was decided"
        return self._stopped(intent, quote, levels, now, limits)

    def _has_changed(self, symbol: Symbol, portfolio: Portfolio, decided_on: Portfolio) -> bool:
        """What is held is added to only while it is what was decided on, with nothing beside it but our exits."""
        instrument, position = self._manager.instruments.get(symbol), portfolio.position(symbol)
        before, orders = decided_on.position(symbol), portfolio.orders_of(symbol)
        if not (is_held(position, instrument) or is_held(before, instrument)):
            return bool(orders)
        if position is None or before is None or position.qty != before.qty:
            return True
        return not all((why := purpose_of(order)) is not None and why.reduces for order in orders)

    def _stopped(
        self, intent: OrderIntent, quote: Quote | None, levels: Levels | None, now: datetime, limits: RiskLimits
    ) -> str:
        """It would be sold at once, by the stop that it is given."""
        if now - self._decided_at > STILL_FRESH:
            quote = self._quote_of_now(intent)
            problem = quote_problem(quote, max(now, self._desk.clock.now()), limits)
            if problem is not None:
                return f"quote: {problem}"
        stop = levels.stop if levels is not None and levels.entry_side is intent.entry_side else None
        if stop is not None and quote is not None and is_beyond(quote, stop, intent.entry_side):
            return f"the market has passed its stop of {stop}"
        return ""

    def _quote_of_now(self, intent: OrderIntent) -> Quote | None:
        try:
            return self._market.quotes([intent.symbol]).get(intent.symbol)
        except Transient:
            return None


def switched_off(desk: Desk) -> str:
    """Why no entry goes any more, though one was decided on."""
    if desk.ending:
        return "the daemon is asked to stop"
    flagged = next((f"{name}: {reason}" for name, reason in desk.flags().items() if reason), "")
    asked = [each.kind for each in desk.journal.pending_commands() if each.kind in ENDING_ENTRIES]
    return flagged or (f"{asked[0]} by command" if asked else "") or desk.doubt()
