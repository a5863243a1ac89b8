"""A backend that works, to go wrong from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from forecasters.types import Context, Forecast

Action = Callable[[], None]


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    marker: str = ""  # a file: misbehave only while it is not there, so that the next life behaves
    bytes: int = 0


def requires() -> list[str]:
    return []


def nothing() -> None:
    """The well-behaved action."""


class Flat:
    """Says that the next bars are the last close, after doing what it was given to do."""

    name = "flat"

    def __init__(self, *, at_forecast: Action = nothing, at_warm_up: Action = nothing) -> None:
        self._at_forecast = at_forecast
        self._at_warm_up = at_warm_up

    def warm_up(self) -> None:
        self._at_warm_up()

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        self._at_forecast()
        return {context.symbol: flat(context) for context in contexts}

    def close(self) -> None:
        """Nothing to release."""


def flat(context: Context) -> Forecast:
    return Forecast(
        symbol=context.symbol,
        asof=context.asof,
        times=context.future_times,
        last_close=context.last_close,
        levels=np.array([0.1, 0.5, 0.9]),
        quantiles=np.full((3, len(context.future_times), 4), context.last_close),
        paths=None,
        backend="flat",
        model="flat@1",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0,
    )


def once(marker: str, action: Action) -> Action:
    """`action` the first time, across processes, where a marker is given; each time where none is."""

    def act() -> None:
        if marker:
            try:
                open(marker, "x").close()
            except FileExistsError:
                return
        action()

    return act
