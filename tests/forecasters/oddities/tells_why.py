"""Says why it has no forecast of a symbol, and how much of another's it mended; or what is neither, by a symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forecasters.base import Mended
from forecasters.types import Context, Forecast

from ._common import Flat, Options, flat, requires

__all__ = ["Options", "build", "requires"]


class Telling(Flat):
    def __init__(self) -> None:
        super().__init__()
        self.refusals: Any = {}
        self.mended: Any = {}

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        symbols = [context.symbol for context in contexts]
        self.refusals = {"THIN/USD": "hardly\na trade", "OTHER/USD": "of nobody's question"}
        self.mended = {"BTC/USD": Mended(mended=12, dropped=1, of=30)}
        if "NONSENSE/USD" in symbols:
            self.refusals, self.mended = 7, dict.fromkeys(symbols, "a little")
        return {context.symbol: flat(context) for context in contexts if context.symbol != "THIN/USD"}


def build(options: Options) -> Telling:
    return Telling()
