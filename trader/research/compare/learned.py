"""Whether the arms of a comparison have learned the bars that they are compared on."""

from __future__ import annotations

from collections.abc import Sequence

from forecasters.base import ForecastError
from settings.schema import Settings
from trader.daemon.forecaster import backend_options, check_backend, sandbox_of
from trader.errors import ConfigurationError
from trader.research.backtest.simulate import Setup, opened
from trader.research.compare.rival_workers import RivalSpec
from trader.research.forecasts.in_sample import Trained, trained
from trader.research.forecasts.key import known_backend


def trained_arms(setup: Setup, specs: Sequence[RivalSpec], settings: Sequence[Settings]) -> list[Trained]:
    """One an arm; none on a generated market, which nobody has learned. Raises ConfigurationError."""
    if not setup.market.data:
        return []
    first = dict.fromkeys(setup.settings.trading.symbols, opened(setup.market).start)
    found = []
    for spec, each in zip(specs, settings, strict=True):
        check_backend(each)
        try:
            known = known_backend(each.trading.backend, backend_options(each), sandbox=sandbox_of(each))
        except ForecastError as error:
            raise ConfigurationError(f"{spec.text}: {error}") from error
        found.append(trained(spec.text, known.learned_to, first))
    return found
