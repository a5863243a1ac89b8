"""The forecaster as a unit of its own: settings become the worker's arguments, and this process becomes the worker.

`python -m trader.daemon.worker_unit`, started by trader-forecaster@.service, reads the same settings as the daemon, so
that one file says which model it is and where the two meet (WORKER_SOCKET). It replaces itself, keeping its process id:
systemd goes on talking to the same main process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from settings import children
from settings.load import SettingsError, load
from settings.schema import Settings
from trader.daemon.forecaster import backend_options
from trader.errors import ConfigurationError
from trader.folders import RIGHT, unwritable
from trader.strategies import names


def worker_command(settings: Settings, python: str = sys.executable) -> list[str]:
    """The command line of the worker, which reads its options, a secret among them perhaps, from standard input.

    Raises ConfigurationError where there is no socket to listen on, or no folder for it.
    """
    if not settings.worker.socket:
        raise ConfigurationError("WORKER_SOCKET is not set; the forecaster's unit needs the path that the daemon uses")
    socket = Path(settings.worker.socket)
    if why := unwritable(socket.parent):
        raise ConfigurationError(f"WORKER_SOCKET={socket}: its folder {why}; {RIGHT}")
    return children.python(
        *("forecasters.worker", "--backend", settings.trading.backend),
        *("--socket", str(socket), "--options-file", "-"),
        interpreter=python,
    )


def main() -> NoReturn:
    try:
        settings = load(strategies=names()).settings
        command = worker_command(settings)
    except (SettingsError, ConfigurationError) as error:
        print(f"trader-forecaster: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    notify = {"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"]} if "NOTIFY_SOCKET" in os.environ else {}
    children.become(command, given=json.dumps(backend_options(settings)).encode(), more=notify)


if __name__ == "__main__":
    main()
