"""One writer for an account on this machine, whatever its folders, settings or user are.

A name in Linux's abstract socket namespace: it belongs to no folder, needs no permission, and the kernel frees it when
its holder dies. Two machines, or two containers with networks of their own, do not see each other's: there the
journal's database keeps the second one out.
"""

from __future__ import annotations

import hashlib
import socket
import struct

from trader.errors import AccountLocked

_CREDENTIALS = struct.Struct("3i")  # process, user, group: what SO_PEERCRED answers


class MachineLock:
    """Raises AccountLocked (73), naming the holder, where another process has it."""

    def __init__(self, venue: str, account_id: str) -> None:
        self._account_id = account_id
        self._name = b"\0trader-account-" + hashlib.sha256(f"{venue}\n{account_id}".encode()).hexdigest()[:40].encode()
        self._listener: socket.socket | None = None

    def acquire(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(self._name)
            listener.listen(1)  # whoever is refused connects to ask who holds it
        except OSError as error:
            listener.close()
            holder = self.holder()
            raise AccountLocked(
                f"account {self._account_id} is traded by process {holder or 'unknown'} on this machine, with another "
                "STATE_DIR or as another user: stop that one first, or use the commands with its settings"
            ) from error
        self._listener = listener

    def holder(self) -> int | None:
        """Its process id; None where nobody holds it. Looks only."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
            asking.setblocking(False)
            try:
                asking.connect(self._name)
            except BlockingIOError:
                return 0  # held, and others are asking, too
            except OSError:
                return None
            answer = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(answer)[0])

    def release(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def __enter__(self) -> MachineLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
