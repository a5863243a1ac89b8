"""`trader backends check NAME`: whether a backend holds to what the daemon relies on, with its configured options."""

from __future__ import annotations

import logging

import click

from trader.commands.options import json_option, loaded_settings, mode_option


@click.command("check")
@mode_option
@click.argument("name")
@json_option
def command(mode: str | None, name: str, as_json: bool) -> int:
    """Ask the backend NAME in every way that the contract names, and say what does not hold. Exit 1 where something
    does not. Its options are those of the settings (OPTIONS__NAME__FIELD, KRONOS_..., TOTO_...)."""
    from forecasters.base import ForecastError
    from forecasters.contract import check_backend
    from trader.commands.contract_table import show
    from trader.daemon.forecaster import backend_options, sandbox_of
    from trader.daemon.forecaster import check_backend as check_it_can_run
    from trader.errors import ConfigurationError

    settings = loaded_settings(mode, forecaster=name).settings
    check_it_can_run(settings)
    trading = settings.trading
    findings = check_backend(
        trading.backend,
        backend_options(settings),
        bars=trading.context,
        horizon=trading.horizon,
        deadline_s=trading.forecast_deadline_s,
        sandbox=sandbox_of(settings),
    )
    log = logging.getLogger("forecasters")
    before = log.level
    log.setLevel(logging.CRITICAL)  # symbols are refused on purpose here, as the findings are asked for
    try:
        return show(trading.backend, findings, as_json)
    except ForecastError as error:
        raise ConfigurationError(f"{trading.backend} did not start: {error}") from error
    finally:
        log.setLevel(before)
