"""Any one forecast that is spoiled is noticed within the bound, whoever else is asked for, and is never certified."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.compiled.guard import FALLBACK, Guarded, GuardOptions
from forecasters.compiled.rounds import IN_A_ROW
from forecasters.compiled.trial import trial_contexts
from tests.forecasters.support import context
from tests.forecasters.twins import SAMPLES, Compiled, Eager, Paths

EVERY, WITHIN = 4, 16
Spoil = Callable[[Paths], Paths]


def everything(by: float) -> Spoil:
    return lambda paths: paths * by


def one_step(step: int) -> Spoil:
    def spoil(paths: Paths) -> Paths:
        found = paths.copy()
        found[:, step % paths.shape[1]] *= 1.01
        return found

    return spoil


def one_channel(channel: int) -> Spoil:
    def spoil(paths: Paths) -> Paths:
        found = paths.copy()
        found[:, :, channel] *= 1.01 if channel != 2 else 0.99  # the high stays above the low
        return found

    return spoil


def one_path(path: int) -> Spoil:
    def spoil(paths: Paths) -> Paths:
        found = paths.copy()
        found[path % SAMPLES] *= 1.02
        return found

    return spoil


SPOILS = st.one_of(
    st.builds(everything, st.sampled_from([0.9, 0.99, 1.01, 1.1])),
    st.builds(one_step, st.integers(0, 47)),
    st.builds(one_channel, st.sampled_from([1, 2])),
    st.builds(one_path, st.integers(0, SAMPLES - 1)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    count=st.integers(1, 60),
    horizon=st.integers(1, 48),
    where=st.integers(0, 59),
    spoil=SPOILS,
    start=st.integers(1, 9),
)
def test_it_is_noticed_within_the_bound(count: int, horizon: int, where: int, spoil: Spoil, start: int) -> None:
    contexts = [context(f"S{n}/USD", horizon=horizon, seed=n, count=50, last_close=100.0 + n) for n in range(count)]
    last_close = contexts[where % count].last_close
    twin = Compiled()
    guard = Guarded(
        name="twin",
        eager=Eager(),
        compile=lambda: twin,
        trial=lambda: trial_contexts(bars=50, horizons=(horizon, horizon)),
        options=GuardOptions(every=EVERY, within=WITHIN),
    )
    guard.warm_up()
    for _ in range(start):
        assert modes(guard, contexts) == {"compiled"}
    twin.tamper = lambda paths: spoil(paths) if is_of(paths, last_close) else paths
    assert any(modes(guard, contexts) == {FALLBACK} for _ in range(WITHIN + EVERY + IN_A_ROW))
    guard.close()


def modes(guard: Guarded, contexts: list) -> set[str]:
    return {each.compile_mode for each in guard.forecast(contexts).values()}


def is_of(paths: Paths, last_close: float) -> bool:
    """The first open is the last close."""
    return bool(np.allclose(paths[:, 0, 0], last_close, rtol=1e-9))
