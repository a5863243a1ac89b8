"""The expected-value search counts fills as the simulated venue makes them: the same bars through both."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from forecasters.types import HIGH, LOW, OPEN, quantiles_of
from tests.core.make import LEVELS, forecast
from tests.core.test_expected_levels import walks
from tests.exchange.engine.scene import BUY, LIMIT, SELL, SPY, Scene
from trader.core.outcomes import Costs, net_returns
from trader.core.types import EntrySide, OrderClass, OrderSide
from trader.exchange.engine.events import Phase

D = Decimal
SPREAD = D("0.02")  # of about 100: the book that every crossing leg pays half of


def played(bars: np.ndarray, side: OrderSide, entry: Decimal, target: Decimal, stop: Decimal) -> float | None:  # type: ignore[type-arg]
    """What the venue makes of a bracket placed in the first bar's first quarter: its return, None without a fill.

    Each bar is its open and then one stretch over its whole range: the pessimistic order of events.
    """
    scene = Scene(stop_slip=D(0))
    sent = None
    for opened, high, low, close in ([D(f"{price:.2f}") for price in bar] for bar in bars):
        scene.tape(Phase.OPEN, opened, symbol=SPY, spread=SPREAD)
        if sent is None:
            sent = scene.submit(
                side, LIMIT, 1, symbol=SPY, limit=entry, order_class=OrderClass.BRACKET, take_profit=target,
                stop_loss=stop,
            )  # fmt: skip
        scene.tape(Phase.CLOSE, low, high, close, symbol=SPY, spread=SPREAD)
        if not scene.fills:
            return None  # the daemon withdraws what the first bar did not fill
    sign = 1 if side is BUY else -1
    out = scene.fills[1].price if len(scene.fills) > 1 else close - sign * SPREAD / 2
    return float((out / scene.fills[0].price - 1) * sign)


def with_gaps(bars: np.ndarray, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """The same bars, each after the first opened somewhere else than the one before closed."""
    moved = bars.copy()
    moved[1:, OPEN] *= np.exp(np.random.default_rng(seed).normal(0, 0.008, len(bars) - 1))
    moved[:, HIGH], moved[:, LOW] = moved.max(axis=1), moved.min(axis=1)
    return moved


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from(list(EntrySide)),
    st.integers(1, 150),
    st.integers(5, 250),
    st.integers(5, 250),
    st.booleans(),
)
@example(
    282, EntrySide.LONG, 1, 5, 5, False
)  # the bar after the entry's opens beyond the target and then falls to the stop
def test_every_path_comes_out_as_at_the_venue(
    seed: int, side: EntrySide, away: int, up: int, down: int, gaps: bool
) -> None:
    walk = walks(seed, steps=4, count=1, last=100.0)[0]
    bars = np.round(with_gaps(walk, seed) if gaps else walk, 2)
    sign = side.sign
    entry = D(100) - sign * D(away) / 100
    target, stop = entry + sign * D(up) / 100, entry - sign * D(down) / 100
    touched = {round(float(price), 2) for price in (entry, target, stop)} & {round(float(p), 2) for p in bars.ravel()}
    assume(not touched)  # at the very price the queue decides
    order_side = BUY if side is EntrySide.LONG else SELL
    theirs = played(bars, order_side, entry, target, stop)
    paths = bars[None]
    guess = forecast(SPY, steps=4, paths=paths, quantiles=quantiles_of(paths, LEVELS))
    half = float(SPREAD) / 2 / 100
    costs = Costs(entry=0.0, target=0.0, taken=half)
    ours = net_returns(guess, side, (entry, target, stop), costs, entry_crosses=False, steps=4)
    if theirs is None:
        assert len(ours) == 0
    else:
        assert len(ours) == 1
        at_target = float((target / entry - 1) * sign)
        if gaps and ours[0] == pytest.approx(at_target, abs=1e-9):
            theirs = min(theirs, at_target)  # a jump over the target brings more; that is not counted on
        assert float(ours[0]) == pytest.approx(theirs, abs=3e-4)
