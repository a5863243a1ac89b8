"""Settings to the core's own parameters. The only place where the two meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from settings.kinds import variable_of
from settings.load import Loaded
from settings.schema import Settings
from trader.core.decision import (
    DecisionInputs,
    ExitPolicy,
    ExitRests,
    Hold,
    RiskLimits,
    Signal,
    Sizing,
    SizingRule,
)
from trader.core.plan import view_of
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.strategies import Strategy, find, names
from trader.trading.cycle import Rules


def rules_of(settings: Settings) -> Rules:
    """Raises ConfigurationError where the strategy or its parameters are wrong, or those of another strategy."""
    trading = settings.trading
    strategy, params = _found(trading.strategy), settings.strategy_params
    view_bars = _view_bars(strategy, _bound(strategy, params), trading.context)
    _check_others(settings)
    return Rules(
        symbols=tuple(Symbol(text) for text in trading.symbols),
        timeframe=Timeframe.parse(trading.timeframe),
        context=trading.context,
        horizon=trading.horizon,
        strategy=strategy.name,
        params=params,
        sizing=sizing_of(settings),
        limits=limits_of(settings),
        exits=exits_of(settings),
        add_latest=trading.add_latest,
        bar_deadline=timedelta(seconds=trading.bar_deadline_s),
        view_bars=view_bars,
    )


def _view_bars(strategy: Strategy, bound: object, context: int) -> int:
    try:
        count = strategy.bars(bound)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if count > context:
        raise ConfigurationError(f"strategy {strategy.name} looks at {count} bars, CONTEXT={context}: set a larger one")
    return count


def unchosen(loaded: Loaded) -> str:
    """Why the strategy is nobody's choice, where it has to be one; "" for no reason."""
    if loaded.settings.trading.trading_mode == "sim" or loaded.origins["STRATEGY"] != "default":
        return ""
    usual = loaded.settings.trading.strategy
    return (
        f"STRATEGY is not set, and is a choice where orders go to Alpaca: {usual}, the simulation's, is measured to"
        " lose its fees; `trader strategies` lists what there is, for example STRATEGY=voltarget"
    )


def sizing_of(settings: Settings) -> Sizing:
    sizing = settings.sizing
    return Sizing(
        rule=SizingRule(sizing.rule),
        fraction=sizing.fraction,
        kelly_fraction=sizing.kelly_fraction,
        kelly_cap=sizing.kelly_cap,
    )


def limits_of(settings: Settings) -> RiskLimits:
    """Only the simulation may trade on modelled quotes."""
    risk = settings.risk
    return RiskLimits(
        max_symbol=risk.max_symbol,
        max_gross=risk.max_gross,
        max_net=risk.max_net,
        max_open_entries=risk.max_open_entries,
        max_order_notional=risk.max_order_notional,
        collar_bps=risk.collar_bps,
        max_spread_bps=risk.max_spread_bps,
        max_quote_age=timedelta(seconds=risk.max_quote_age_s),
        min_edge_bps=risk.min_edge_bps,
        max_orders_per_minute=risk.max_orders_per_minute,
        equity_band=risk.equity_band,
        max_day_notional=risk.max_day_notional,
        max_day_orders=risk.max_day_orders,
        max_refusals=risk.max_refusals,
        max_losing_exits=risk.max_losing_exits,
        max_daily_loss=risk.max_daily_loss,
        max_drawdown=risk.max_drawdown,
        cooldown=timedelta(seconds=risk.cooldown_s),
        max_level_distance=risk.max_level_distance,
        allow_synthetic_quotes=settings.trading.trading_mode == "sim",
    )


def exits_of(settings: Settings) -> ExitPolicy:
    exits = settings.exits
    return ExitPolicy(
        exit_rests=ExitRests(exits.exit_rests),
        hysteresis_bps=exits.hysteresis_bps,
        hold=Hold(exits.hold),
        max_age=timedelta(seconds=exits.max_age_s),
        target_age=timedelta(seconds=exits.target_age_s),
        chase_collar_bps=exits.chase_collar_bps,
        stocks_overnight=exits.stocks_overnight,
        flat_before_close=timedelta(seconds=exits.flat_before_close_s),
        max_order_age=timedelta(seconds=exits.max_order_age_s),
        fallback_stop_bps=exits.fallback_stop_bps,
        max_quote_age=timedelta(seconds=exits.max_quote_age_s),
        watch_quote_age=timedelta(seconds=exits.watch_quote_age_s),
        max_spread_bps=exits.max_spread_bps,
        max_disagreement_bps=exits.max_disagreement_bps,
        max_attempts_per_minute=exits.max_attempts_per_minute,
    )


def decider(name: str, params: Mapping[str, str]) -> Callable[[DecisionInputs], Sequence[Signal]]:
    """The strategy with its parameters bound, from inputs to signals."""
    strategy = _found(name)
    bound = _bound(strategy, params)
    return lambda inputs: strategy.decide(view_of(inputs), bound)


def _found(name: str) -> Strategy:
    try:
        return find(name)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _bound(strategy: Strategy, params: Mapping[str, str]) -> object:
    try:
        return strategy.params(params)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _check_others(settings: Settings) -> None:
    """A misspelt parameter is one whichever strategy is chosen. A broken package that is not used stops nobody."""
    given = {key: params for key, params in settings.strategies.items() if key != settings.strategy_key}
    for name in names() if given else ():
        if params := given.get(variable_of(name).lower()):
            try:
                strategy = find(name)
            except ValueError:
                continue
            _bound(strategy, params)
