"""Which symbols one pass of a network forecasts.

A pass over many costs less than as many passes. Eager, it takes any number of symbols. Compiled, it takes the numbers
that were prepared: one, for whoever asks for a single symbol, and as many as a cycle has; fewer are filled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasters.toto.bars import Group
from forecasters.types import Context

if TYPE_CHECKING:
    from forecasters.toto.toto2.model import Quantiles, Toto2

AT_ONCE = 16  # symbols of one pass: more of them take memory and no less time


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """sizes  symbols of a pass, increasing: what is prepared, or the largest alone where any number is possible
    least  so many symbols are worth a pass of the largest size; fewer are asked for one by one
    """

    sizes: tuple[int, ...]
    least: int

    def of(self, contexts: Sequence[Context], bars: int) -> Iterator[Sequence[Context]]:
        """Those of one pass have equally many bars, of which the newest `bars` count, and one horizon."""
        alike: dict[tuple[int, int], list[Context]] = {}
        for context in contexts:
            alike.setdefault((min(len(context), bars), len(context.future_times)), []).append(context)
        most = self.sizes[-1]
        for group in alike.values():
            for start in range(0, len(group), most):
                part = group[start : start + most]
                yield from ([part] if len(part) >= self.least else ([each] for each in part))


ONE_BY_ONE = Passes(sizes=(1,), least=1)
ANY_NUMBER = Passes(sizes=(AT_ONCE,), least=1)


def prepared_passes(symbols: int) -> Passes:
    """For cycles of so many: as few passes as there can be, of one size."""
    size = -(-symbols // -(-symbols // AT_ONCE))
    return Passes(sizes=tuple(sorted({1, size})), least=-(-3 * size // 4))  # one that is emptier saves nothing


def quantiles_of(model: Toto2, groups: Sequence[Group], horizon: int) -> list[Quantiles]:
    """Of each group, values [Q, C, H] in main memory, by one pass in which no group sees another."""
    from forecasters.toto.toto2.model import Quantiles

    series, mask = (np.concatenate(parts) for parts in zip(*((g.series, g.mask) for g in groups), strict=True))
    channels = len(groups[0].series)
    found = model.ordered(series, mask, horizon, groups=np.repeat(np.arange(len(groups)), channels).tolist())
    values = found.values.cpu()  # [Q, V, H]
    starts = range(0, len(series), channels)
    return [Quantiles(values=values[:, i : i + channels], crossings=found.crossings[i : i + channels]) for i in starts]
