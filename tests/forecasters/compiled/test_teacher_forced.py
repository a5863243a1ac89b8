"""Raw outputs of networks: how far apart, across the socket, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasters import registry
from forecasters.base import InvalidForecast
from forecasters.compiled.forced import Kind, OutputDistance, Outputs, output_distances, teacher_forced_of
from forecasters.worker import wire
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.wire import Frame, WireError
from tests.forecasters.support import context

LOGITS = np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]])
TABLES = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=st.floats(-20, 20))


def outputs(values: np.ndarray, kind: Kind = "logits") -> Outputs:
    return Outputs(values=values, kind=kind)


def one(found: np.ndarray, wanted: np.ndarray, kind: Kind = "logits") -> OutputDistance:
    return output_distances([{"it": outputs(found, kind)}], [{"it": outputs(wanted, kind)}])["it"]


def test_equal_outputs_are_nothing_apart() -> None:
    assert one(LOGITS, LOGITS.copy()) == OutputDistance(steps=2, largest=0.0, relative=0.0, variation=0.0)


def test_the_total_variation_is_what_may_be_drawn_otherwise() -> None:
    shares = np.array([[0.5, 0.5], [0.9, 0.1]])
    moved = np.array([[0.5, 0.5], [0.7, 0.3]])
    for found in (one(np.log(moved), np.log(shares)), one(moved, shares, "odds")):
        assert found.variation == pytest.approx(0.2)
    assert one(moved, shares, "numbers").variation is None


def test_a_shift_of_all_logits_moves_no_odds_and_is_seen_all_the_same() -> None:
    found = one(LOGITS + 0.5, LOGITS)
    assert found.variation == pytest.approx(0.0, abs=1e-12)
    assert found.largest == pytest.approx(0.5)
    assert found.worst > 0.1


@pytest.mark.parametrize("by", [0.01, 0.1])
def test_what_is_off_by_a_share_is_apart_by_about_that(by: float) -> None:
    random = np.random.default_rng(1)
    wanted = random.normal(0, 3, (20, 200))
    found = one(wanted * (1 + by), wanted)
    assert found.relative == pytest.approx(by, rel=0.2)
    one_step = wanted.copy()
    one_step[7] *= 1 + by
    assert one(one_step, wanted).relative == pytest.approx(by, rel=0.2)


@given(TABLES)
def test_no_outputs_are_apart_from_themselves_and_variation_is_a_share(values: np.ndarray) -> None:
    assert one(values, values).worst == 0
    moved = one(-values, values)
    assert moved.variation is not None
    assert 0 <= moved.variation <= 1 + 1e-12
    assert math.isfinite(moved.worst)


def test_outputs_of_unlike_networks_are_not_compared() -> None:
    for found in ({"other": outputs(LOGITS)}, {"it": outputs(LOGITS[:1])}, {"it": outputs(LOGITS, "numbers")}):
        with pytest.raises(InvalidForecast):
            output_distances([found], [{"it": outputs(LOGITS)}])


def test_what_is_not_finite_or_no_table_is_refused() -> None:
    for values in (np.array([[np.nan, 1.0]]), np.array([1.0, 2.0]), np.empty((0, 3))):
        with pytest.raises(InvalidForecast):
            outputs(values)


# ---- across the socket ----


def test_outputs_cross_the_socket_as_they_are() -> None:
    sent = {"BTC/USD": {"s1 logits": outputs(LOGITS), "odds": outputs(np.array([[1.0, 0.0]]), "odds")}, "ETH/USD": {}}
    got = wire.unpack_forced(wire.pack_forced(sent))
    assert got.keys() == {"BTC/USD"}  # a symbol without any needs no word
    for name, each in sent["BTC/USD"].items():
        assert got["BTC/USD"][name].kind == each.kind
        assert np.array_equal(got["BTC/USD"][name].values, each.values)


@pytest.mark.parametrize(
    "frame",
    [
        Frame({}),
        Frame({"forced": [["BTC/USD", "it", "logits"]]}),
        Frame({"forced": [["BTC/USD", "it", "wishes"]]}, (LOGITS,)),
        Frame({"forced": [7]}, (LOGITS,)),
        Frame({"forced": [["BTC/USD", "it", "logits"]]}, (LOGITS.astype("datetime64[us]"),)),
    ],
)
def test_garbage_is_refused(frame: Frame) -> None:
    with pytest.raises(WireError):
        wire.unpack_forced(frame)


def test_a_backend_without_a_network_has_none_in_its_worker_too() -> None:
    assert teacher_forced_of(registry.build("baseline", {}), [context()]) == {}
    worker = Worker(WorkerSettings(backend="baseline", threads=1))
    try:
        worker.warm_up()
        assert worker.teacher_forced([context()]) == {}
        assert worker.forecast([context()])
    finally:
        worker.close()
