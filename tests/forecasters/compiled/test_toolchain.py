"""What compiling needs of a machine, and what is said where it is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasters import registry
from forecasters.compiled.marker import Marker
from forecasters.compiled.toolchain import _abilities, missing_tools, processor, use_cache_folder
from tests.forecasters.support import context

FOLDERS = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in FOLDERS:
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_without_a_compiler_it_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (missing,) = [each for each in missing_tools() if "compiler" in each]
    assert missing == "a C++ compiler: there is no g++ on the PATH (Debian: apt-get install g++)"


def test_the_compiler_that_was_chosen_is_the_one_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    assert "there is no /nowhere/c++" in missing_tools()[0]


def test_without_pythons_headers_their_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert any("python3" in each and "-dev" in each for each in missing_tools())


def test_the_menu_says_what_the_compiled_backends_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    notes = {info.name: info.notes for info in registry.available()}
    assert "kronos-compiled would run eager, for want of a C++ compiler" in notes["kronos"][0]
    assert "toto-compiled would run eager" in notes["toto"][0]
    assert notes["baseline"] == ()


def test_a_folder_that_can_be_written_is_used_by_both_compilers(tmp_path: Path) -> None:
    used = use_cache_folder(str(tmp_path / "compiled"))
    assert (used.path, used.problem) == (tmp_path / "compiled", "")
    assert [os.environ[name] for name in FOLDERS] == [f"{used.path}/inductor/{processor()}", f"{used.path}/triton"]


def test_code_for_one_kind_of_processor_is_not_found_by_another() -> None:
    """Nor is it made anew for each core or clock."""
    newer = ["processor : 0", "cpu MHz : 2600.1", "model name : Any", "flags : avx2 avx512f"]
    same = ["processor : 1", "cpu MHz : 3100.7", "model name : Any", "flags : avx2 avx512f"]
    older = [*newer[:3], "flags : avx2"]
    assert _abilities(newer) == _abilities(same)
    assert _abilities(newer) != _abilities(older)
    assert processor() == processor()


def test_torchs_own_folder_may_lie_elsewhere(tmp_path: Path) -> None:
    use_cache_folder(str(tmp_path / "compiled"), str(tmp_path / "own"))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "own")


def test_a_folder_that_cannot_be_written_is_named_and_replaced(tmp_path: Path) -> None:
    """Not by permissions: root may write anywhere."""
    (tmp_path / "vfast").write_text("a file where a folder should be")
    used = use_cache_folder(str(tmp_path / "vfast/compiled"), str(tmp_path / "vfast/inductor"))
    assert used.path == tmp_path / "cache/trader/compiled"
    assert f"{tmp_path}/vfast/compiled can't be written (Not a directory)" in used.problem
    assert f"{tmp_path}/vfast/inductor can't be written" in used.problem
    assert f"is kept in {used.path} instead" in used.problem
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == f"{used.path}/inductor/{processor()}"


def test_where_no_folder_can_be_written_it_is_a_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    used = use_cache_folder(str(tmp_path / "cache/compiled"))
    assert used.path.parent == tmp_path
    assert used.path.is_dir()
    assert "instead" in used.problem


def test_a_mark_is_there_while_it_is_held_and_found_when_its_process_died(tmp_path: Path) -> None:
    marker = Marker(tmp_path / "running", "kronos")
    with marker.held():
        (file,) = (tmp_path / "running").iterdir()
        text = file.read_text()
    assert list((tmp_path / "running").iterdir()) == []
    assert marker.left_behind() == ""
    (tmp_path / "running/kronos-4194399").write_text(text)  # beyond the largest process number
    (tmp_path / "running/toto-4194399").write_text(text)
    assert marker.left_behind() == "process 4194399 ended while it ran"
    assert marker.left_behind() == ""
    assert [each.name for each in (tmp_path / "running").iterdir()] == ["toto-4194399"]


def test_a_mark_of_before_a_reboot_accuses_nobody(tmp_path: Path) -> None:
    (tmp_path / "kronos-4194399").write_text("another boot")
    assert Marker(tmp_path, "kronos").left_behind() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_mark_that_cannot_be_made_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Marker(tmp_path / "file/below", "kronos").held():
        pass


def test_without_a_home_code_is_kept_where_nobody_else_could_have_put_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = use_cache_folder("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = use_cache_folder("")
    assert one.path.parent == other.path.parent == tmp_path
    assert one.path != other.path
    assert one.path.stat().st_mode & 0o777 == 0o700
    assert one.problem == f"HOME is not set: compiled code is kept in {one.path} instead"


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A folder that can be written, and from which nothing may be run."""
    folder = tmp_path / "noexec"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,size=1m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a folder with noexec, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("place", ["", "inductor"])
def test_a_folder_that_nothing_may_be_run_from_is_noticed_at_once_and_replaced(
    place: str, noexec: Path, tmp_path: Path
) -> None:
    used = use_cache_folder(*([str(noexec / "compiled"), ""] if not place else ["", str(noexec / "inductor")]))
    wanted = noexec / ("inductor" if place else "compiled")
    assert used.path == tmp_path / "cache/trader/compiled"
    assert used.problem == f"{wanted} is mounted noexec: compiled code is kept in {used.path} instead"
    assert not any(os.environ[name].startswith(str(noexec)) for name in FOLDERS)
    assert used.unusable == ""


def test_where_nothing_may_be_run_anywhere_nothing_is_compiled_and_eager_serves(
    noexec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")
    from forecasters.compiled.guard import FALLBACK, Guarded, GuardOptions
    from tests.forecasters.twins import Compiled, Eager

    monkeypatch.setenv("XDG_CACHE_HOME", str(noexec / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(noexec))
    used = use_cache_folder(str(noexec / "compiled"))
    twin = Compiled()
    guard = Guarded(
        name="twin",
        eager=Eager(),
        compile=lambda: twin,
        trial=lambda: [context()],
        options=GuardOptions(),
        lacking=used.lacking,
        cache=used,
    )
    guard.warm_up()
    (told,) = [notice.text for notice in guard.notices()]
    assert "this machine lacks a folder for compiled code that may be run" in told
    assert f"{noexec}/compiled is mounted noexec; {noexec}/cache/trader/compiled is mounted noexec" in told
    assert "set COMPILED_MODELS_DIR to one; eager serves" in told
    assert {each.compile_mode for each in guard.forecast([context()]).values()} == {FALLBACK}
    assert twin._graph is None


@pytest.mark.parametrize("place", ["", "inductor"])
def test_a_folder_that_others_may_write_is_not_used_and_the_command_that_mends_it_is_said(
    place: str, tmp_path: Path
) -> None:
    """What lies there is run: torch's cache holds pickles and libraries."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    wanted = [str(tmp_path / "open"), ""] if not place else [str(tmp_path / "own"), str(tmp_path / "open")]
    used = use_cache_folder(*wanted)
    assert f"right: chmod go-w {tmp_path}/open" in used.problem
    assert not any(os.environ[name].startswith(str(tmp_path / "open")) for name in FOLDERS)


def test_a_folder_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "compiled").mkdir(mode=0o755)
    before = os.umask(0o077)
    try:
        use_cache_folder(str(tmp_path / "compiled"))
    finally:
        os.umask(before)
    assert (tmp_path / "compiled").stat().st_mode & 0o777 == 0o700


def test_what_torch_compiles_for_all_times_does_not_lie_under_a_name_that_anybody_can_guess(tmp_path: Path) -> None:
    """Its precompiled headers go to a folder of the temporary one."""
    use_cache_folder(str(tmp_path / "compiled"))
    kept = Path(tempfile.gettempdir())
    assert kept == Path(os.environ["TMPDIR"]) == tmp_path / "cache/trader/compiled/tmp"
    assert kept.stat().st_mode & 0o022 == 0


def test_without_a_home_that_lies_beside_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, "")
    used = use_cache_folder(str(tmp_path / "compiled"))
    assert Path(tempfile.gettempdir()) == used.path / "tmp"
