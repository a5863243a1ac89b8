"""What instruments and bar lengths are called.

A name is one value for as long as the process lives: the same text is the same object. So names are told apart and
looked up, which happens at every step of everything here, without a line of Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT = {"Min": timedelta(minutes=1), "Hour": timedelta(hours=1), "Day": timedelta(days=1)}
_LIMITS = {"Min": 59, "Hour": 23, "Day": 1}


class AssetClass(StrEnum):
    CRYPTO = "crypto"
    STOCK = "us_equity"


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """One canonical name: `BTC/USD` for a crypto pair (positions at the venue say BTCUSD), `AAPL` for a stock."""

    text: str
    asset_class: AssetClass = field(init=False, repr=False, compare=False)

    def __new__(cls, text: str) -> Symbol:
        symbol = _symbols.get(text)
        if symbol is not None:
            return symbol
        core = text.replace("/", "").replace(".", "")
        if not core or text != text.upper() or text.count("/") > 1 or not (core.isascii() and core.isalnum()):
            raise ValueError(f"not a symbol: {text!r} (write AAPL for a stock, BTC/USD for a crypto pair)")
        return _symbols.setdefault(text, object.__new__(cls))

    def __post_init__(self) -> None:
        object.__setattr__(self, "asset_class", AssetClass.CRYPTO if "/" in self.text else AssetClass.STOCK)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[type[Symbol], tuple[str]]:
        """A copy, and what another process sent, is the one that is known here."""
        return Symbol, (self.text,)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str, asset_class: AssetClass | None = None) -> Symbol:
        """From any of the venue's spellings. `BTCUSD` is a pair only where the venue says that it is crypto."""
        name = text.strip().upper()
        if asset_class is AssetClass.CRYPTO and "/" not in name:
            for quote in ("USDT", "USDC", "USD", "BTC", "ETH"):
                if name.endswith(quote) and len(name) > len(quote):
                    return cls(f"{name.removesuffix(quote)}/{quote}")
        return cls(name)

    @property
    def base(self) -> str:
        return self.text.partition("/")[0]

    @property
    def currency(self) -> str:
        return self.text.partition("/")[2] or "USD"

    @property
    def position_name(self) -> str:
        """As the venue's positions spell it."""
        return self.text.replace("/", "")


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A bar's length, in the venue's spelling: 1Min, 5Min, 1Hour, 1Day."""

    amount: int
    unit: str
    duration: timedelta = field(init=False, repr=False, compare=False)

    def __new__(cls, amount: int, unit: str) -> Timeframe:
        known = _timeframes.get((amount, unit))
        if known is not None:
            return known
        if unit not in _LIMITS or not 1 <= amount <= _LIMITS[unit]:
            raise ValueError(f"not a timeframe: {amount}{unit} (1Min to 59Min, 1Hour to 23Hour, or 1Day)")
        return _timeframes.setdefault((amount, unit), object.__new__(cls))

    def __post_init__(self) -> None:
        object.__setattr__(self, "duration", _UNIT[self.unit] * self.amount)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[type[Timeframe], tuple[int, str]]:
        return Timeframe, (self.amount, self.unit)

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        digits = text[: len(text) - len(text.lstrip("0123456789"))]
        unit = text[len(digits) :].strip().lower()
        names = {"min": "Min", "m": "Min", "t": "Min", "hour": "Hour", "h": "Hour", "day": "Day", "d": "Day"}
        if unit not in names:
            raise ValueError(f"not a timeframe: {text!r} (for example 5Min, 1Hour or 1Day)")
        return cls(int(digits or 1), names[unit])

    @classmethod
    def of(cls, duration: timedelta) -> Timeframe:
        """The one of that length. ValueError where there is none."""
        for unit in ("Day", "Hour", "Min"):
            if duration >= _UNIT[unit] and not duration % _UNIT[unit]:
                return cls(duration // _UNIT[unit], unit)
        raise ValueError(f"no bars are {duration} long (1Min to 59Min, 1Hour to 23Hour, or 1Day)")

    def floor(self, at: datetime) -> datetime:
        """The start of the UTC-aligned bar that contains `at`."""
        return _EPOCH + (at - _EPOCH) // self.duration * self.duration


_symbols: dict[str, Symbol] = {}
_timeframes: dict[tuple[int, str], Timeframe] = {}


def shown_strategy(name: str) -> str:
    """A strategy's name for a table: of a file without its folder."""
    return name.rpartition("/")[2]
