"""What all commands share: the settings with their flags, and the two options that nearly all have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trader.printable import printable

if TYPE_CHECKING:
    from settings.load import Loaded

Command = TypeVar("Command", bound=Callable[..., Any])
A_TIME = "write a date or a time such as 2024-03-01T12:00Z"
LONGEST_REASON = 200
MODES = click.Choice(["sim", "paper", "live"])


def time(text: str) -> datetime:
    """The type of an option: a date or a time, UTC where no zone is said. click shows the name of this in --help."""
    try:
        return in_utc(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}; {A_TIME}") from None


def in_utc(text: str) -> datetime:
    """Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def loaded_settings(mode: str | None = None, **flags: object) -> Loaded:
    """The settings with these flags on top. Raises ConfigurationError (78)."""
    return settings_of({"trading_mode": mode, **flags})


def need_models(purpose: str) -> None:
    """Raises ConfigurationError (78) where torch, or what loads weights, is not installed."""
    from forecasters.options import MODELS, missing_packages
    from trader.errors import ConfigurationError

    packages = missing_packages(MODELS)
    if packages:
        raise ConfigurationError(f"{purpose} can't be done here: {packages[0]}")


def settings_of(flags: Mapping[str, object]) -> Loaded:
    """The settings with these flags on top, by the settings' names. Raises ConfigurationError (78)."""
    from settings.load import SettingsError, load
    from trader.errors import ConfigurationError
    from trader.strategies import names

    try:
        return load(flags, strategies=names())
    except (SettingsError, ValueError) as error:  # a ValueError is a strategy's name that two packages claim
        raise ConfigurationError(str(error)) from None


def settings_for_emergencies(mode: str | None) -> tuple[Loaded, str]:
    """(settings, what is wrong with them). A daemon must be stoppable however broken its settings are by now: then
    only what says where its journal is has been read. Raises ConfigurationError (78) where that is broken too."""
    from settings.load import SettingsError, load
    from trader.errors import ConfigurationError

    try:
        return loaded_settings(mode), ""
    except ConfigurationError as error:
        try:
            return load({"trading_mode": mode}, only=("TRADING_MODE", "STATE_DIR", "DATABASE_URL")), str(error)
        except SettingsError:
            raise error from None


def pairs(params: tuple[str, ...]) -> dict[str, str]:
    """Of `--param NAME=VALUE`. Raises ConfigurationError (78)."""
    from trader.errors import ConfigurationError

    split = [(pair, *pair.partition("=")) for pair in params]
    for pair, name, equals, _ in split:
        if not name or not equals:
            raise ConfigurationError(f"--param {pair}: write NAME=VALUE, for example entry_quantile=0.3")
    return {name: value for _, name, _, value in split}


def mode_option(command: Command) -> Command:
    return click.option("--mode", type=MODES, help="sim, paper or live (default: TRADING_MODE).")(command)


def again_option(command: Command) -> Command:
    return click.option(
        "--ask-again",
        "again",
        type=click.FloatRange(0, 1),
        default=0.02,
        show_default=True,
        metavar="SHARE",
        help="The share of the forecasts that is asked again alone, in a fresh worker; at least 12, and 4 a symbol. "
        "It costs about ten times its share of the forecasting. 0: none.",
    )(command)


def in_sample_option(command: Command) -> Command:
    return click.option(
        "--in-sample", is_flag=True, help="Also on bars that the backend has learned. The figures are marked."
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def one_line(text: str) -> str:
    """A reason that a person gave, fit for tables and one-line messages. No text is refused."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    short = " ".join(shown.split())
    return short if len(short) <= LONGEST_REASON else short[: LONGEST_REASON - 3] + "..."


def say(line: str, *, err: bool = False) -> None:
    """One line, whatever is in it."""
    click.echo(printable(line), err=err)


def whisper(line: str) -> None:
    """Say what is going on, on standard error. Standard output is for results."""
    say(line, err=True)
