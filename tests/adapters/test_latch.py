"""The latch: a kill that needs no database."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trader.adapters.latch import Latch

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_what_one_process_latches_another_reads_until_it_is_cleared(tmp_path: Path) -> None:
    writer, reader = Latch(tmp_path / "state", "paper"), Latch(tmp_path / "state", "paper")
    assert reader.read() == {}
    writer.set("killed", "boom", NOON)
    assert reader.read() == {"killed": "boom (latched 2026-03-02 12:00:00Z)"}
    assert Latch(tmp_path / "state", "live").read() == {}
    writer.clear()
    assert reader.read() == {}


def test_a_second_latch_leaves_the_first(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "paper")
    latch.set("killed", "boom", NOON)
    Latch(tmp_path, "paper").set("halted", "the books differ", NOON)
    assert set(latch.read()) == {"killed", "halted"}


def test_what_is_latched_later_is_read_by_one_that_has_read_already(tmp_path: Path) -> None:
    reader, writer = Latch(tmp_path, "paper"), Latch(tmp_path, "paper")
    writer.set("halted", "the books differ", NOON)
    assert set(reader.read()) == {"halted"}
    writer.set("killed", "boom", NOON)
    assert set(reader.read()) == {"killed", "halted"}
    writer.path.write_text('{"killed": "another"}')
    assert reader.read() == {"killed": "another"}


def test_one_that_can_not_be_looked_at_is_a_kill(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    assert "can't be looked at" in Latch(tmp_path / "state", "paper").read()["killed"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"killed": 3}', b"[" * 100_000])
def test_a_file_that_says_nothing_readable_is_a_kill(tmp_path: Path, content: bytes) -> None:
    """Somebody wanted the trading to stop."""
    latch = Latch(tmp_path, "paper")
    latch.path.write_bytes(content)
    assert list(latch.read()) == ["killed"]
    assert str(latch.path) in latch.read()["killed"]


def test_the_file_is_its_owners_alone_and_no_draft_is_left(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "state", "paper")
    latch.set("killed", "x" * 10_000, NOON)
    assert stat.S_IMODE(latch.path.stat().st_mode) == 0o600
    assert [path.name for path in latch.path.parent.iterdir()] == ["latch-paper.json"]
    assert len(latch.read()["killed"]) < 600


def test_a_draft_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    latch = Latch(tmp_path, "paper")
    (tmp_path / f".latch-paper.json.{os.getpid()}").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        latch.set("killed", "boom", NOON)
    assert target.read_text() == "kept"
