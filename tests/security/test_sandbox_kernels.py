"""Other kernels and processors than these: what an older Landlock still does, what is said where there is none."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest

from forecasters.worker.sandbox import kernel, seccomp
from forecasters.worker.sandbox.policy import Sandbox, lacking, sentence

ABI = kernel.landlock_abi()
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = ("x86_64", "aarch64")
ALLOWED = 0


def answer(program: seccomp.Code, machine: str, number: int, *arguments: int) -> int:
    """What a filter says of a call, as the kernel would run it: 0, or the error."""
    data = {0: number, 4: AUDIT[machine]}
    for index, argument in enumerate(arguments):
        data |= {16 + 8 * index: argument & 0xFFFFFFFF, 20 + 8 * index: argument >> 32 & 0xFFFFFFFF}
    loaded, at = 0, 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:
            loaded = data.get(value, 0)
        elif code == 0x54:
            loaded &= value
        elif code == 0x06:
            return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += yes if holds else no


def said_of(machine: str, name: str, *arguments: int, network: bool = False) -> int:
    number = seccomp.NUMBERS[name][MACHINES.index(machine)]
    assert number is not None
    return answer(seccomp.filter_of(machine, network=network), machine, number, *arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_filter_says_of_each_call_what_it_should(machine: str) -> None:
    unix, internet, netlink, stream, datagram, raw, sequence, closing = 1, 2, 16, 1, 2, 3, 5, 0o2000000
    for network, of_internet in ((False, errno.EAFNOSUPPORT), (True, ALLOWED)):
        assert said_of(machine, "socket", unix, stream | closing, network=network) == ALLOWED
        assert said_of(machine, "socket", unix, sequence, network=network) == ALLOWED
        for kind in (datagram, raw):  # of the second the kernel makes the first
            assert said_of(machine, "socket", unix, kind | closing, network=network) == errno.EAFNOSUPPORT
            assert said_of(machine, "socketpair", unix, kind, network=network) == errno.EAFNOSUPPORT
        assert said_of(machine, "socket", internet, stream, network=network) == of_internet
        assert said_of(machine, "socket", 10, datagram, network=network) == of_internet
        assert said_of(machine, "socket", netlink, 3, network=network) == errno.EAFNOSUPPORT
        assert said_of(machine, "socketpair", unix, stream, network=network) == ALLOWED
        assert said_of(machine, "connect", 3, network=network) == (ALLOWED if network else errno.EACCES)
    assert said_of(machine, "sendto", 3, 7, 7, 0, 0, 0) == ALLOWED
    assert said_of(machine, "sendto", 3, 7, 7, 0, 1, 9) == said_of(machine, "sendto", 3, 7, 7, 0, 1 << 32, 9) == 1
    assert said_of(machine, "clone", 0x1200011) == ALLOWED
    assert said_of(machine, "clone", 0x10000011) == errno.EPERM
    assert said_of(machine, "clone3", 1, 88) == errno.ENOSYS
    assert said_of(machine, "ioctl", 0, 0x5401) == ALLOWED
    assert said_of(machine, "ioctl", 0, 0x5412) == said_of(machine, "ioctl", 0, 1 << 32 | 0x541C) == errno.EPERM
    assert said_of(machine, "prlimit64", 0, 4) == said_of(machine, "setpriority", 0, 0, 5) == ALLOWED
    assert said_of(machine, "prlimit64", 7, 4) == said_of(machine, "setpriority", 2, 0, 5) == errno.EPERM
    assert said_of(machine, "ptrace", 0) == errno.EPERM
    assert answer(seccomp.filter_of(machine, network=False), machine, 3 if machine == "x86_64" else 57) == ALLOWED


def test_calls_of_another_kind_are_refused() -> None:
    """Of 32 bits: their numbers mean other calls."""
    program = seccomp.filter_of("x86_64", network=False)
    assert answer(program, "aarch64", 39) == errno.EPERM
    assert answer(program, "x86_64", 0x40000000 | 39) == errno.ENOSYS


@pytest.mark.parametrize(
    ("machine", "header"), [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")]
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    file = Path("/usr/include") / header
    if not file.exists():
        pytest.skip(f"the kernel's headers for {machine} are not installed (Debian: apt-get install linux-libc-dev)")
    written = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", file.read_text()))
    ours = {name: numbers[MACHINES.index(machine)] for name, numbers in seccomp.NUMBERS.items()}
    theirs = {name: int(written[name]) for name in ours if name in written}
    assert len(theirs) > 60
    assert {name: ours[name] for name in theirs} == theirs


OLDER = """
import os, sys
from pathlib import Path
from forecasters.worker.sandbox import kernel, landlock
abi, folder = int(sys.argv[1]), Path(sys.argv[2])
kernel.renounce_privileges()
landlock.restrict({Path("/usr"): landlock.RUN, folder / "kept": landlock.KEEP}, connects=False, abi=abi)
def became(attempt):
    try:
        attempt()
    except OSError:
        return "refused"
    return "done"
(folder / "kept" / "file").write_text("x")
print(became(lambda: (folder / "file").write_text("x")), became(lambda: os.truncate(folder / "other", 0)),
      became(lambda: os.kill(os.getppid(), 0)))
"""


@pytest.mark.parametrize("abi", range(1, 8))
def test_an_older_landlock_does_what_it_can(tmp_path: Path, abi: int) -> None:
    if abi > ABI:
        pytest.skip(f"this kernel's Landlock is of ABI {ABI}")
    (tmp_path / "kept").mkdir()
    (tmp_path / "other").write_text("x")
    command = [sys.executable, "-P", "-c", OLDER, str(abi), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused", "refused" if abi >= 3 else "done", "refused" if abi >= 6 else "done"]


@pytest.mark.parametrize(
    ("abi", "filters", "said"),
    [
        (7, True, ""),
        (6, True, ""),
        (5, True, "ABI 5 (6 would do) they can signal"),
        (1, True, "ABI 1 (6 would do) they can signal"),
        (0, True, "without Landlock they can read and write all files"),
        (7, False, "without seccomp for this processor they can reach datagrams and local services"),
        (3, False, "they can reach the network"),
    ],
)
def test_what_a_kernel_leaves_open_is_said(abi: int, filters: bool, said: str) -> None:
    assert said in "; ".join(lacking(abi, filters=filters))
    assert bool(lacking(abi, filters=filters)) is bool(said)


def test_one_sentence_for_people() -> None:
    assert sentence(Sandbox(on=False)).startswith("backends run without a sandbox (WORKER_SANDBOX=off)")
    assert sentence(Sandbox()).startswith("backends run in a sandbox")


# A kernel without Landlock and seccomp, as a container's own filter may make it look.
BARE = """
import errno, os, platform
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox import kernel, seccomp
refused = (0x06, 0, 0, 0x00050000 | errno.ENOSYS)
program = [(0x20, 0, 0, 0)]
for number in (444, kernel.seccomp_number()):
    program += [(0x15, 0, 1, number), refused]
kernel.renounce_privileges()
seccomp.install([*program, (0x06, 0, 0, 0x7FFF0000)])
lines = []
worker = Worker(WorkerSettings(backend="baseline", threads=1), on_log=lines.append)
worker.warm_up()
worker.close()
print("\\n".join(lines))
"""


@pytest.mark.skipif(not kernel.has_seccomp(), reason="no seccomp for this processor here")
def test_a_kernel_that_lacks_it_all_is_no_reason_not_to_start() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", BARE], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if "sandbox" in line]
    assert line.startswith("WARNING sandbox: backends run in a sandbox with gaps")
    assert "without Landlock" in line
    assert "without seccomp" in line
