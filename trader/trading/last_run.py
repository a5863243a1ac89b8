"""What is done before the daemon goes: nobody will watch, so entries are cancelled and the stop is what rests."""

from __future__ import annotations

from dataclasses import replace

from trader.core.decision import ExitRests
from trader.core.ids import purpose_of
from trader.core.types import Purpose
from trader.errors import DatabaseAway, DatabaseUnusable, Transient
from trader.trading import failpoints
from trader.trading.last_resort import leave_stops
from trader.trading.positions import Manager


def leave_safe(manager: Manager) -> None:
    """Without a journal, too: what ends the daemon may be just that."""
    desk = manager.desk
    with desk.lock:
        try:
            portfolio = desk.refresh()
            failpoints.reach("amid_leaving")
            entries = [order.id for order in portfolio.orders if purpose_of(order) is Purpose.ENTRY]
            if entries:
                desk.cancel(entries)
                portfolio = desk.refresh()
            manager.policy = replace(manager.policy, exit_rests=ExitRests.STOP)
            manager.protect_all(portfolio)
        except (DatabaseAway, DatabaseUnusable) as error:
            _leave_unrecorded(manager, str(error))
        except Transient as error:
            desk.alert("shutdown", "error", f"left without tidying up: {error}")


def _leave_unrecorded(manager: Manager, why: str) -> None:
    desk, withheld = manager.desk, manager.desk.consent.withheld()
    ours = {symbol: rules for symbol, rules in manager.instruments.items() if symbol not in withheld}
    troubles = leave_stops(
        desk.broker, desk.clock, desk.account_id, manager.board.levels, ours, manager.policy, desk.pause
    )
    left = "; ".join(troubles) or "entries are cancelled and each stop rests"
    desk.alert("shutdown", "error", f"left without a record ({why}): {left}")
