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

from settings.load import SettingsError, load
from settings.schema import Settings
from trader.daemon.forecaster import backend_options
from trader.errors import ConfigurationError
from trader.strategies import names


def worker_command(settings: Settings, python: str = sys.executable) -> list[str]:
    """The command line of the worker. Its options go into a file beside the socket, for they may hold a secret.

    Raises ConfigurationError where there is no socket to listen on, or no folder for it.
    """
    if not settings.worker.socket:
        raise ConfigurationError("WORKER_SOCKET is not set; the forecaster's unit needs the path that the daemon uses")
    socket = Path(settings.worker.socket)
    options = socket.with_suffix(".options.json")
    try:
        options.unlink(missing_ok=True)
        with os.fdopen(os.open(options, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(backend_options(settings), file)
    except OSError as error:
        raise ConfigurationError(f"WORKER_SOCKET={socket}: {error.strerror} ({error.filename})") from error
    return [
        *(python, "-m", "forecasters.worker", "--backend", settings.trading.backend),
        *("--socket", str(socket), "--options-file", str(options)),
    ]


def main() -> NoReturn:
    try:
        command = worker_command(load(strategies=names()).settings)
    except (SettingsError, ConfigurationError) as error:
        print(f"trader-forecaster: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
