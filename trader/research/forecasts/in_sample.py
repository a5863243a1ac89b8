"""Bars that a backend has learned: a forecast of those says nothing of its skill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from forecasters.card import EVERY, Learned
from trader.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a run lies to what its backend has learned.

    learned_to  of each symbol of the run until when at least, where it has learned any of it
    unknown     whether it may have learned more: nobody says until when its training data goes
    first       the first moment from which each symbol is forecast
    """

    name: str
    learned_to: Mapping[str, datetime]
    unknown: bool
    first: Mapping[str, datetime]

    @property
    def in_sample(self) -> tuple[str, ...]:
        """The symbols of which learned bars are forecast."""
        learned = self.learned_to
        return tuple(symbol for symbol, first in self.first.items() if symbol in learned and first < learned[symbol])

    @property
    def told(self) -> str:
        """One line."""
        more = f"{self.name}: until when its training data goes is unknown; it may have learned these bars"
        if self.in_sample:
            return f"IN-SAMPLE: {self._inside()}"
        if not self.learned_to:
            return more if self.unknown else f"{self.name} has learned none of these series"
        until = ", ".join(f"{symbol} up to {at:%Y-%m-%d %H:%M}Z" for symbol, at in self.learned_to.items())
        known = f"{self.name} has learned {until}"
        return f"{known}; what its training began from is unknown" if self.unknown else f"{known}, before all of these"

    def demand_unseen(self) -> None:
        """Raises ConfigurationError where it forecasts what it has learned."""
        if self.in_sample:
            latest = max(self.learned_to[symbol] for symbol in self.in_sample)
            raise ConfigurationError(
                f"{self._inside()}; begin with --from {latest:%Y-%m-%dT%H:%MZ}, where there are bars after it, or give "
                "--in-sample for figures that are marked so"
            )

    def _inside(self) -> str:
        symbol, *others = self.in_sample
        more = f" (and so it is with {', '.join(others)})" if others else ""
        return (
            f"{self.name} has learned {symbol} up to {self.learned_to[symbol]:%Y-%m-%d %H:%M}Z, and is asked for "
            f"forecasts from {self.first[symbol]:%Y-%m-%d %H:%M}Z on{more}"
        )


def trained(name: str, learned_to: Learned, first: Mapping[str, datetime]) -> Trained:
    """`learned_to` as forecasters.options.Checkpoint; `first` has all symbols of the run."""
    until = {symbol: at for symbol in first if (at := learned_to.get(symbol, learned_to.get(EVERY))) is not None}
    unknown = EVERY in learned_to and learned_to[EVERY] is None
    return Trained(name=name, learned_to=until, unknown=unknown, first=first)
