"""Parameters fitted on the past alone: each stretch is traded with what did best in the window just before it.

The account goes on from stretch to stretch; only the strategy's parameters change, between two cycles. Each window is
a run of its own that ends where the stretch begins, so nothing later can have had a part in the choice.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecasters.base import Forecaster
from forecasters.types import Context, Forecast
from settings.schema import Settings
from trader.daemon.parameters import decider
from trader.errors import ConfigurationError
from trader.research.backtest.deciding import strict_decider
from trader.research.backtest.result import FittedWindow
from trader.research.backtest.simulate import Recording, Setup, simulate
from trader.research.forecasts.key import Question, question_of
from trader.trading.cycle import Trader

REMEMBERED = 8192  # forecasts: every set of parameters asks for the same ones
MOST_CHOICES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """`grid` has the values to try for each parameter; the first of each are taken where several do equally well."""

    grid: Mapping[str, tuple[str, ...]]
    window: timedelta
    step: timedelta

    def choices(self) -> list[dict[str, str]]:
        """Every combination, the first parameter changing slowest."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def grid_of(text: str) -> dict[str, tuple[str, ...]]:
    """`entry_quantile=0.2,0.3;steps=2,4`. Raises ConfigurationError."""
    grid: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, values = part.partition("=")
        choices = tuple(value.strip() for value in values.split(",") if value.strip())
        if not equals or not name.strip() or not choices or name.strip() in grid:
            raise ConfigurationError(f"--fit {part!r}: write entry_quantile=0.2,0.3;steps=2,4, each name once")
        grid[name.strip()] = choices
    if not grid:
        raise ConfigurationError("--fit is empty: write entry_quantile=0.2,0.3;steps=2,4")
    return grid


def check(walk: Walk, settings: Settings) -> None:
    """Every choice must be one that the strategy takes. Raises ConfigurationError."""
    choices = walk.choices()
    if len(choices) > MOST_CHOICES:
        raise ConfigurationError(f"--fit asks for {len(choices)} combinations in each window: at most {MOST_CHOICES}")
    for choice in choices:
        decider(settings.trading.strategy, params_with(settings, choice))


class Walker:
    """Goes into a run as its `before_cycle`; `windows` are the choices made so far, oldest first.

    setup  of the run itself: the windows are made like it
    """

    def __init__(
        self,
        walk: Walk,
        setup: Setup,
        forecaster: Forecaster,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.windows: list[FittedWindow] = []
        self._walk, self._setup, self._say = walk, setup, say
        self._forecaster = _Remembering(forecaster)
        self._next: datetime | None = None

    def __call__(self, trader: Trader, bar_close: datetime) -> None:
        if self._next is not None and bar_close < self._next:
            return
        window = self._choose(bar_close)
        self.windows.append(window)
        self._next = window.used_to
        self._say(f"from {bar_close:%Y-%m-%d %H:%M}Z on: {_told(window.params)}")
        params = params_with(self._setup.settings, window.params)
        trader.rules = replace(trader.rules, params=params)
        trader.decide = strict_decider(trader.rules.strategy, params)

    def _choose(self, at: datetime) -> FittedWindow:
        """The best of the window before `at`."""
        runs = []
        for choice in self._walk.choices():
            run = simulate(self._past(at, choice), self._forecaster)
            runs.append((_net_return(run), choice, len(run.journal.fills)))
        best = max(runs, key=lambda entry: entry[0])  # the first of equals
        return FittedWindow(
            fitted_from=at - self._walk.window,
            fitted_to=at,
            used_to=at + self._walk.step,
            params=best[1],
            best_return=best[0],
            worst_return=min(entry[0] for entry in runs),
            trades=best[2],
            choices=len(runs),
        )

    def _past(self, at: datetime, choice: Mapping[str, str]) -> Setup:
        setup = self._setup
        return replace(
            setup,
            settings=with_params(setup.settings, choice),
            market=replace(setup.market, start=at - self._walk.window),
            end=at,
            cycles=None,
        )


def params_with(settings: Settings, chosen: Mapping[str, str]) -> dict[str, str]:
    return {**settings.strategy_params, **chosen}


def with_params(settings: Settings, chosen: Mapping[str, str]) -> Settings:
    """The settings with some of the strategy's parameters replaced."""
    name = settings.strategy_key
    return settings.model_copy(update={"strategies": {**settings.strategies, name: params_with(settings, chosen)}})


def _net_return(run: Recording) -> float:
    return float(run.venue.figures().equity / run.journal.points[0].equity - 1) if run.journal.points else 0.0


def _told(params: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


class _Remembering:
    """A Forecaster that is not asked the same twice: the windows overlap, and every choice asks for the same."""

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.warm_up = inner.warm_up
        self.close = inner.close
        self._inner = inner
        self._known: OrderedDict[Question, Forecast | None] = OrderedDict()

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        questions = {context.symbol: question_of(context) for context in contexts}
        missing = [context for context in contexts if questions[context.symbol] not in self._known]
        fresh = self._inner.forecast(missing) if missing else {}
        for context in missing:
            self._known[questions[context.symbol]] = fresh.get(context.symbol)
        forecasts = {symbol: self._known[question] for symbol, question in questions.items()}
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return {
            symbol: forecast if forecast.symbol == symbol else replace(forecast, symbol=symbol)
            for symbol, forecast in forecasts.items()
            if forecast is not None
        }
