"""The port that every backend implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from forecasters.types import Context, Forecast


class ForecastError(Exception):
    """No forecast. `reason` is one line for the journal; never a default forecast in its place."""


class Forecaster(Protocol):
    name: str

    def warm_up(self) -> None:
        """Load, compile, run once on the shapes that will be used. May be slow; raises ForecastError."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """One batched call, keyed by symbol. A symbol that could not be forecast is absent. Raises ForecastError."""

    def close(self) -> None: ...
