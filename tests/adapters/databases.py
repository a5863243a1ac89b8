"""A fresh database for a test: SQLite always, PostgreSQL where a server can be started here."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


class NoServer(Exception):
    """Why there is no PostgreSQL to test on."""


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Server:
    """`stop` and `start` it as often as is wanted: what was committed stays."""

    url: str
    _control: Callable[..., None]

    def stop(self) -> None:
        self._control("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        self._control("-w", "start")


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """A private server on loopback, gone afterwards. Raises NoServer."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        raise NoServer("no initdb and pg_ctl on this machine")
    with contextlib.suppress(ImportError):
        import psycopg

        assert psycopg
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            yield from _served(Path(folder))
        return
    raise NoServer("psycopg is not installed (the postgres extra)")


@contextlib.contextmanager
def postgres_or_skip() -> Iterator[Server]:
    """Skips the test where none can be started here."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server())
        except NoServer as why:
            pytest.skip(f"PostgreSQL: {why}")
        yield server


def _served(folder: Path) -> Iterator[Server]:
    user = _unprivileged(folder)
    port = free_port()
    data = folder / "data"
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    _run(["initdb", "-D", str(data), "-U", "trader", "-A", "trust", "--no-sync"], folder, user)

    def control(*arguments: str) -> None:
        command = ["pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), *arguments]
        _run([each for each in command if arguments[-1] == "start" or each not in ("-o", options)], folder, user)

    server = Server(f"postgresql://trader@127.0.0.1:{port}/postgres", control)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(NoServer):  # a test may have stopped it
            server.stop()


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: give the folder to nobody."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_name


def _run(command: list[str], folder: Path, user: str | None) -> None:
    done = subprocess.run(
        command, cwd=folder, user=user, env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise NoServer(f"{command[0]}: {(done.stderr or done.stdout).strip()[-200:]}")
