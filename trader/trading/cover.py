"""Whether the exits that rest are for all that is held: one for less leaves the rest to the market."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal

from trader.core.portfolio import is_dust, is_held
from trader.core.protect import own_exits
from trader.core.types import ZERO, Instrument, Order, Position, Symbol
from trader.trading.status import Board
from trader.trading.unwatched import NO_COVER, NO_EXIT, Unwatched


class Cover:
    """With the desk's lock held. What is too small to be sold is no alarm; it is said once, and shown in the status."""

    def __init__(self, board: Board, unwatched: Unwatched) -> None:
        self._board, self._unwatched = board, unwatched

    def look(
        self, symbol: Symbol, position: Position | None, orders: Sequence[Order], instrument: Instrument | None
    ) -> None:
        exits, rest = own_exits(orders), ZERO
        if position is not None:
            rest = max(abs(position.qty) - sum([order.remaining for order in exits], ZERO), ZERO)
        small = position is None or instrument is None or _is_small(position, rest, instrument)
        if exits or not is_held(position, instrument):
            self._unwatched.in_order(symbol, NO_EXIT)
        if not exits or not rest or (small and instrument is not None):
            self._unwatched.in_order(symbol, NO_COVER)  # without any exit, NO_EXIT says it
        shown = rest if small and instrument is not None and rest >= instrument.lot else ZERO
        if shown != self._board.dust.get(symbol, ZERO):
            self._show(symbol, shown)

    def gone(self, held: Collection[Symbol]) -> None:
        """All that is held: of anything else there is no dust."""
        if not self._board.dust.keys() <= set(held):
            self._board.dust = {symbol: qty for symbol, qty in self._board.dust.items() if symbol in held}

    def _show(self, symbol: Symbol, qty: Decimal) -> None:
        if qty:
            self._board.say("dust", f"{qty} {symbol} have no exit: less than the venue takes in an order")
        others = {each: known for each, known in self._board.dust.items() if each != symbol}
        self._board.dust = {**others, symbol: qty} if qty else others


def _is_small(position: Position, rest: Decimal, instrument: Instrument) -> bool:
    return not rest or is_dust(replace(position, qty=rest if position.qty > 0 else -rest), instrument)
