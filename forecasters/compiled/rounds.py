"""Which symbols of a forecast are compared with eager's: each within so many forecasts, however many there are."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

IN_A_ROW = 4  # looks at one symbol in which a path turned: one may be rounding
_GOLDEN = (math.sqrt(5) - 1) / 2


class Rounds:
    """One look in each block of `every` forecasts, at another place in each: a fault that comes once in so many
    forecasts has no place to hide. A symbol that was suspicious is looked at in each until it is not."""

    def __init__(self, every: int, within: int) -> None:
        """every: 0 for never. within: forecasts until each symbol was looked at, whatever `every` says."""
        self._length = min(every, within)
        self._blocks = max(1, within // self._length - (self._length > 1)) if self._length else 0
        self._forecasts = 0
        self._looked = dict[str, int]()
        self._suspected = dict[str, int]()  # looks in a row

    def due(self, symbols: Sequence[str]) -> list[str]:
        """Of this forecast, those looked at the longest ago. To be called once for each."""
        if not self._length:
            return []
        number, place = divmod(self._forecasts, self._length)
        self._forecasts += 1
        suspects = [symbol for symbol in symbols if symbol in self._suspected]
        if place != int(number * _GOLDEN % 1 * self._length):
            return suspects
        count = math.ceil(len(symbols) / self._blocks)
        oldest = sorted(symbols, key=lambda symbol: self._looked.get(symbol, -1))[:count]
        return [symbol for symbol in symbols if symbol in oldest or symbol in suspects]

    def looked(self, symbols: Collection[str], suspicious: Collection[str]) -> str:
        """What the looks in a row come to, empty where nothing."""
        for symbol in symbols:
            self._looked[symbol] = self._forecasts
            if symbol not in suspicious:
                self._suspected.pop(symbol, None)
        for symbol in suspicious:
            self._suspected[symbol] = self._suspected.get(symbol, 0) + 1
            if self._suspected[symbol] >= IN_A_ROW:
                return f"{symbol}: paths turned in {IN_A_ROW} looks in a row"
        return ""
