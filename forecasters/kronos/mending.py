"""Sampled paths to paths of bars that can be: what is out of order is put in order or left out, and counted.

A network draws the four prices of a bar together, as one token, and the decoder turns it into four numbers; nothing
there keeps a high above its close. In a quarter of the paths of the published models a bar within a day is out of
order. Leaving these paths out chooses calm ones: a bar of a wide range has more room to be right.

S samples, H horizon, C channels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecasters.base import Mended
from forecasters.types import in_order, out_of_order

Floats = NDArray[np.float64]
Misordered = Literal["sort", "drop"]


def mended_paths(drawn: Floats, misordered: Misordered) -> tuple[Floats, Mended]:
    """[S, H, C] -> those that can be, in the order in which they were drawn, and what was done to get there.

    A path with a price that is none, zero, negative or not finite, is left out always.
    """
    priced = np.isfinite(drawn).all(axis=(1, 2)) & (drawn > 0).all(axis=(1, 2))
    paths = drawn[priced]
    wrong = out_of_order(paths).any(axis=1)
    if misordered == "drop":
        paths = paths[~wrong]
        return paths, Mended(mended=0, dropped=len(drawn) - len(paths), of=len(drawn))
    return in_order(paths), Mended(mended=int(wrong.sum()), dropped=len(drawn) - len(paths), of=len(drawn))
