"""What crosses the socket: frames of a JSON header and raw arrays. Nothing that arrives can run code.

    frame   magic "FCW1" | header length, u32 | body length, u64 | header, JSON object | body, arrays one after another
    arrays  header["arrays"] = [[dtype, shape], ...]; little-endian, C order; dtypes as in _DTYPES

All lengths are little-endian and bounded before anything is allocated; what does not add up is a WireError.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasters.base import Account, ForecastError, Mended, Notice
from forecasters.compiled.forced import Forced, Outputs
from forecasters.types import Context, Forecast

MAGIC = b"FCW1"
MAX_HEADER_BYTES = 8 << 20
MAX_BODY_BYTES = 2 << 30
_REPLY_HEADER_BYTES = 2 << 20  # MOST_NOTICES of them take 1.2 MB at most
_HEADER_BYTES_EACH = 16 << 10  # of one forecast: its names, its times and its levels
_BYTES_A_BAR = 4 * 8  # four prices
_QUANTILES = 1024
MOST_NOTICES, LONGEST_TEXT = 100, 2000
_LONGEST_REASON = 500
_PREFIX = struct.Struct("<4sIQ")
_DTYPES = {"f8": "<f8", "us": "<M8[us]"}
_CHUNK = 1 << 20  # a false length costs no more memory than was really sent

Array = NDArray[Any]
Header = dict[str, Any]


class WireError(ForecastError):
    """The other side is gone, or what it sent is not a frame."""


class WireTimeout(WireError):
    """The deadline passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """How large a frame may be."""

    header_bytes: int = MAX_HEADER_BYTES
    body_bytes: int = MAX_BODY_BYTES


NO_FORECAST = Most(header_bytes=_REPLY_HEADER_BYTES, body_bytes=0)  # an answer of words


def most_for(contexts: Sequence[Context], paths: int) -> Most:
    """Of an answer to these: so many paths for each bar that is asked for, and as many quantiles as anybody takes."""
    bars = sum(len(each.future_times) for each in contexts)
    return Most(
        header_bytes=_REPLY_HEADER_BYTES + _HEADER_BYTES_EACH * len(contexts),
        body_bytes=_BYTES_A_BAR * bars * (paths + _QUANTILES) + _HEADER_BYTES_EACH * len(contexts),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    header: Header
    arrays: tuple[Array, ...] = ()


def send(connection: socket.socket, frame: Frame, deadline: float) -> None:
    """Write one frame. `deadline` is on time.monotonic(). Raises WireTimeout, WireError."""
    pieces = [_little_endian(array) for array in frame.arrays]
    described = [[name, list(array.shape)] for name, array in pieces]
    text = json.dumps({**frame.header, "arrays": described}, allow_nan=False).encode()
    body = sum(array.nbytes for _, array in pieces)
    if len(text) > MAX_HEADER_BYTES or body > MAX_BODY_BYTES:
        raise WireError(f"a frame of {len(text)} + {body} bytes is larger than the protocol allows")
    _write(connection, _PREFIX.pack(MAGIC, len(text), body) + text, deadline)
    for _, array in pieces:
        _write(connection, array.tobytes(), deadline)


def receive(connection: socket.socket, deadline: float, most: Most | None = None) -> Frame:
    """Read one frame, no larger than `most`. `deadline` is on time.monotonic(). Raises WireTimeout, WireError."""
    most = most or Most()
    magic, header_bytes, body_bytes = _PREFIX.unpack(_read(connection, _PREFIX.size, deadline))
    if magic != MAGIC:
        raise WireError(f"garbage on the socket: it starts with {magic!r}")
    if header_bytes > most.header_bytes or body_bytes > most.body_bytes:
        raise WireError(f"garbage on the socket: a frame of {header_bytes} + {body_bytes} bytes")
    header = _parsed(bytes(_read(connection, header_bytes, deadline)))
    body = _read(connection, body_bytes, deadline)
    return Frame(header, tuple(_arrays(header.pop("arrays", None), body)))


def pack_contexts(contexts: Sequence[Context]) -> Frame:
    """Three arrays a context: times, values, future times."""
    arrays = tuple(array for each in contexts for array in (each.times, each.values, each.future_times))
    return Frame({"symbols": [each.symbol for each in contexts]}, arrays)


def unpack_contexts(frame: Frame) -> list[Context]:
    symbols = _field(frame.header, "symbols", list)
    if len(frame.arrays) != 3 * len(symbols):
        raise WireError(f"{len(symbols)} contexts came with {len(frame.arrays)} arrays instead of three each")
    contexts = []
    for index, symbol in enumerate(symbols):
        times, values, future_times = frame.arrays[3 * index : 3 * index + 3]
        contexts.append(Context(symbol=str(symbol), times=times, values=values, future_times=future_times))
    return contexts


def pack_forecasts(forecasts: Mapping[str, Forecast]) -> Frame:
    """Times, levels, quantiles and, where there are any, paths of each forecast."""
    described: list[Header] = []
    arrays: list[Array] = []
    for forecast in forecasts.values():
        described.append({**{name: getattr(forecast, name) for name in _PLAIN}, **_timing(forecast)})
        arrays += [forecast.times, forecast.levels, forecast.quantiles]
        if forecast.paths is not None:
            arrays.append(forecast.paths)
    return Frame({"forecasts": described}, tuple(arrays))


def pack_forced(forced: Forced) -> Frame:
    """One array for each symbol's each output."""
    labels = [[symbol, name, output.kind] for symbol, outputs in forced.items() for name, output in outputs.items()]
    arrays = tuple(np.asarray(output.values, np.float64) for outputs in forced.values() for output in outputs.values())
    return Frame({"forced": labels}, arrays)


def unpack_forced(frame: Frame) -> Forced:
    """WireError where the frame is malformed, InvalidForecast where an output is no finite table."""
    described = _field(frame.header, "forced", list)
    if len(described) != len(frame.arrays):
        raise WireError(f"{len(described)} outputs came with {len(frame.arrays)} arrays")
    outputs: dict[str, dict[str, Outputs]] = {}
    for description, values in zip(described, frame.arrays, strict=True):
        match description:
            case [str(symbol), str(name), "numbers" | "logits" | "odds" as kind] if values.dtype == np.float64:
                outputs.setdefault(symbol, {})[name] = Outputs(values=values, kind=kind)
            case _:
                raise WireError(f"garbage on the socket: outputs described as {str(description)[:80]}")
    return outputs


def pack_notices(notices: Sequence[Notice]) -> Header:
    """For any reply's header."""
    newest = notices[-MOST_NOTICES:]
    return {"notices": [[notice.severity, notice.text[:LONGEST_TEXT]] for notice in newest]} if newest else {}


def unpack_notices(header: Header) -> list[Notice]:
    """What a reply says besides its answer. WireError where it is malformed."""
    notices = []
    for description in _field({"notices": [], **header}, "notices", list)[-MOST_NOTICES:]:
        match description:
            case ["info" | "warning" | "error" as severity, str(text)]:
                notices.append(Notice(severity=severity, text=text[:LONGEST_TEXT]))
            case _:
                raise WireError(f"garbage on the socket: a notice as {str(description)[:80]}")
    return notices


def pack_account(account: Account, symbols: Sequence[str]) -> Header:
    """For the header of a reply to these: why some have no forecast, and what was mended of the others."""
    refusals, mended = account.refusals, account.mended
    counts = {symbol: mended[symbol] for symbol in symbols if symbol in mended}
    return {
        "refused": [[symbol, str(refusals[symbol])[:_LONGEST_REASON]] for symbol in symbols if symbol in refusals],
        "mended": [[symbol, int(each.mended), int(each.dropped), int(each.of)] for symbol, each in counts.items()],
    }


def unpack_account(header: Header) -> Account:
    """WireError where it is malformed. Reasons are one line each."""
    refusals, mended = dict[str, str](), dict[str, Mended]()
    for description in _field({"refused": [], **header}, "refused", list):
        match description:
            case [str(symbol), str(why)]:
                refusals[symbol] = " ".join(why[:_LONGEST_REASON].split())
            case _:
                raise WireError(f"garbage on the socket: a refusal as {str(description)[:80]}")
    for description in _field({"mended": [], **header}, "mended", list):
        match description:
            case [str(symbol), int(count), int(dropped), int(of)] if 0 <= count <= of and 0 <= dropped <= of > 0:
                mended[symbol] = Mended(mended=count, dropped=dropped, of=of)
            case _:
                raise WireError(f"garbage on the socket: what was mended as {str(description)[:80]}")
    return Account(refusals=refusals, mended=mended)


def unpack_forecasts(frame: Frame) -> Iterator[tuple[str, Forecast | ForecastError]]:
    """Each symbol with its forecast, or with the reason why it is refused. WireError where the frame is malformed."""
    arrays = iter(frame.arrays)
    for described in _field(frame.header, "forecasts", list):
        if not isinstance(described, dict):
            raise WireError("garbage on the socket: a forecast without a description")
        symbol = _field(described, "symbol", str)
        count = 4 if described.get("has_paths") else 3
        parts = [part for _, part in zip(range(count), arrays, strict=False)]
        if len(parts) < count:
            raise WireError(f"{symbol}: its arrays are missing")
        yield symbol, _forecast_or_reason(described, parts)
    if next(arrays, None) is not None:
        raise WireError("garbage on the socket: more arrays than forecasts")


_PLAIN = ("symbol", "last_close", "backend", "model", "dtype", "compile_mode", "latency_s", "max_factor")
_TEXTS = ("symbol", "backend", "model", "dtype", "compile_mode")


def _timing(forecast: Forecast) -> Header:
    return {"asof": forecast.asof.astimezone(UTC).isoformat(), "has_paths": forecast.paths is not None}


def _forecast_or_reason(header: Header, parts: Sequence[Array]) -> Forecast | ForecastError:
    texts = {name: _field(header, name, str) for name in _TEXTS}
    try:
        return Forecast(
            **texts,
            asof=datetime.fromisoformat(_field(header, "asof", str)),
            times=parts[0],
            last_close=float(_field(header, "last_close", (int, float))),
            levels=parts[1],
            quantiles=parts[2],
            paths=parts[3] if len(parts) == 4 else None,
            latency_s=float(_field(header, "latency_s", (int, float))),
            max_factor=float(_field(header, "max_factor", (int, float))),
        )
    except WireError:
        raise
    except ForecastError as refusal:
        return refusal
    except (ValueError, OverflowError) as error:  # the latter of a number or a date beyond what there is
        raise WireError(f"garbage on the socket: {error}") from error


def _field(header: Header, name: str, kind: type | tuple[type, ...]) -> Any:
    value = header.get(name)
    if not isinstance(value, kind):
        raise WireError(f"garbage on the socket: {name} is {type(value).__name__}")
    return value


def _little_endian(array: Array) -> tuple[str, Array]:
    for name, dtype in _DTYPES.items():
        if array.dtype == np.dtype(dtype):
            return name, np.ascontiguousarray(array, dtype=dtype)
    raise WireError(f"arrays of {array.dtype} do not cross the socket")


def _parsed(text: bytes) -> Header:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"garbage on the socket: the header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise WireError("garbage on the socket: the header is not an object")
    return header


def _arrays(descriptions: object, body: bytearray) -> Iterator[Array]:
    if not isinstance(descriptions, list):
        raise WireError("garbage on the socket: the header describes no arrays")
    start = 0
    for description in descriptions:
        dtype, shape = _described(description)
        count = math.prod(shape)
        stop = start + count * 8
        if stop > len(body):
            raise WireError(f"garbage on the socket: arrays reach to byte {stop} of {len(body)}")
        yield np.frombuffer(body, dtype=dtype, count=count, offset=start).reshape(shape)
        start = stop
    if start != len(body):
        raise WireError(f"garbage on the socket: {len(body) - start} bytes too many")


def _described(each: object) -> tuple[str, list[int]]:
    match each:
        case [str(name), list(shape)] if name in _DTYPES and len(shape) <= 4:
            if all(type(size) is int and 0 < size <= MAX_BODY_BYTES for size in shape):
                return _DTYPES[name], shape
    raise WireError(f"garbage on the socket: an array described as {str(each)[:80]}")


def _write(connection: socket.socket, data: bytes, deadline: float) -> None:
    try:
        connection.settimeout(_remaining(deadline))
        connection.sendall(data)
    except TimeoutError as error:
        raise WireTimeout("the deadline passed while sending") from error
    except OSError as error:
        raise WireError(f"the other side is gone ({error})") from error


def _read(connection: socket.socket, count: int, deadline: float) -> bytearray:
    data = bytearray()
    while len(data) < count:
        try:
            connection.settimeout(_remaining(deadline))
            chunk = connection.recv(min(count - len(data), _CHUNK))
        except TimeoutError as error:
            raise WireTimeout("the deadline passed") from error
        except OSError as error:
            raise WireError(f"the other side is gone ({error})") from error
        if not chunk:
            raise WireError("the other side is gone (end of stream)")
        data += chunk
    return data


def _remaining(deadline: float) -> float | None:
    """Seconds for settimeout; None, which is for ever, where the deadline is infinite."""
    if deadline == math.inf:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise WireTimeout("the deadline passed")
    return left
