"""What is believed at a path: who owns it and the way there, and who else may write to either."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings.load import SettingsError, load
from settings.trust import close_to_others, distrust, is_roots, umask
from tests.security.second_user import STRANGER, as_another_user, by_stranger, public_folder


@pytest.fixture
def public() -> Iterator[Path]:
    yield from public_folder()


def test_a_file_of_ours_in_a_folder_of_ours_is_believed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert distrust(tmp_path / "file") == ""
    assert distrust(tmp_path / "not there yet") == ""


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
def test_a_file_that_everybody_may_write_is_not(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    path.chmod(mode)
    assert distrust(path) == f"{path} can be written by every user; right: chmod go-w {path}"


def test_a_file_that_a_list_lets_another_user_write_is_not(tmp_path: Path) -> None:
    """Its mode shows the most that the list gives to anybody as the group's, and the group may be ours alone."""
    path = tmp_path / "file"
    path.write_text("")
    entries = ((1, 6, 0xFFFFFFFF), (2, 6, STRANGER), (4, 0, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    try:
        packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error}")
    assert "can be written by the group" in distrust(path)


def test_the_command_that_it_says_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_text("")
    path.chmod(0o666)
    subprocess.run(["sh", "-c", distrust(path).partition("right: ")[2]], check=True)
    assert distrust(path) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another group")
def test_a_file_that_a_group_may_write_is_not_unless_nobody_else_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    path.chmod(0o660)
    os.chown(path, 0, STRANGER)
    assert "can be written by the group" in distrust(path)


def test_a_folder_on_the_way_that_everybody_may_write_is_enough(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open/file").write_text("")
    (tmp_path / "open").chmod(0o777)
    assert distrust(tmp_path / "open/file").startswith(f"{tmp_path}/open can be written")


def test_a_folder_where_each_may_remove_only_his_own_is_a_step_but_not_a_place(public: Path) -> None:
    (public / "file").write_text("")
    assert distrust(public / "file") == ""
    assert distrust(public).startswith(f"{public} can be written by every user")


def test_a_link_is_as_good_as_where_it_leads_and_the_way_there(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
        (tmp_path / f"to {name}").symlink_to(f"{name}/../{name}/file")
    (tmp_path / "full").symlink_to(tmp_path / "bad/file")
    (tmp_path / "bad").chmod(0o777)
    assert distrust(tmp_path / "to good") == ""
    assert distrust(tmp_path / "full").startswith(f"{tmp_path}/bad can be written")
    assert distrust(tmp_path / "to bad").startswith(f"{tmp_path}/bad can be written")


def test_links_in_a_circle_are_no_way(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert "circle" in distrust(tmp_path / "one")


@as_another_user
def test_what_another_user_owns_is_not_believed_wherever_it_lies(public: Path) -> None:
    by_stranger(
        f"mkdir {public}/theirs; echo x > {public}/theirs/file; echo x > {public}/alone; chmod 600 {public}/alone"
    )
    for path in (public / "alone", public / "theirs/file", public / "theirs/missing"):
        why = distrust(path)
        assert "belongs to" in why
        assert "chown root" in why


@as_another_user
def test_a_link_of_another_user_is_not_followed(public: Path) -> None:
    by_stranger(f"ln -s /etc/passwd {public}/link")
    assert f"rm {public}/link" in distrust(public / "link")


@as_another_user
def test_only_what_root_alone_can_have_written_is_roots(public: Path) -> None:
    (public / "ours").write_text("")
    by_stranger(f"echo x > {public}/theirs")
    assert is_roots(public / "ours")
    assert not is_roots(public / "theirs")


def test_a_folder_of_ours_is_closed_to_others_as_far_as_the_umask_says(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    before = os.umask(0o077)
    try:
        folder.chmod(0o755)
        close_to_others(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o755)
        os.umask(0o027)
        assert umask() == 0o027
        close_to_others(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    finally:
        os.umask(before)


def refused(socket: Path, home: Path) -> str:
    try:
        load(environ={"HOME": str(home), "WORKER_SOCKET": str(socket)}, folder=home)
    except SettingsError as error:
        return str(error)
    return ""


@as_another_user
def test_a_socket_is_not_looked_for_where_everybody_can_put_one(public: Path, tmp_path: Path) -> None:
    """Whoever makes the worker's socket there first says what is forecast, and so what is traded."""
    assert f"WORKER_SOCKET: {public} can be written by every user" in refused(public / "worker.sock", tmp_path)
    assert "is not there, and every user may write to" in refused(public / "worker/worker.sock", tmp_path)
    by_stranger(f"mkdir {public}/worker")
    assert "belongs to nobody" in refused(public / "worker/worker.sock", tmp_path)
    by_stranger(f"rmdir {public}/worker; ln -s {tmp_path} {public}/worker")
    assert "belongs to nobody" in refused(public / "worker/worker.sock", tmp_path)


@as_another_user
def test_a_socket_may_lie_in_the_folder_of_whom_the_worker_runs_as(public: Path) -> None:
    ours = public / "ours"
    (ours / "theirs").mkdir(parents=True, mode=0o755)
    os.chown(ours / "theirs", STRANGER, STRANGER)
    for folder in (ours, ours / "theirs", ours / "gone"):
        assert refused(folder / "worker.sock", ours) == ""
