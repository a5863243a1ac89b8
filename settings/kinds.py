"""Kinds of values that a setting can have: unit, bounds, and how its text is read.

A kind is a type with everything that the reader, `trader config show` and `.env.example` need to know about it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr


class Group(BaseModel):
    """One family of settings. Its docstring heads its part of `.env.example`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True, validate_default=True
    )
    prefix: ClassVar[str] = ""
    flat: ClassVar[frozenset[str]] = frozenset()  # fields whose name goes without the prefix


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts. Metadata only."""

    text: str


@dataclass(frozen=True, slots=True)
class Right:
    """What a right value looks like, where bounds and choices don't already say it. Metadata only."""

    text: str


COMPILABLE = ("kronos", "toto")  # families whose name may end in -compiled
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,10}(\.[A-Z]{1,2})?|[A-Z0-9]{1,10}/(USD|USDT|USDC|BTC)")
_GLUED_PAIR = re.compile(r"([A-Z0-9]{2,6}?)(USDT|USDC|USD)")
_TIMEFRAME = re.compile(r"(\d{1,2})(Min|Hour|Day)")
_LONGEST = {"Min": 59, "Hour": 23, "Day": 1}


def _split(value: Any) -> Any:
    """A comma list, or a sequence from a flag, as a tuple of texts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, Iterable) else value


def _symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if not symbols:
        raise ValueError("no symbol given")
    if len(set(symbols)) < len(symbols):
        raise ValueError("a symbol is given twice")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            suggestion = f" ({symbol.upper()}?)" if _SYMBOL.fullmatch(symbol.upper()) else ""
            raise ValueError(f"{symbol[:20]!r} is not a symbol{suggestion}")
        pair = _GLUED_PAIR.fullmatch(symbol)
        if pair and len(symbol) >= 6:
            raise ValueError(f"{symbol!r} is ambiguous: write {pair[1]}/{pair[2]}")
    return symbols


def _timeframe(text: str) -> str:
    match = _TIMEFRAME.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= _LONGEST[match[2]]:
        raise ValueError("not a bar length")
    return text


def _speed(text: str) -> str:
    if text == "max":
        return text
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise ValueError("not a speed")
    return text


def _text(value: Any) -> Any:
    """Flags may carry numbers where the setting is a text."""
    return str(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value


def _place(value: Any) -> Any:
    if value == "":
        raise ValueError("empty")
    return value


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("'~' has no meaning without a HOME") from None


def is_path(strategy: str) -> bool:
    """Whether a strategy is given as a file of one's own rather than by name."""
    return "/" in strategy or strategy.endswith(".py")


def variable_of(name: str) -> str:
    """What stands before the `__` of a strategy's parameters: `my-strategy` and `./my_strategy.py` are MY_STRATEGY."""
    stem = os.path.basename(name).removesuffix(".py") if is_path(name) else name
    return re.sub(r"\W", "_", stem.replace("-", "_"), flags=re.ASCII).upper()


def _strategy(text: str) -> str:
    """A name as it is; a path in full, so that it means the same file wherever it is read again."""
    if is_path(text):
        return os.path.normpath(_absolute(Path(text)))
    if not _NAME.fullmatch(text):
        raise ValueError("is not written so")
    return text


def _assignments(pairs: tuple[str, ...]) -> tuple[str, ...]:
    for pair in pairs:
        symbol, equals, file = pair.partition("=")
        if not equals or not file or not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"{pair[:40]!r} is not SYMBOL=FILE")
    symbols = [pair.partition("=")[0] for pair in pairs]
    twice = next((symbol for symbol in symbols if symbols.count(symbol) > 1), None)
    if twice is not None:  # it would be traded, and counted, twice
        raise ValueError(f"{twice} is given twice")
    return pairs


def _key(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]*", secret.get_secret_value()):
        raise ValueError("it holds a space or a character that no key has")
    return secret


def _database(secret: SecretStr) -> SecretStr:
    """Checked without ever showing it: it may carry a password."""
    text = secret.get_secret_value()
    scheme = text.partition("://")[0].partition("+")[0]
    if text and ("://" not in text or scheme not in ("sqlite", "postgresql")):
        raise ValueError("not a database that the journal speaks")
    return secret


def _url(text: str, schemes: tuple[str, str], *, path_allowed: bool) -> str:
    if not text:
        return text
    try:
        parts = urlsplit(text)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if user is not None or parts.password is not None:
        raise ValueError("keys do not belong into a URL")
    if text.endswith("/"):
        raise ValueError("the slash at its end must go (the venue answers 404 to it)")
    if parts.scheme not in schemes or not host or parts.query or parts.fragment:
        raise ValueError("not a URL of that kind")
    if parts.path and not path_allowed:
        raise ValueError("only scheme and host: the client adds the path itself")
    return text


def _http(text: str) -> str:
    return _url(text, ("https", "http"), path_allowed=False)


def _stream(text: str) -> str:
    return _url(text, ("wss", "ws"), path_allowed=True)


Share = Annotated[Decimal, Field(gt=0, le=1), Unit("share of equity")]
Leverage = Annotated[Decimal, Field(gt=0, le=4), Unit("share of equity")]
BasisPoints = Annotated[Decimal, Field(ge=0, le=5000), Unit("bps")]
Dollars = Annotated[Decimal, Field(gt=0, le=1_000_000_000), Unit("USD")]
Seconds = Annotated[float, Field(ge=0, le=30 * 86400), Unit("s")]
PositiveSeconds = Annotated[float, Field(gt=0, le=30 * 86400), Unit("s")]
Bars = Annotated[int, Field(ge=1, le=5000), Unit("bars")]
Samples = Annotated[int, Field(ge=1, le=8192), Unit("samples")]

Symbols = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    Field(max_length=500),
    AfterValidator(_symbols),
    Right("names with commas between, like BTC/USD,AAPL"),
]
BarLength = Annotated[str, AfterValidator(_timeframe), Right("1Min to 59Min, 1Hour to 23Hour, or 1Day")]
Speed = Annotated[str, BeforeValidator(_text), AfterValidator(_speed), Right("a number above 0, or max")]
Name = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$"),
    Right("a name in small letters, with digits, - and _"),
]
StrategyName = Annotated[
    str,
    Field(max_length=1000),
    AfterValidator(_strategy),
    Right("a name in small letters, with digits, - and _; or the path of a file, like ./my_strategy.py"),
]
Place = Annotated[Path, BeforeValidator(_place), AfterValidator(_absolute), Right("a folder or file")]
BarFiles = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    AfterValidator(_assignments),
    Right("SYMBOL=FILE with commas between, like BTC/USD=btc.parquet"),
]
Key = Annotated[SecretStr, AfterValidator(_key), Right("the key as the venue shows it, nothing around it")]
DatabaseUrl = Annotated[
    SecretStr,
    AfterValidator(_database),
    Right("sqlite:////absolute/path.db or postgresql+psycopg://user:password@host/name"),
]
HttpUrl = Annotated[str, AfterValidator(_http), Right("https://host, nothing after it")]
StreamUrl = Annotated[str, AfterValidator(_stream), Right("wss://host/stream")]
