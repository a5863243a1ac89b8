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
from forecasters.types import Context
from tests.forecasters.support import context
from tests.forecasters.twins import SAMPLES, Compiled, Eager, Paths, unchanged

EVERY, WITHIN = 4, 16
BOUND = WITHIN + EVERY + IN_A_ROW
TURNS = 0.01  # of the steps in half precision, a fifth of what is allowed
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


OF_ALL_PATHS = st.one_of(
    st.builds(everything, st.sampled_from([0.9, 0.99, 1.01, 1.1])),
    st.builds(one_step, st.integers(0, 47)),
    st.builds(one_channel, st.sampled_from([1, 2])),
)
SPOILS = st.one_of(OF_ALL_PATHS, st.builds(one_path, st.integers(0, SAMPLES - 1)))
DTYPES = ("float32", "bfloat16")


def of(dtype: str) -> st.SearchStrategy[Spoil]:
    """In bfloat16 a twentieth of the paths may turn at each step: one alone is no more than that."""
    return SPOILS if dtype == "float32" else OF_ALL_PATHS


def as_rounded(dtype: str) -> Spoil:
    """What half precision does to a compiled model that is right: now and then a token, and from there on the path, is
    another one."""
    if dtype == "float32":
        return unchanged

    def rounded(paths: Paths) -> Paths:
        random = np.random.default_rng(int(paths[0, 0, 3] * 1e9) % 2**32)
        turned = np.cumsum(random.random(paths.shape[:2]) < TURNS, axis=1) > 0
        return np.where(turned[..., None], paths * 1.003, paths)

    return rounded


def guarded(twin: Compiled, dtype: str, horizon: int) -> Guarded:
    guard = Guarded(
        name="twin",
        eager=Eager(),
        compile=lambda: twin,
        trial=lambda: trial_contexts(bars=50, horizons=(horizon, horizon)),
        options=GuardOptions(every=EVERY, within=WITHIN),
        dtype=dtype,
    )
    guard.warm_up()
    return guard


def batch(count: int, horizon: int) -> list[Context]:
    return [context(f"S{n}/USD", horizon=horizon, seed=n, count=50, last_close=100.0 + n) for n in range(count)]


SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("dtype", DTYPES)
@SETTINGS
@given(
    count=st.integers(1, 60),
    horizon=st.integers(1, 48),
    where=st.integers(0, 59),
    start=st.integers(1, 9),
    data=st.data(),
)
def test_it_is_noticed_within_the_bound(
    dtype: str, count: int, horizon: int, where: int, start: int, data: st.DataObject
) -> None:
    contexts, spoil, twin = batch(count, horizon), data.draw(of(dtype)), Compiled()
    last_close = contexts[where % count].last_close
    right = as_rounded(dtype)
    twin.tamper = right
    guard = guarded(twin, dtype, horizon)
    for _ in range(start):
        assert modes(guard, contexts) == {"compiled"}
    twin.tamper = lambda paths: spoil(right(paths)) if is_of(paths, last_close) else right(paths)
    assert any(modes(guard, contexts) == {FALLBACK} for _ in range(BOUND))
    guard.close()


@pytest.mark.parametrize("dtype", DTYPES)
@SETTINGS
@given(
    count=st.integers(1, 60),
    horizon=st.integers(1, 48),
    prepared=st.integers(1, 24),
    start=st.integers(1, 5),
    data=st.data(),
)
def test_so_is_the_last_row_of_a_batch_that_is_filled_up(
    dtype: str, count: int, horizon: int, prepared: int, start: int, data: st.DataObject
) -> None:
    """The last one that somebody asked for, by its place in the pass: the rows behind it are cut off."""
    contexts, spoil, twin = batch(count, horizon), data.draw(of(dtype)), Compiled()
    last = (count - 1) % prepared
    twin.prepared, twin.tamper = prepared, as_rounded(dtype)
    guard = guarded(twin, dtype, horizon)
    for _ in range(start):
        assert modes(guard, contexts) == {"compiled"}
    twin.tamper_row = lambda place, paths: spoil(paths) if place == last else paths
    assert any(modes(guard, contexts) == {FALLBACK} for _ in range(BOUND))
    guard.close()


@pytest.mark.parametrize("dtype", DTYPES)
@SETTINGS
@given(prepared=st.integers(2, 24), missing=st.integers(1, 23), horizon=st.integers(1, 48))
def test_a_row_that_only_fills_up_accuses_nobody(dtype: str, prepared: int, missing: int, horizon: int) -> None:
    contexts, twin = batch(max(1, prepared - missing), horizon), Compiled()
    twin.prepared, twin.tamper = prepared, as_rounded(dtype)
    guard = guarded(twin, dtype, horizon)
    twin.tamper_row = lambda place, paths: paths * 1.1 if place >= len(contexts) else paths
    assert all(modes(guard, contexts) == {"compiled"} for _ in range(BOUND))
    guard.close()


@pytest.mark.parametrize("dtype", DTYPES)
@SETTINGS
@given(horizon=st.integers(1, 48), data=st.data())
def test_one_that_is_spoiled_from_the_beginning_never_serves(dtype: str, horizon: int, data: st.DataObject) -> None:
    twin, spoil, right = Compiled(), data.draw(OF_ALL_PATHS), as_rounded(dtype)
    twin.tamper = lambda paths: spoil(right(paths))
    guard = guarded(twin, dtype, horizon)
    assert guard.state().serving == "eager"
    assert modes(guard, batch(2, horizon)) == {FALLBACK}
    guard.close()


def modes(guard: Guarded, contexts: list) -> set[str]:
    return {each.compile_mode for each in guard.forecast(contexts).values()}


def is_of(paths: Paths, last_close: float) -> bool:
    """The first open is the last close."""
    return bool(np.allclose(paths[:, 0, 0], last_close, rtol=1e-9))
