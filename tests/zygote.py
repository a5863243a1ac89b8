"""Starts our programs by forking an interpreter that has imported everything already: two seconds become none.

What runs in the child is `trader`'s own main with its own arguments, environment, process group and output files;
only the imports are saved. Reads one JSON request a line, answers one a line:
{"start": {"arguments", "environment", "output", "errors", "folder", "limits"}} -> {"pid"}
{"poll": pid} -> {"code": its exit code, or null while it runs}
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import threading
from typing import Any, NoReturn

IMPORTED = (
    "alembic.command",
    "trader.adapters.journal.upgrade",
    "trader.commands.audit",
    "trader.cli",
    "trader.commands.control",
    "trader.exchange.command",
    "trader.exchange.run",
    "trader.exchange.api.routes",
    "trader.terminal.runner",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)


def main() -> None:
    _import_everything()
    assert threading.active_count() == 1, "only a process of one thread may be forked"
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"pid": _start(request["start"])} if "start" in request else {"code": _poll(request["poll"])}
        print(json.dumps(answer), flush=True)


def _import_everything() -> None:
    for name in IMPORTED:
        importlib.import_module(name)


def _start(options: dict[str, Any]) -> int:
    for name in (options["output"], options["errors"]):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644))
    pid = os.fork()
    if pid == 0:
        _become(options)
    return pid


def _become(options: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        for number, name in ((0, os.devnull), (1, options["output"]), (2, options["errors"])):
            descriptor = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        os.chdir(options["folder"])
        os.environ.clear()
        os.environ.update(options["environment"])
        for name, value in options.get("limits", {}).items():
            resource.setrlimit(getattr(resource, name), (value, value))
        if "LD_PRELOAD" in options["environment"]:  # acts only on a program that is loaded anew
            environment = options["environment"]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), sys.path[0])))
            os.execve(sys.executable, [sys.executable, "-m", "trader", *options["arguments"]], environment)
        extra = options["environment"].get("PYTHONPATH", "")
        sys.path[:0] = [part for part in extra.split(os.pathsep) if part and part not in sys.path]
        sys.argv = ["trader", *options["arguments"]]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        code = _run()
    except BaseException:  # noqa: BLE001 - the last frame of this process: said as the interpreter would say it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run() -> int:
    from trader.__main__ import main as trader

    try:
        return trader()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    main()
