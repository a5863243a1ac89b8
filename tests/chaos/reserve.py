"""The reserve of a scenario, in memory: it outlives a crash, which may come before and after each of its writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from tests.chaos.active import Active
from trader.core.types import OrderIntent
from trader.trading.ports import Reserved


class ChaosReserve:
    """Its room can't be made while the disk is full. `used`: how many exits went through it."""

    def __init__(self, active: Active, boundary: Callable[[], None]) -> None:
        self._active, self._boundary = active, boundary
        self._kept: dict[str, Reserved] = {}
        self._whole = True
        self.used = 0

    def add(self, cycle_id: str, intent: OrderIntent, at: datetime) -> None:
        self._boundary()
        assert intent.client_order_id not in self._kept
        self._kept[intent.client_order_id] = Reserved(cycle_id=cycle_id, intent=intent, at=at)
        self.used += 1
        self._boundary()

    def note(self, client_order_id: str, state: str, order_id: str | None, reason: str) -> None:
        self._boundary()
        before = self._kept.get(client_order_id)
        if before is not None:
            self._kept[client_order_id] = replace(before, state=state, order_id=order_id or before.order_id)

    def kept(self) -> Sequence[Reserved]:
        return tuple(self._kept.values())

    def names(self) -> frozenset[str]:
        return frozenset(self._kept)

    def clear(self) -> None:
        self._boundary()
        self._kept.clear()
        self._boundary()

    def is_whole(self) -> bool:
        return self._whole

    def make_room(self) -> bool:
        full = any(each.what == "journal full" for each in self._active.at(self._active.now()))
        self._whole = self._whole or not full
        return self._whole

    def give_room(self) -> None:
        self._whole = False

    def lacking(self) -> int:
        return 0
