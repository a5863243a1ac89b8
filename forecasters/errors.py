"""Why there is no forecast.

ForecastError
├── InvalidContext    what went in is not a series of closed bars
└── InvalidForecast   what came out is not a distribution of bars
"""

from __future__ import annotations


class ForecastError(Exception):
    """No forecast. `reason` is one line for the journal; never a default forecast in its place."""

    @property
    def reason(self) -> str:
        return str(self)


class InvalidContext(ForecastError):
    """A context that no backend should see."""


class InvalidForecast(ForecastError):
    """A forecast that no strategy may see: refused, never repaired."""
