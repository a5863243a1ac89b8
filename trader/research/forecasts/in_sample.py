"""Bars that a backend has learned: a forecast of those says nothing of its skill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from forecasters.options import EVERY
from trader.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a run lies to what its backend has learned.

    learned_to  of each symbol of the run until when, where it has learned any of it; None: that is not known
    first       the first moment from which each symbol is forecast
    """

    name: str
    learned_to: Mapping[str, datetime] | None
    first: Mapping[str, datetime]

    @property
    def in_sample(self) -> tuple[str, ...]:
        """The symbols of which learned bars are forecast."""
        learned = self.learned_to or {}
        return tuple(symbol for symbol, first in self.first.items() if symbol in learned and first < learned[symbol])

    @property
    def told(self) -> str:
        """One line."""
        if self.learned_to is None:
            return f"{self.name}: until when its training data goes is unknown; it may have learned these bars"
        if self.in_sample:
            return f"IN-SAMPLE: {self._inside(self.in_sample[0])}"
        if not self.learned_to:
            return f"{self.name} has learned none of these series"
        until = ", ".join(f"{symbol} up to {at:%Y-%m-%d %H:%M}Z" for symbol, at in self.learned_to.items())
        return f"{self.name} has learned {until}: nothing of what is forecast here"

    def demand_unseen(self) -> None:
        """Raises ConfigurationError where it forecasts what it has learned."""
        if not self.in_sample:
            return
        latest = max((self.learned_to or {})[symbol] for symbol in self.in_sample)
        raise ConfigurationError(
            f"{self._inside(self.in_sample[0])}. Begin with --from {latest:%Y-%m-%dT%H:%MZ} (and bars behind it), "
            "or give --in-sample for figures that are marked so"
        )

    def _inside(self, symbol: str) -> str:
        at, others = (self.learned_to or {})[symbol], len(self.in_sample) - 1
        more = f" (so it is with {others} more)" if others else ""
        return (
            f"{self.name} has learned {symbol} up to {at:%Y-%m-%d %H:%M}Z, and is asked here from "
            f"{self.first[symbol]:%Y-%m-%d %H:%M}Z{more}"
        )


def trained(name: str, learned_to: Mapping[str, datetime] | None, first: Mapping[str, datetime]) -> Trained:
    """`learned_to` as forecasters.options.Checkpoint."""
    if learned_to is None:
        return Trained(name=name, learned_to=None, first=first)
    until = {symbol: at for symbol in first if (at := learned_to.get(symbol, learned_to.get(EVERY))) is not None}
    return Trained(name=name, learned_to=until, first=first)
