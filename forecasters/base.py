"""The port that every backend implements. A backend of another package finds its errors here as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from forecasters.errors import ForecastError, InvalidContext, InvalidForecast
from forecasters.types import Context, Forecast

__all__ = [
    "Account",
    "ForecastError",
    "Forecaster",
    "InvalidContext",
    "InvalidForecast",
    "Mended",
    "Notice",
    "Noticing",
    "Severity",
    "Upkeeping",
    "account_of",
    "notices_of",
]


class Forecaster(Protocol):
    name: str

    def warm_up(self) -> None:
        """Load, compile, run once on the shapes that will be used. May be slow; raises ForecastError."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """One batched call, keyed by symbol. A symbol that could not be forecast is absent. Raises ForecastError."""

    def close(self) -> None: ...


Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something about the forecaster itself that an operator should hear: it serves in another way than was asked."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """Of what was drawn of one symbol, paths or quantile levels: in so many a bar was put in order, and so many were
    left out."""

    mended: int
    dropped: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a forecaster says of its last batch besides the forecasts, by symbol.

    refusals  why there is none, one line
    mended    how much of what it drew is not as it was drawn
    """

    refusals: Mapping[str, str] = field(default_factory=dict)
    mended: Mapping[str, Mended] = field(default_factory=dict)


@runtime_checkable
class Noticing(Protocol):
    """A forecaster that has something to say of itself."""

    def notices(self) -> Sequence[Notice]:
        """What happened since the last call; each is given once."""


@runtime_checkable
class Upkeeping(Protocol):
    """A forecaster with work that may wait until an answer is out."""

    def upkeep(self) -> None:
        """May take as long as a warm-up; mostly takes no time."""


def account_of(forecaster: object) -> Account:
    """By its attributes `refusals` and `mended`; empty where it has none."""
    return Account(refusals=getattr(forecaster, "refusals", {}), mended=getattr(forecaster, "mended", {}))


def notices_of(forecaster: object) -> Sequence[Notice]:
    """What a forecaster has to say of itself; nothing where it never has."""
    # asked in each cycle: `isinstance` of a protocol takes twenty times as long
    notices = getattr(forecaster, "notices", None)
    return notices() if callable(notices) else ()
