"""One daemon for an account: a file lock that the kernel lets go when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from types import TracebackType

from trader.errors import AccountLocked


class AccountLock:
    """Held from `acquire` to `release`, or for a `with` block. Its file stays.

    Raises AccountLocked (73), naming the holder, where another process (or another lock in this one) has it.
    """

    def __init__(self, folder: Path, account_id: str) -> None:
        self.path = folder / f"account-{re.sub(r'[^A-Za-z0-9_.-]', '_', account_id)}.lock"
        self._account_id = account_id
        self._descriptor: int | None = None

    def acquire(self) -> None:
        if self._descriptor is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise AccountLocked(
                f"account {self._account_id} is traded by process {holder} (lock {self.path}): "
                "stop that one first, or use the commands, which talk to it"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def held(self) -> bool:
        """Whether anybody has it. Only looks and writes nothing: a folder that can be read is enough."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> AccountLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
