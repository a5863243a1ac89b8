"""What a planned trade brings on each path of a forecast, after its costs: the ground of expected values and Kelly.

The same rules as the engine's. The entry rests for the first bar only (the daemon withdraws it at the next close) and
fills where the market trades through it. In the entry's own bar the stop may fire and the target may not; where a
later bar touches both, the stop counts, unless that bar opens beyond the target: the open comes before both extremes.
A stop that a bar opens beyond is left at that open; a target counts at its own price, though a jump over it may bring
more. What is still held at the last step is sold at its close. Stops and that last sale cross the spread and pay the
taker's fee.

Everything is signed: prices of a short are negated, so that "better" is "greater" for both sides.
Legend: S paths, H steps, T targets, K stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, HIGH, LOW, OPEN, Forecast
from trader.core.types import EntrySide, Instrument, Quote

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

MADE_PATHS = 256  # from a forecast that has quantiles only
_BPS = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Shares of the price of each fill (0.001 is ten basis points)."""

    entry: float
    target: float
    taken: float  # a stop, or the sale at the horizon's end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """The paths as one side sees them: `worst` is a long's low and a short's high, negated.

    opened, worst, best  [S, H] quote currency, signed
    closed               [S]    at the last step, signed
    """

    side: EntrySide
    opened: Floats
    worst: Floats
    best: Floats
    closed: Floats


def costs_of(instrument: Instrument, quote: Quote, *, entry_crosses: bool, target_rests: bool) -> Costs:
    """From the instrument's fees and half of the quoted spread for each leg that crosses.

    target_rests  whether the target surely waits at the venue; where it is only watched it may have to be taken
    """
    half = float(quote.spread_bps) / 2 / _BPS
    maker, taken = float(instrument.fees.maker_bps) / _BPS, float(instrument.fees.taker_bps) / _BPS + half
    return Costs(entry=taken if entry_crosses else maker, target=maker if target_rests else taken, taken=taken)


def outlook(forecast: Forecast, side: EntrySide, steps: int) -> Outlook:
    """The first `steps` of the paths; fewer where the forecast is shorter.

    A forecast without paths is given some: see `made_paths`.
    """
    paths = (forecast.paths if forecast.paths is not None else made_paths(forecast))[:, :steps]
    sign = float(side.sign)
    worst, best = (LOW, HIGH) if side is EntrySide.LONG else (HIGH, LOW)
    return Outlook(
        side=side,
        opened=sign * paths[:, :, OPEN],
        worst=sign * paths[:, :, worst],
        best=sign * paths[:, :, best],
        closed=sign * paths[:, -1, CLOSE],
    )


def made_paths(forecast: Forecast) -> Floats:
    """[MADE_PATHS, H, C] paths with the forecast's own quantiles at every step.

    Ranks at different steps are tied by the copula of a random walk (correlation sqrt(i / j) of steps i <= j). Within
    a bar all four prices have one rank: the pessimistic choice, since what fills a low entry then closes low as well.
    Beyond the outermost levels nothing was forecast: those ranks take the outermost quantile.
    """
    levels, table = forecast.levels, forecast.quantiles  # [Q], [Q, H, C]
    ranks = np.clip(_walk_ranks(table.shape[1]), levels[0], levels[-1])  # [S, H]
    above = np.clip(np.searchsorted(levels, ranks), 1, max(len(levels) - 1, 1))
    if len(levels) == 1:
        return np.repeat(table, len(ranks), axis=0)
    share = ((ranks - levels[above - 1]) / (levels[above] - levels[above - 1]))[:, :, None]
    steps = np.arange(table.shape[1])
    paths: Floats = table[above - 1, steps] * (1 - share) + table[above, steps] * share
    return paths


def proceeds(look: Outlook, targets: Floats, stops: Floats, costs: Costs, *, entered: bool) -> Floats:
    """What one unit brings when it is left, signed, less the costs of leaving.

    targets  [T] signed;  stops  [K] signed
    entered  whether the first step is the entry's own bar
    returns  [S, T, K]
    """
    target_at = _first(look.best[:, :, None] > targets, skip=int(entered))  # [S, T]
    beyond_at = _first(look.opened[:, :, None] > targets, skip=int(entered))  # [S, T]
    stop_at = _first(look.worst[:, :, None] <= stops, skip=0)  # [S, K]
    steps = look.best.shape[1]
    open_prices = np.take_along_axis(look.opened, np.minimum(stop_at, steps - 1), axis=1)
    stop_prices = (
        np.minimum(stops, open_prices) if not entered else np.where(stop_at > 0, np.minimum(stops, open_prices), stops)
    )
    at_stop, at_close = _less(stop_prices, costs.taken), _less(look.closed, costs.taken)
    # a stop that never fires is at `steps`, and nothing is later than that
    is_stop = (stop_at[:, None, :] <= target_at[:, :, None]) & (stop_at[:, None, :] < beyond_at[:, :, None])
    otherwise = np.where(target_at < steps, _less(targets, costs.target), at_close[:, None])  # [S, T]
    gains: Floats = np.where(is_stop, at_stop[:, None, :], otherwise[:, :, None])
    return gains


def filled(look: Outlook, entries: Floats) -> NDArray[np.bool_]:
    """[S, E]: whether the first bar trades through the entry."""
    through: NDArray[np.bool_] = look.worst[:, :1] < entries
    return through


def net_returns(
    forecast: Forecast,
    side: EntrySide,
    levels: tuple[Decimal, Decimal, Decimal],
    costs: Costs,
    *,
    entry_crosses: bool,
    steps: int,
) -> Floats:
    """Net return of each path on which the entry fills [<= S], in path order.

    levels         entry, target, stop: prices
    entry_crosses  whether it takes what is on offer, and so fills on every path
    """
    look = outlook(forecast, side, steps)
    entry, target, stop = (np.array([side.sign * float(price)]) for price in levels)
    money_back = proceeds(look, target, stop, costs, entered=True)[:, 0, 0]
    returns: Floats = (money_back - entry) / abs(entry) - costs.entry
    return returns if entry_crosses else returns[filled(look, entry)[:, 0]]


def _less(prices: Floats, cost: float) -> Floats:
    """Signed prices after a cost: a seller gets less, a buyer pays more."""
    return prices - cost * np.abs(prices)


def _first(happens: NDArray[np.bool_], *, skip: int) -> Integers:
    """[S, H, N] -> [S, N]: the first step from `skip` on; H where there is none."""
    steps = happens.shape[1]
    rest = happens[:, skip:]
    if rest.shape[1] == 0:
        return np.full((happens.shape[0], happens.shape[2]), steps, dtype=np.intp)
    firsts: Integers = np.where(rest.any(axis=1), rest.argmax(axis=1) + skip, steps)
    return firsts


@lru_cache(maxsize=16)
def _walk_ranks(steps: int) -> Floats:
    """[MADE_PATHS, H] in (0, 1): evenly spread at each step, tied over the steps as a random walk's are.

    The increments are a low-discrepancy sequence (Kronecker's, by the roots of primes), so nothing is drawn. At each
    step the walks are ranked, which makes every margin exactly uniform.
    """
    index = np.arange(1, MADE_PATHS + 1)
    normal = NormalDist()
    walks = np.zeros(MADE_PATHS)
    ranks = np.empty((MADE_PATHS, steps))
    for step, prime in zip(range(steps), _primes(steps), strict=True):
        even = (index * math.sqrt(prime)) % 1.0
        even = (np.argsort(np.argsort(even, kind="stable"), kind="stable") + 0.5) / MADE_PATHS
        walks = walks + np.array([normal.inv_cdf(float(each)) for each in even])
        ranks[:, step] = (np.argsort(np.argsort(walks, kind="stable"), kind="stable") + 0.5) / MADE_PATHS
    ranks.flags.writeable = False
    return ranks


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found
