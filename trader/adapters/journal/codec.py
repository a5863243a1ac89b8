"""Our values to canonical JSON bytes and back, exactly.

Equal values give equal bytes: keys are sorted, Decimals and times are text, a Symbol is its text (as a key too), sets
are sorted, arrays are {dtype, shape, zlib}: base64 of their little-endian bytes in a zlib stream. A field marked SPARSE
is left out where it is the default, so that what is rarely said costs nothing, and older journals read the same.
Reading goes by the dataclasses' own annotations; a field that an older journal lacks takes its default.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from trader.core.types import Symbol, Timeframe

Value = TypeVar("Value")

_LEVEL = 0  # stored: paths are mostly mantissa bits, a seventh smaller for half of the time that a plan took
_MICROSECOND = timedelta(microseconds=1)


def encode(value: object) -> bytes:
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(kind: type[Value], data: bytes) -> Value:
    """Raises ValueError, KeyError or TypeError on what `encode` did not write."""
    value: Value = from_plain(kind, json.loads(data))
    return value


def to_plain(value: Any) -> Any:
    """What json can write."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        writer = _WRITERS[type(value)] = _writer(value)
    return writer(value)


def from_plain(kind: Any, plain: Any) -> Any:
    return _reader(kind)(plain)


# ---- writing ----


def _writer(value: Any) -> Callable[[Any], Any]:
    """For a kind seen the first time, by an example of it."""
    if isinstance(value, Enum):
        return lambda each: each.value
    if dataclasses.is_dataclass(value):
        return _dataclass_writer(dataclasses.fields(value))
    if isinstance(value, Mapping):
        return _mapping
    raise TypeError(f"the journal can't write a {type(value).__name__}")


def _dataclass_writer(fields: tuple[dataclasses.Field[Any], ...]) -> Callable[[Any], Any]:
    names = tuple(field.name for field in fields if not field.metadata.get("sparse"))
    sparse = tuple((field.name, _default(field)) for field in fields if field.metadata.get("sparse"))

    def write(value: Any) -> dict[str, Any]:
        plain = {name: to_plain(getattr(value, name)) for name in names}
        for name, default in sparse:
            own = getattr(value, name)
            if own != default:
                plain[name] = to_plain(own)
        return plain

    return write


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {_key(key): to_plain(item) for key, item in value.items()}


def _same(value: Any) -> Any:
    return value


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError(f"a time without a zone: {value}")
    return value.astimezone(UTC).isoformat()


def _list(values: Any) -> list[Any]:
    return [to_plain(value) for value in values]


def _array(value: Any) -> dict[str, Any]:
    plain = np.ascontiguousarray(value)
    little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    packed = zlib.compress(little.tobytes(), _LEVEL)
    return {"dtype": little.dtype.str, "shape": list(value.shape), "zlib": base64.b64encode(packed).decode("ascii")}


def _key(key: object) -> str:
    return key.text if isinstance(key, Symbol) else str(key)


_WRITERS: dict[type, Callable[[Any], Any]] = {
    str: _same,
    int: _same,
    bool: _same,
    type(None): _same,
    float: _same,
    Decimal: str,
    datetime: _moment,
    date: date.isoformat,
    timedelta: lambda value: value // _MICROSECOND,
    Symbol: lambda value: value.text,
    Timeframe: str,
    dict: _mapping,
    tuple: _list,
    list: _list,
    frozenset: lambda value: sorted(to_plain(item) for item in value),
    np.ndarray: _array,
}


# ---- reading ----

_PLAIN_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _same,
    int: _same,
    bool: _same,
    float: float,
    Any: _same,
    object: _same,
    type(None): _same,
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    timedelta: lambda plain: plain * _MICROSECOND,
    Symbol: Symbol,
    Timeframe: Timeframe.parse,
}


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    plain = _PLAIN_READERS.get(kind)
    if plain is not None:
        return plain
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is np.ndarray or kind is np.ndarray:
        return _read_array
    if origin in (Union, types.UnionType):
        return _optional(arguments)
    if origin is tuple:
        return _sequence(arguments)
    if origin is frozenset:
        item = _reader(arguments[0])
        return lambda values: frozenset(item(value) for value in values)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, item = (_reader(argument) for argument in arguments)
        return lambda values: {key(name): item(value) for name, value in values.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind)
    raise TypeError(f"the journal can't read a {kind}")


def _optional(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    real = [argument for argument in arguments if argument is not type(None)]
    if len(real) != 1:
        raise TypeError(f"the journal can't read a choice of {arguments}")
    item = _reader(real[0])
    return lambda plain: None if plain is None else item(plain)


def _sequence(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda values: tuple(item(value) for value in values)
    each = [_reader(argument) for argument in arguments]
    return lambda values: tuple(read(value) for read, value in zip(each, values, strict=True))


def _dataclass(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    readers: dict[str, Callable[[Any], Any]] = {}  # filled on first use: an Order's legs are Orders

    def read(plain: Mapping[str, Any]) -> Any:
        if not readers:
            readers.update({name: _reader(hints[name]) for name in names})
        return kind(**{name: readers[name](plain[name]) for name in names if name in plain})

    return read


def _read_array(plain: Mapping[str, Any]) -> Any:
    data = zlib.decompress(base64.b64decode(plain["zlib"]))
    return np.frombuffer(data, dtype=np.dtype(plain["dtype"])).reshape(plain["shape"]).copy()
