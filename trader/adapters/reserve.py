"""The reserve: a small file of exits, for when the journal takes nothing, and the ballast that keeps room for it.

A line for each record: a checksum and JSON. What was added is on the disk when the call returns. A line that was cut
off by a crash is left out. The file's first part is written in advance, so that records fit on a full disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trader.adapters.ballast import MIB, Ballast
from trader.adapters.glance_reserve import checked, lines_of
from trader.adapters.journal.codec import from_plain, to_plain
from trader.adapters.latch import sync_folder
from trader.core.ids import account_tag
from trader.core.types import OrderIntent
from trader.trading.ports import Reserved

WRITTEN_IN_ADVANCE = 256 * 1024


class Reserve:
    """For one account in a mode. One process writes it, the one that has the account's lock; any may read it."""

    def __init__(self, folder: Path, mode: str, account_id: str, ballast_mib: int) -> None:
        self.path = folder / f"reserve-{mode}-{account_tag(account_id)}"
        self.ballast = Ballast(folder, mode, ballast_mib * MIB)

    # ---- records ----

    def add(self, cycle_id: str, intent: OrderIntent, at: datetime) -> None:
        """On the disk when this returns. Raises OSError."""
        line = {"cycle": cycle_id, "at": at.isoformat(), "intent": to_plain(intent)}
        try:
            self._append(line, durable=True)
        except OSError:
            self.ballast.give_back()
            self._append(line, durable=True)

    def note(self, client_order_id: str, state: str, order_id: str | None, reason: str) -> None:
        """What became of it, as far as it was heard. The venue would tell it again. Raises OSError."""
        self._append({"of": client_order_id, "state": state, "order": order_id, "reason": reason}, durable=False)

    def kept(self) -> tuple[Reserved, ...]:
        """Oldest first. Raises OSError."""
        return _records(self._content())

    def clear(self) -> None:
        """All of it is elsewhere. In place: a full disk allows it. Raises OSError."""
        used = len(self._content().rstrip(b"\0"))
        if used:
            self._put(b"\0" * used, 0, durable=True)

    # ---- room ----

    def is_whole(self) -> bool:
        return self.ballast.is_whole()

    def make_room(self) -> bool:
        """True where the ballast is whole, and the file has its first part."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            length = self.path.stat().st_size if self.path.exists() else 0
            if length < WRITTEN_IN_ADVANCE:
                self._put(b"\0" * (WRITTEN_IN_ADVANCE - length), length, durable=True)
        except OSError:
            return False
        return self.ballast.make()

    def give_room(self) -> None:
        """Raises OSError."""
        self.ballast.give_back()

    def lacking(self) -> int:
        """Bytes that must become free before the ballast is made again."""
        return self.ballast.lacking()

    # ---- parts ----

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _append(self, record: Mapping[str, Any], *, durable: bool) -> None:
        text = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        before = self._content().rstrip(b"\0")
        cut_off = b"" if not before or before.endswith(b"\n") else b"\n"
        self._put(cut_off + checked(text), len(before), durable=durable)

    def _put(self, content: bytes, start: int, *, durable: bool) -> None:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                sync_folder(self.path.parent)
            while content:
                written = os.pwrite(descriptor, content, start)
                content, start = content[written:], start + written
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _records(content: bytes) -> tuple[Reserved, ...]:
    found: dict[str, Reserved] = {}
    for plain in lines_of(content):
        if "of" in plain:
            name = plain["of"]
            if name in found:
                reason, order_id = plain["reason"] or found[name].reason, plain["order"] or found[name].order_id
                found[name] = replace(found[name], state=plain["state"], order_id=order_id, reason=reason)
            continue
        intent: OrderIntent = from_plain(OrderIntent, plain["intent"])
        at = datetime.fromisoformat(plain["at"]).astimezone(UTC)
        found[intent.client_order_id] = Reserved(cycle_id=plain["cycle"], intent=intent, at=at)
    return tuple(found.values())
