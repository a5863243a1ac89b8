"""The levels with the greatest expected return, searched on a grid of the paths' own quantiles.

Legend: S paths, E entries, T targets, K stops. Signed prices as in `outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.core.outcomes import Costs, Floats, Outlook, filled, proceeds

# Quantiles, as a long's. The search is as fine as some hundred paths can bear.
ENTRIES = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
TARGETS = np.array([0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
STOPS = np.array([0.2, 0.1, 0.05, 0.02, 0.005])
FEWEST_FILLED = 8  # paths: an average over fewer says nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Every combination of levels with what it is worth. Prices signed.

    entries [E], targets [T], stops [K]
    fills   [E]        share of the paths on which the entry fills
    values  [E, T, K]  mean net return over all paths, nothing where it does not fill; -inf where the levels are out
                       of order or too few paths fill
    """

    entries: Floats
    targets: Floats
    stops: Floats
    fills: Floats
    values: Floats

    def best(self) -> tuple[int, int, int] | None:
        """Indices of the greatest value, the first of equals; None where no combination is possible."""
        index = int(np.argmax(self.values))
        if not np.isfinite(self.values.flat[index]):
            return None
        entry, target, stop = np.unravel_index(index, self.values.shape)
        return int(entry), int(target), int(stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What three given levels are worth: means over all paths, an entry that does not fill counting nothing.

    value  net return      error  its standard error, from the number of paths
    fill   share of the paths that fill
    gross  mean return before costs on the paths that fill
    """

    value: float
    error: float
    fill: float
    gross: float


def grid(look: Outlook, limit: float, costs: Costs) -> Grid:
    """All combinations. `limit`: the best price (signed) at which an entry still waits, our own side of the book."""
    entries = np.unique(np.minimum(np.quantile(look.worst[:, 0], ENTRIES), limit))[::-1]
    targets, stops = _exits(look, entered=True)
    brought = proceeds(look, targets, stops, costs, entered=True)  # [S, T, K]
    through = filled(look, entries).astype(np.float64)  # [S, E]
    fills = through.mean(axis=0)
    # without BLAS: its sums may differ with the number of threads
    total = np.einsum("se,stk->etk", through, brought, optimize=False) / len(brought)
    price = entries[:, None, None]
    share = fills[:, None, None]
    values = (total - price * share) / np.abs(price) - costs.entry * share
    possible = (price > stops[None, None, :]) & (price < targets[None, :, None])
    possible &= (fills * len(brought) >= FEWEST_FILLED)[:, None, None]
    return Grid(entries=entries, targets=targets, stops=stops, fills=fills, values=np.where(possible, values, -np.inf))


def exits_of_held(look: Outlook, costs: Costs) -> tuple[float, float]:
    """The target and the stop, signed, with the greatest expected proceeds of what is held already."""
    targets, stops = _exits(look, entered=False)
    brought = proceeds(look, targets, stops, costs, entered=False).mean(axis=0)  # [T, K]
    target, stop = np.unravel_index(int(np.argmax(np.where(targets[:, None] > stops, brought, -np.inf))), brought.shape)
    return float(targets[target]), float(stops[stop])


def worth(look: Outlook, entry: float, target: float, stop: float, costs: Costs) -> Worth:
    """Of levels as they will stand on the tick, signed."""
    free = Costs(entry=0.0, target=0.0, taken=0.0)
    through = filled(look, np.array([entry]))[:, 0]
    net = _returns(look, entry, target, stop, costs, through) - np.where(through, costs.entry, 0.0)
    gross = _returns(look, entry, target, stop, free, through)
    count = int(through.sum())
    return Worth(
        value=float(net.mean()),
        error=float(net.std()) / float(np.sqrt(len(net))),
        fill=count / len(net),
        gross=float(gross.sum()) / count if count else 0.0,
    )


def _returns(
    look: Outlook, entry: float, target: float, stop: float, costs: Costs, through: NDArray[np.bool_]
) -> Floats:
    money_back = proceeds(look, np.array([target]), np.array([stop]), costs, entered=True)[:, 0, 0]
    returns: Floats = np.where(through, (money_back - entry) / abs(entry), 0.0)
    return returns


def _exits(look: Outlook, *, entered: bool) -> tuple[Floats, Floats]:
    """Candidates: quantiles of the best and the worst price while the position can be left there."""
    later = look.best[:, 1:] if entered and look.best.shape[1] > 1 else look.best
    targets = np.unique(np.quantile(later.max(axis=1), TARGETS))[::-1]
    stops = np.unique(np.quantile(look.worst.min(axis=1), STOPS))[::-1]
    return targets, stops
