"""Contexts and forecasts refuse what they must not be, own their arrays, and cross the wire unchanged."""

from __future__ import annotations

import dataclasses
import math
import socket
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters.base import Account, ForecastError, InvalidContext, InvalidForecast, Mended
from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context, Forecast, quantiles_of
from forecasters.worker import wire
from forecasters.worker.wire import Frame, WireError
from tests.counting import calls_in
from tests.forecasters.support import bars, context, hours

LEVELS = np.linspace(0.1, 0.9, 9)


def paths_of(samples: int = 200, horizon: int = 1, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    paths = 100 * np.exp(random.normal(0, 0.01, (samples, horizon, 4)))
    paths[..., HIGH] = paths.max(axis=-1)
    paths[..., LOW] = paths.min(axis=-1)
    return paths


def fields(**changes: Any) -> dict[str, Any]:
    paths = paths_of()
    return {
        "symbol": "BTC/USD",
        "asof": datetime(2024, 3, 4, tzinfo=UTC),
        "times": hours(1),
        "last_close": 100.0,
        "levels": LEVELS,
        "quantiles": quantiles_of(paths, LEVELS),
        "paths": paths,
        "backend": "test",
        "model": "test@1",
        "dtype": "float64",
        "compile_mode": "eager",
        "latency_s": 0.01,
        **changes,
    }


def changed(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    copy = array.copy()
    copy[index] = value
    return copy


GOOD = fields()
Q, P = GOOD["quantiles"], GOOD["paths"]

REFUSED = {
    "NaN quantile": ({"quantiles": changed(Q, (0, 0, CLOSE), math.nan)}, "NaN"),
    "infinite quantile": ({"quantiles": changed(Q, (-1, 0, HIGH), math.inf)}, "infinite"),
    "negative quantile": ({"quantiles": changed(Q, (0, 0, LOW), -1.0)}, "not a price"),
    "crossing quantiles": ({"quantiles": Q[::-1]}, "cross"),
    "high below close": ({"quantiles": changed(Q, (slice(None), 0, HIGH), 96.0)}, "high below"),
    "low above open": ({"quantiles": changed(Q, (slice(None), 0, LOW), 104.0)}, "low above"),
    "wrong shape": ({"quantiles": Q[:, :, :3]}, "must be"),
    "far above": ({"quantiles": Q * 3.3}, "absurdly far"),
    "far below": ({"quantiles": Q / 3.3}, "absurdly far"),
    "far for a narrower factor": ({"max_factor": 1.001}, "absurdly far"),
    "NaN path": ({"paths": changed(P, (5, 0, OPEN), math.nan)}, "NaN"),
    "zero path": ({"paths": changed(P, (5, 0, LOW), 0.0)}, "not a price"),
    "path with a high below its close": ({"paths": changed(P, (5, 0, HIGH), 50.0)}, "high below"),
    "path with a low above its open": ({"paths": changed(P, (5, 0, LOW), 150.0)}, "low above"),
    "paths of another horizon": ({"paths": paths_of(horizon=2)}, "must be"),
    "levels not increasing": ({"levels": LEVELS[::-1]}, "levels"),
    "level at 1": ({"levels": changed(LEVELS, -1, 1.0)}, "levels"),
    "NaN level": ({"levels": changed(LEVELS, 3, math.nan)}, "levels"),
    "no last close": ({"last_close": math.nan}, "last close"),
    "asof without zone": ({"asof": datetime(2024, 3, 4)}, "time zone"),  # noqa: DTZ001
    "bars before asof": ({"asof": datetime(2024, 3, 4, 1, tzinfo=UTC)}, "before asof"),
    "no times": ({"times": hours(0)}, "times"),
    "no symbol": ({"symbol": ""}, "named"),
    "NaN latency": ({"latency_s": math.nan}, "latency"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_guard_30_a_forecast_that_is_no_distribution_of_bars_is_refused(fault: str) -> None:
    changes, reason = REFUSED[fault]
    with pytest.raises(InvalidForecast, match=reason) as raised:
        Forecast(**fields(**changes))
    assert "\n" not in raised.value.reason


def test_a_forecast_without_paths_is_one() -> None:
    assert Forecast(**fields(paths=None)).paths is None


def test_arrays_are_read_only_and_the_callers_stay_writable_and_apart() -> None:
    mine = Q.copy()
    forecast = Forecast(**fields(quantiles=mine))
    mine[:] = 0
    assert (forecast.quantiles == Q).all()
    for array in (forecast.quantiles, forecast.paths, forecast.levels, forecast.times):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[-1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        forecast.symbol = "ETH/USD"  # type: ignore[misc]


def test_a_quantile_is_exact_at_a_level_and_linear_between() -> None:
    forecast = Forecast(**GOOD)
    assert forecast.quantile(0.5, 0, CLOSE) == Q[4, 0, CLOSE]
    assert forecast.quantile(0.45, 0, CLOSE) == pytest.approx((Q[3, 0, CLOSE] + Q[4, 0, CLOSE]) / 2)


@pytest.mark.parametrize(("level", "step", "channel"), [(0.05, 0, 0), (0.95, 0, 0), (0.5, 1, 0), (0.5, 0, 4)])
def test_a_quantile_is_never_extrapolated(level: float, step: int, channel: int) -> None:
    with pytest.raises(ForecastError):
        Forecast(**GOOD).quantile(level, step, channel)


@given(st.integers(2, 300), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_quantiles_of_agree_with_numpy_and_always_make_a_forecast(samples: int, horizon: int, seed: int) -> None:
    paths = paths_of(samples, horizon, seed)
    quantiles = quantiles_of(paths, LEVELS)
    assert np.allclose(quantiles, np.quantile(paths, LEVELS, axis=0), rtol=1e-12)
    Forecast(**fields(times=hours(horizon), paths=paths, quantiles=quantiles))


def test_a_forecast_is_checked_as_arrays_not_number_by_number() -> None:
    def calls(samples: int) -> int:
        more = fields(paths=paths_of(samples, 1, 0), quantiles=quantiles_of(paths_of(samples, 1, 0), LEVELS))
        return calls_in(lambda: Forecast(**more))

    calls(10)  # what is made once
    assert calls(1000) == calls(10) < 200


VALUES = bars(40)
BAD_CONTEXTS = {
    "NaN": ({"values": changed(VALUES, (3, 5), math.nan)}, "NaN"),
    "infinite volume": ({"values": changed(VALUES, (3, 4), math.inf)}, "infinite"),
    "zero price": ({"values": changed(VALUES, (3, LOW), 0.0)}, "not positive"),
    "negative volume": ({"values": changed(VALUES, (3, 4), -1.0)}, "negative"),
    "close above high": ({"values": changed(VALUES, (3, CLOSE), 1e6)}, "outside its low and high"),
    "times not increasing": ({"times": hours(40)[::-1]}, "increase"),
    "duplicate time": ({"times": np.sort(np.append(hours(39), hours(1)))}, "increase"),
    "future before the end": ({"future_times": hours(1)}, "increase"),
    "no future": ({"future_times": hours(0)}, "not empty"),
    "five columns": ({"values": VALUES[:, :5]}, "must be"),
    "no symbol": ({"symbol": ""}, "symbol"),
}


@pytest.mark.parametrize("fault", BAD_CONTEXTS)
def test_a_context_that_is_no_series_of_closed_bars_is_refused(fault: str) -> None:
    good = {"symbol": "AAPL", "times": hours(40), "values": VALUES, "future_times": hours(41)[40:]}
    Context(**good)
    changes, reason = BAD_CONTEXTS[fault]
    with pytest.raises(InvalidContext, match=reason):
        Context(**{**good, **changes})


def test_asof_is_the_end_of_the_last_bar_even_before_a_pause() -> None:
    times = np.concatenate([hours(7), hours(7) + np.timedelta64(1, "D")])
    monday = hours(1) + np.timedelta64(4, "D")
    found = Context(symbol="SPY", times=times, values=bars(14), future_times=monday)
    assert found.asof == datetime(2024, 3, 5, 7, tzinfo=UTC)
    assert found.step == np.timedelta64(timedelta(hours=1))


def test_contexts_and_forecasts_cross_the_socket_bit_for_bit() -> None:
    contexts = [context("BTC/USD"), context("AAPL", count=31, horizon=3)]
    with_paths, without = Forecast(**GOOD), Forecast(**fields(symbol="ETH/USD", paths=None))
    here, there = socket.socketpair()
    with here, there:
        deadline = time.monotonic() + 10
        wire.send(here, wire.pack_contexts(contexts), deadline)
        received = wire.unpack_contexts(wire.receive(there, deadline))
        wire.send(here, wire.pack_forecasts({"a": with_paths, "b": without}), deadline)
        answers = dict(wire.unpack_forecasts(wire.receive(there, deadline)))
    for sent, got in zip([*contexts, with_paths, without], [*received, *answers.values()], strict=True):
        for field in dataclasses.fields(sent):
            before, after = getattr(sent, field.name), getattr(got, field.name)
            assert np.array_equal(before, after), field.name
            assert not isinstance(after, np.ndarray) or not after.flags.writeable


def received(data: bytes) -> Frame:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(data)
        here.shutdown(socket.SHUT_WR)
        return wire.receive(there, time.monotonic() + 5)


def raw(header: bytes, body: bytes = b"", *, magic: bytes = b"FCW1", header_bytes: int | None = None) -> bytes:
    return struct.pack("<4sIQ", magic, len(header) if header_bytes is None else header_bytes, len(body)) + header + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"FC",
        raw(b'{"arrays": []}', magic=b"HTTP"),
        raw(b"{}", header_bytes=2**31),
        raw(b"{}", header_bytes=50),
        raw(b"not json"),
        raw(b"[" * 100_000),
        raw(b"[]"),
        raw(b"{}"),
        raw(b'{"arrays": [["f8", [4]]]}', b"\0" * 8),
        raw(b'{"arrays": [["f8", [1]]]}', b"\0" * 16),
        raw(b'{"arrays": [["f8", [-1]]]}', b"\0" * 8),
        raw(b'{"arrays": [["f8", [true]]]}', b"\0" * 8),
        raw(b'{"arrays": [["O", [1]]]}', b"\0" * 8),
        raw(b'{"arrays": [["f8", [2147483648, 2147483648, 2147483648, 2147483648]]]}', b"\0" * 8),
        raw(b'{"arrays": [["f8", [1, 1, 1, 1, 1]]]}', b"\0" * 8),
    ],
)
def test_a_malformed_frame_is_an_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(WireError):
        received(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    for attempt in (data, raw(data), raw(b'{"arrays": []}') + data):
        try:
            frame = received(attempt)
        except WireError:
            continue
        assert frame.header == {}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"forecasts": 3},
        {"forecasts": [1]},
        {"forecasts": [{"symbol": "A"}]},
        {"forecasts": [], "surplus": True},
    ],
)
def test_a_reply_that_does_not_add_up_is_an_error(header: dict[str, Any]) -> None:
    arrays = (LEVELS,) if header.get("surplus") else ()
    with pytest.raises(WireError):
        list(wire.unpack_forecasts(Frame(header, arrays)))


@pytest.mark.parametrize(
    "change",
    [
        {"last_close": 10**400},
        {"latency_s": 10**400},
        {"asof": "0001-01-01T00:00:00+23:00"},
        {"asof": "9999-12-31T23:59:59-23:00"},
    ],
    ids=["close", "latency", "first day", "last day"],
)
def test_a_reply_with_a_number_or_a_date_beyond_all_bounds_is_an_error(change: dict[str, Any]) -> None:
    frame = wire.pack_forecasts({"BTC/USD": Forecast(**GOOD)})
    frame.header["forecasts"][0].update(change)
    with pytest.raises(WireError, match="garbage"):
        list(wire.unpack_forecasts(frame))


@pytest.mark.parametrize("notices", [True, 3, 1.5, {"info": "x"}, "info", [1], [["loud", "x"]], [["info", 1]]], ids=str)
def test_notices_that_are_none_are_an_error(notices: object) -> None:
    with pytest.raises(WireError, match="garbage"):
        wire.unpack_notices({"notices": notices})


@pytest.mark.parametrize(
    "header",
    [
        {"refused": 3},
        {"refused": [["A"]]},
        {"refused": [["A", 1]]},
        {"mended": {"A": 1}},
        {"mended": [["A", 1, 0]]},
        {"mended": [["A", 31, 0, 30]]},
        {"mended": [["A", 0, -1, 30]]},
        {"mended": [["A", 0, 0, 0]]},
        {"mended": [["A", 0.5, 0, 30]]},
    ],
    ids=str,
)
def test_what_is_said_besides_the_forecasts_and_is_no_such_thing_is_an_error(header: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="garbage"):
        wire.unpack_account(header)


def test_of_what_is_said_besides_the_forecasts_only_what_was_asked_for_crosses() -> None:
    told = Account(
        refusals={"A": "two\nlines " + "x" * 9000, "B": "not asked for"},
        mended={"A": Mended(mended=3, dropped=1, of=30), "B": Mended(mended=1, dropped=1, of=2)},
    )
    heard = wire.unpack_account(wire.pack_account(told, ["A"]))
    assert set(heard.refusals) == set(heard.mended) == {"A"}
    assert heard.refusals["A"].startswith("two lines xxx")
    assert len(heard.refusals["A"]) == 500
    assert heard.mended["A"] == Mended(mended=3, dropped=1, of=30)


def test_a_frame_larger_than_the_protocol_allows_is_neither_sent_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false length is refused as it is read, not when the memory for it has been asked for."""
    with pytest.raises(WireError, match="a frame of 8388609"):
        received(struct.pack("<4sIQ", b"FCW1", wire.MAX_HEADER_BYTES + 1, 0))
    with pytest.raises(WireError, match=r"a frame of 2 \+ 2147483649 bytes"):
        received(struct.pack("<4sIQ", b"FCW1", 2, wire.MAX_BODY_BYTES + 1) + b"{}")
    here, there = socket.socketpair()
    with here, there:
        with pytest.raises(WireError, match="larger than the protocol allows"):
            wire.send(here, Frame({"text": "x" * wire.MAX_HEADER_BYTES}), time.monotonic() + 5)
        monkeypatch.setattr(wire, "MAX_BODY_BYTES", 64)  # what it allows is more than a test should hold
        with pytest.raises(WireError, match="larger than the protocol allows"):
            wire.send(here, Frame({}, (np.zeros(9),)), time.monotonic() + 5)
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.recv(1)


@pytest.mark.parametrize("data", [b"", b"FC", raw(b"{}", header_bytes=50)])
def test_a_side_that_is_gone_is_not_waited_for(data: bytes) -> None:
    with pytest.raises(WireError, match="end of stream"):
        received(data)
