"""Who keeps the books tells the desk of what concerns it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trader.core.types import Execution, Symbol


class Listener(Protocol):
    """The desk, as far as the books concern it."""

    restated: dict[Symbol, datetime]
    on_fill: Callable[[Execution], None]
    equity_band: Decimal

    def halt(self, reason: str) -> None: ...

    def set_flag(self, name: str, reason: str) -> None: ...

    def alert(self, kind: str, severity: str, detail: str) -> None: ...

    def pause(self, seconds: float) -> None: ...
