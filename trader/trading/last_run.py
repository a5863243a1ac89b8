"""What is done before the daemon goes: nobody will watch, so entries are cancelled and the stop is what rests."""

from __future__ import annotations

from dataclasses import replace

from trader.core.decision import ExitRests
from trader.core.ids import purpose_of
from trader.core.portfolio import is_held
from trader.core.protect import own_exits, stop_of
from trader.core.types import Order, OrderStatus, Portfolio, Position, Purpose
from trader.errors import DatabaseAway, DatabaseUnusable, Transient
from trader.trading import failpoints
from trader.trading.last_resort import leave_stops
from trader.trading.patience import Patience
from trader.trading.positions import Manager

WAITS_S = 30.0  # for cancels that wait at the venue; the service manager ends what takes a minute


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
            desk.leaving = True
            portfolio = manager.protect_all(portfolio)
            if desk.cancels_wait():
                _leave_what_protects(manager, portfolio)
        except (DatabaseAway, DatabaseUnusable) as error:
            _leave_unrecorded(manager, str(error))
        except Transient as error:
            desk.alert("shutdown", "error", f"left without tidying up: {error}")


def _leave_what_protects(manager: Manager, portfolio: Portfolio) -> None:
    """Where cancels wait, no stop can take a target's place at once. What rests stays then; a stop follows a cancel
    that is obeyed soon; and a person is told which position is left with what."""
    desk = manager.desk
    patience = Patience(desk.clock, WAITS_S)
    while any(map(_is_going, portfolio.orders)) and not patience.is_over():
        desk.pause(1.0)
        portfolio = manager.protect_all(desk.sync())
    withheld = desk.consent.withheld()
    for symbol, position in sorted(portfolio.positions.items()):
        instrument = manager.instruments.get(symbol)
        if instrument is not None and symbol not in withheld and is_held(position, instrument):
            told = _without_a_stop(position, own_exits(portfolio.orders_of(symbol)))
            if told:
                desk.alert("shutdown", "error", f"{symbol}: {position.qty} {told}")


def _is_going(order: Order) -> bool:
    return order.status is OrderStatus.PENDING_CANCEL and bool((purpose := purpose_of(order)) and purpose.reduces)


def _without_a_stop(position: Position, exits: tuple[Order, ...]) -> str:
    """In words; "" where a stop rests and stays."""
    staying = [order for order in exits if not _is_going(order)]
    if any(stop_of(order) is not None for order in staying):
        return ""
    shown = ", ".join(f"{order.side} {order.remaining} at {order.limit_price} ({order.id})" for order in exits)
    if staying:
        return f"left with its target alone, {shown}: the venue lets cancels wait, so no stop could take its place"
    if exits:
        return (
            f"left with nothing: {shown} is being cancelled, and no stop can rest before that is done. Start the "
            "daemon again soon, or place a stop by hand then"
        )
    return "left with nothing at rest: start the daemon again soon, or place a stop by hand"


def _leave_unrecorded(manager: Manager, why: str) -> None:
    desk, withheld = manager.desk, manager.desk.consent.withheld()
    ours = {symbol: rules for symbol, rules in manager.instruments.items() if symbol not in withheld}
    troubles = leave_stops(
        desk.broker, desk.clock, desk.account_id, manager.board.levels, ours, manager.policy, desk.pause
    )
    left = "; ".join(troubles) or "entries are cancelled and each stop rests"
    desk.alert("shutdown", "error", f"left without a record ({why}): {left}")
