"""The settings as the commands read them, with changes of the caller's on top."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from settings.load import Loaded, SettingsError, load
from trader.errors import ConfigurationError
from trader.strategies import names

Changes = Mapping[str, object]
NONE: Changes = MappingProxyType({})


def load_settings(changes: Changes = NONE) -> Loaded:
    """The settings: `changes`, then the environment, .env.compile and .env of the working directory, the defaults.

    changes  by the settings' names in small letters: {"symbols": "BTC/USD", "risk__max_symbol": "0.1"}
    Raises ConfigurationError, one line.
    """
    try:
        return load(changes, strategies=names())
    except (SettingsError, ValueError) as error:  # a ValueError is a strategy's name that two packages claim
        raise ConfigurationError(str(error)) from None
