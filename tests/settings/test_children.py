"""How a child starts: what it imports, what it is told, what it may see of us, and what it leaves on the disk."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from settings import children

CANARY = "cAnArY5ecretW0rdZq"
TELL = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv, sys.path, sys.stdin.read()]))"


def told(**more: str) -> tuple[dict[str, str], list[str], list[str], str]:
    done = children.run(children.script(TELL), given=CANARY.encode(), more=more or None)
    assert done.returncode == 0, done.stderr
    environment, arguments, path, given = json.loads(done.stdout)
    return environment, arguments, path, given


def test_a_module_in_the_working_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forecasters").mkdir()
    (tmp_path / "forecasters/__init__.py").write_text("print('planted')")
    monkeypatch.chdir(tmp_path)
    done = children.run(children.python("forecasters.worker", "--help"))
    assert done.returncode == 0, done.stderr
    assert "planted" not in done.stdout


def test_nor_where_the_command_line_alone_says_so(tmp_path: Path) -> None:
    """As a unit or a person may use it, in another environment."""
    for name in ("json", "this"):
        (tmp_path / f"{name}.py").write_text("print('planted')")
    for command in (children.python("this"), children.script("import json")):
        done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
        assert (done.returncode, "planted" in done.stdout) == (0, False)


def test_nor_by_what_the_child_starts_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decimal.py").write_text("print('planted')")
    monkeypatch.chdir(tmp_path)
    grandchild = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import decimal'])"
    assert children.run(children.script(grandchild)).stdout == ""


def test_nor_by_a_pool_of_our_functions(tmp_path: Path) -> None:
    (tmp_path / "multiprocessing.py").write_text("print('planted')")
    program = "from settings import children\nif __name__ == '__main__':\n    with children.pool(1) as pool:\n"
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere/program.py"
    path.write_text(program + "        print(pool.submit(int, '7').result())\n")
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "7\n", done.stderr


@pytest.mark.parametrize("name", ["", "relative"])
def test_a_part_of_the_module_path_that_is_the_working_folder_is_left_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((name, str(tmp_path))))
    environment, _, path, _ = told()
    assert environment["PYTHONPATH"] == str(tmp_path)
    assert "" not in path


@pytest.mark.parametrize("name", ["PATH", "LD_LIBRARY_PATH", "CPATH", "LIBRARY_PATH"])
@pytest.mark.parametrize("part", ["", ".", "relative"])
def test_nor_is_it_a_part_of_the_other_lists_of_folders(
    name: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [each for each in os.environ.get(name, "").split(os.pathsep) if each]
    monkeypatch.setenv(name, os.pathsep.join((part, str(tmp_path), *before)))
    assert told()[0][name] == os.pathsep.join((str(tmp_path), *before))


def test_compiled_modules_of_the_working_folder_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "relative")
    assert "PYTHONPYCACHEPREFIX" not in told()[0]


def test_a_program_of_the_working_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the user's PATH has it, as an empty part does."""
    planted = tmp_path / "git"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep + os.environ["PATH"])
    assert "planted" not in children.run(["git", "--version"]).stdout


@pytest.mark.parametrize(
    "name",
    [
        *("ALPACA_API_SECRET_KEY", "APCA_API_KEY_ID", "DATABASE_URL", "ALERTS__WEBHOOK_URL", "CREDENTIALS_DIRECTORY"),
        *("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "TORCH_API_KEY", "SOMETHING_ELSE", "NOTIFY_SOCKET", "LD_PRELOAD"),
    ],
)
def test_a_name_that_is_not_known_to_be_harmless_stays_with_us(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/tmp/x" if name == "LD_PRELOAD" else CANARY)
    assert name not in children.environment()


def test_what_a_model_needs_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/models", "OMP_NUM_THREADS": "3", "LC_ALL": "C.UTF-8"}
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    assert wanted.items() <= children.environment().items()


def test_a_proxy_is_passed_on_but_not_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{CANARY}@proxy:3128")
    environment = children.environment()
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert "HTTP_PROXY" not in environment


def test_what_it_is_told_stands_neither_in_its_arguments_nor_in_its_environment() -> None:
    environment, arguments, _, given = told(OMP_NUM_THREADS="1")
    assert given == CANARY
    assert CANARY not in json.dumps([environment, arguments])


def test_more_than_a_pipe_holds_can_be_told() -> None:
    done = children.run(children.script("import sys; print(len(sys.stdin.read()))"), given=b"x" * 300_000)
    assert done.stdout == "300000\n"


def test_its_temporary_folder_is_its_parents_alone() -> None:
    folder = Path(told()[0]["TMPDIR"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.geteuid()


def test_the_temporary_folder_is_made_again_where_it_was_tidied_away() -> None:
    again = "from settings.children import temporary_folder as ours; ours().rmdir(); print(ours().is_dir())"
    assert children.run(children.script(again)).stdout == "True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
@pytest.mark.parametrize("link", [False, True])
def test_the_temporary_folder_is_another_where_somebody_else_made_it_again(link: bool) -> None:
    """He would put his own socket in the worker's place."""
    program = f"""
import os
from settings.children import environment, temporary_folder as ours
before = ours()
before.rmdir()
before.symlink_to("/tmp") if {link} else before.mkdir()
os.lchown(before, 12345, 12345)
print(ours() != before, environment()["TMPDIR"] != str(before))
os.unlink(before) if {link} else before.rmdir()
"""
    assert children.run(children.script(program)).stdout == "True True\n"


def test_what_it_writes_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert children.run(children.script("open('file', 'w'); import os; os.mkdir('folder')")).returncode == 0
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_who_becomes_another_program_hands_over_the_same(tmp_path: Path) -> None:
    program = f"from settings import children; children.become(children.script({TELL!r}), given=b'{CANARY}')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "DATABASE_URL": CANARY},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    environment, arguments, _, given = json.loads(done.stdout)
    assert given == CANARY
    assert "DATABASE_URL" not in environment
    assert CANARY not in json.dumps(arguments)


def test_a_child_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        children.run(children.script("import time; time.sleep(600)"), timeout_s=0.3)


def seen_in_a_pool() -> tuple[dict[str, str], int]:
    """Its environment as it was started with, and whether its memory may be looked into."""
    raw = Path("/proc/self/environ").read_bytes() if os.geteuid() == 0 else b""
    started = dict(part.split("=", 1) for part in raw.decode().split("\0") if "=" in part)
    return {**started, **os.environ}, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE


def test_a_pool_has_no_more_of_ours_than_any_child_and_its_memory_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_API_SECRET_KEY", CANARY)
    with children.pool(1) as pool:
        environment, dumpable = pool.submit(seen_in_a_pool).result()
    assert CANARY not in environment.values()
    assert dumpable == 0
    assert os.environ["ALPACA_API_SECRET_KEY"] == CANARY, "ours is as it was"
