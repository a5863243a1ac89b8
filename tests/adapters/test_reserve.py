"""The reserve: exits on the disk though it is full, each whole or not at all, and the room that is kept for them."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.adapters import samples
from tests.adapters.disks import fill, small_disk
from tests.adapters.samples import NOW
from trader.adapters import ballast, reserve
from trader.adapters.ballast import MIB, Ballast
from trader.adapters.glance_reserve import described
from trader.adapters.reserve import Reserve

ACCOUNT = "an account"


def reserve_in(folder: Path, ballast_mib: int = 1) -> Reserve:
    made = Reserve(folder, "paper", ACCOUNT, ballast_mib)
    assert made.make_room()
    return made


def names(kept: Reserve) -> list[str]:
    return [each.intent.client_order_id for each in kept.kept()]


def test_what_was_added_is_read_again_by_another_process(tmp_path: Path) -> None:
    first = reserve_in(tmp_path)
    first.add("c1", samples.intent("a"), NOW)
    first.add("c2", samples.intent("b"), NOW + timedelta(seconds=1))
    first.note("a", "accepted", "venue-1", "")
    a, b = Reserve(tmp_path, "paper", ACCOUNT, 1).kept()
    assert (a.cycle_id, a.intent, a.at) == ("c1", samples.intent("a"), NOW)
    assert (a.state, a.order_id) == ("accepted", "venue-1")
    assert (b.state, b.order_id) == ("planned", None)
    assert Reserve(tmp_path, "paper", "another account", 1).kept() == ()


def test_the_name_of_a_new_file_is_on_the_disk_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def witnessed(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", witnessed)
    kept = Reserve(tmp_path, "paper", ACCOUNT, 0)
    kept.add("c1", samples.intent("a"), NOW)
    assert synced == [tmp_path, kept.path]
    kept.add("c1", samples.intent("b"), NOW)
    assert synced == [tmp_path, kept.path, kept.path]


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_that_a_crash_cut_off_is_left_out_and_the_next_one_is_whole(tmp_path: Path, cut: int) -> None:
    kept = reserve_in(tmp_path)
    kept.add("c1", samples.intent("a"), NOW)
    kept.add("c1", samples.intent("b"), NOW)
    content = kept.path.read_bytes()
    used = len(content.rstrip(b"\0"))
    kept.path.write_bytes(content[: used - cut] + b"\0" * (len(content) - used + cut))
    assert names(kept) == (["a"] if cut > 1 else ["a", "b"])  # a line's end alone says nothing
    kept.add("c1", samples.intent("c"), NOW)
    assert names(kept)[-1] == "c"
    kept.clear()
    assert names(kept) == []


def test_one_flipped_bit_costs_its_line_alone(tmp_path: Path) -> None:
    kept = reserve_in(tmp_path)
    for name in "abc":
        kept.add("c1", samples.intent(name), NOW)
    content = bytearray(kept.path.read_bytes())
    content[content.index(b'"b"') + 1] ^= 1
    kept.path.write_bytes(content)
    assert names(kept) == ["a", "c"]


def test_a_clearing_that_was_cut_off_leaves_whole_lines_or_none(tmp_path: Path) -> None:
    kept = reserve_in(tmp_path)
    for name in "abc":
        kept.add("c1", samples.intent(name), NOW)
    content = kept.path.read_bytes()
    kept.path.write_bytes(b"\0" * 100 + content[100:])
    assert names(kept) == ["b", "c"]
    kept.clear()
    assert not kept.path.read_bytes().strip(b"\0")


# ---- room ----


def test_on_a_full_disk_exits_are_recorded_and_its_room_comes_back_when_there_is_some(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        kept = reserve_in(disk)
        assert described(disk, "paper", 1) == "1 MiB are kept back"
        filler = fill(disk)
        for number in range(100):
            kept.add("c1", samples.intent(f"a{number}"), NOW)
        assert kept.is_whole(), "the file was written in advance"
        for number in range(1000):
            kept.add("c1", samples.intent(f"b{number}"), NOW)
        assert not kept.is_whole(), "the rest took the room that was kept for it"
        assert len(names(kept)) == 1100
        assert not kept.make_room()
        assert kept.lacking() > MIB
        assert "entries wait" in described(disk, "paper", 1)
        assert described(disk, "paper", 1).endswith("1100 exits wait for the journal")
        filler.unlink()
        kept.clear()
        assert kept.lacking() == 0
        assert kept.make_room()
        assert kept.is_whole()


def test_room_that_was_given_back_is_there_for_others(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        kept = reserve_in(disk, 2)
        filler = fill(disk)
        before = filler.stat().st_size
        kept.give_room()
        assert fill(disk).stat().st_size - before >= 2 * MIB


def test_where_there_is_too_little_room_none_of_it_is_taken(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        kept = Ballast(disk, "paper", 3 * MIB)
        assert not kept.make()
        assert list(disk.iterdir()) == []


def test_a_file_system_that_keeps_no_room_by_itself_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(ballast.os, "posix_fallocate", unsupported)
    kept = Ballast(tmp_path, "paper", 3 * MIB + 5)
    assert kept.make()
    assert kept.path.stat().st_size == 3 * MIB + 5
    assert len(set(kept.path.read_bytes()[:1000])) > 100, "what could be packed would keep no room"


def test_another_size_takes_the_place_of_the_one_before_and_none_is_whole_by_itself(tmp_path: Path) -> None:
    assert Ballast(tmp_path, "paper", MIB).make()
    larger = Ballast(tmp_path, "paper", 2 * MIB)
    assert not larger.is_whole()
    assert larger.make()
    assert Ballast(tmp_path, "paper", 0).is_whole()
    assert described(tmp_path, "paper", 0) == "nothing is kept back (RESERVE_MB=0)"
    assert "by the next run" in described(tmp_path, "paper", 1)


def test_a_record_that_can_be_put_nowhere_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = reserve_in(tmp_path)

    def full(descriptor: int, content: bytes, start: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reserve.os, "pwrite", full)
    with pytest.raises(OSError, match="space"):
        kept.add("c1", samples.intent("a"), NOW)
    assert names(kept) == []
