"""A backend that tries each way out, and says what became of it. Copied into a folder of packages by the tests."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PARENT = os.getppid()
_TOLD = Path(__file__).with_name("spiteful_places.py")  # where it is copied to; the tests import the names alone
PLACES: Mapping[str, str] = json.loads(_TOLD.read_text()[2:]) if _TOLD.exists() else {}
_LIBRARY = ctypes.CDLL(None, use_errno=True)
_TIOCSTI = 0x5412


def place(name: str) -> Path:
    return Path(PLACES[name])


def call(number: int, *arguments: int) -> None:
    _LIBRARY.syscall.restype = ctypes.c_long
    if _LIBRARY.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def connected(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as made:
        made.connect(address)


def sent(address: str, kind: int = socket.SOCK_DGRAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.sendmsg([b"x"], [], 0, address)


def bound() -> None:
    with socket.socket(socket.AF_INET) as made:
        made.bind(("127.0.0.1", 0))


def bound_local() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(Path(os.environ["TMPDIR"]) / "local"))


def sent_by_pair() -> None:
    first, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.sendto(b"x", PLACES["datagrams"])


def ran_what_it_wrote() -> None:
    program = Path(os.environ["TMPDIR"]) / "program"
    made = os.open(program, os.O_CREAT | os.O_WRONLY, 0o700)  # from the first: no mode may be changed
    os.write(made, b"#!/bin/sh\n")
    os.close(made)
    subprocess.run([str(program)], check=True)


def kept_its_privileges() -> None:
    """A set-user-id program would run with its owner's rights."""
    lines = Path("/proc/self/status").read_text().splitlines()
    if "NoNewPrivs:\t1" in lines:
        raise PermissionError(errno.EPERM, "")


FILES: Mapping[str, Callable[[], object]] = {
    "read the journal": lambda: place("journal").read_bytes(),
    "read the keys": lambda: place("env").read_text(),
    "read another file of the user's": lambda: place("private").read_text(),
    "read the hub's token": lambda: place("token").read_text(),
    "list the user's files": lambda: list(place("private").parent.iterdir()),
    "write to the journal": lambda: os.open(place("journal"), os.O_WRONLY),
    "write to the state": lambda: (place("journal").parent / "kill").write_text("x"),
    "write another file": lambda: place("private").write_text("x"),
    "cut another file off": lambda: os.truncate(place("private"), 0),
    "make a folder": lambda: (place("private").parent / "folder").mkdir(),
    "make a link": lambda: (place("private").parent / "link").symlink_to("private"),
    "remove a file": lambda: place("removable").unlink(),
    "change its own code": lambda: os.open(__file__, os.O_WRONLY),
    "change weights in the hub's cache": lambda: place("weights").write_text("x"),
    "run a program that it wrote": ran_what_it_wrote,
    "read the parent's environment": lambda: Path(f"/proc/{PARENT}/environ").read_bytes(),
    "open the parent's memory": lambda: os.open(f"/proc/{PARENT}/mem", os.O_RDONLY),
    "look at the parent's files": lambda: os.readlink(f"/proc/{PARENT}/fd/0"),
}
SIGNALS: Mapping[str, Callable[[], object]] = {"signal the parent": lambda: os.kill(PARENT, 0)}
CALLS: Mapping[str, Callable[[], object]] = {
    "connect by TCP": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(PLACES["port"]))),
    "connect by UDP": lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
    "wait for connections by TCP": bound,
    "talk to the kernel's network": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "connect to a local service": lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, PLACES["service"]),
    "send to a local service": lambda: sent(PLACES["datagrams"]),
    "send to a local service by a pair": sent_by_pair,
    "send to a local service by a raw socket": lambda: sent(PLACES["datagrams"], socket.SOCK_RAW),
    "type on a terminal": lambda: fcntl.ioctl(0, _TIOCSTI, struct.pack("c", b"x")),
    "see the parent's limits": lambda: resource.prlimit(PARENT, resource.RLIMIT_CORE),
    "slow the parent down": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, os.getpriority(os.PRIO_PROCESS, PARENT)),
    "slow a user down": lambda: os.setpriority(os.PRIO_USER, 4_000_000, 0),
    "order the parent's turns": lambda: os.sched_setscheduler(
        PARENT, os.sched_getscheduler(PARENT), os.sched_getparam(PARENT)
    ),
    "keep the privileges of programs": kept_its_privileges,
}
NUMBERS: Mapping[str, int] = json.loads(PLACES.get("calls", "{}"))
ALLOWED: Mapping[str, Callable[[], object]] = {
    "wait on a local socket": bound_local,
    "write in its temporary folder": lambda: (Path(os.environ["TMPDIR"]) / "passing").write_text("x"),
    "keep compiled code": lambda: (place("compiled") / "kept").write_text("x"),
    "read the hub's cache": lambda: place("weights").read_text(),
    "run the compiler": lambda: subprocess.run(["cc", "--version"], check=True, stdout=subprocess.DEVNULL),
    "start a pool": lambda: __import__("multiprocessing").get_context("fork").Lock(),
    "write nothing": lambda: Path("/dev/null").write_text("x"),
    "read its own memory's map": lambda: Path("/proc/self/maps").read_text(),
}


def became(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, it is for the test to judge
        return repr(error)
    return "done"


def called(number: int) -> str:
    """With arguments that no call takes: without the filter it is refused as well, in other words."""
    return became(lambda: call(number, -1, -1, -1, -1, -1, -1))


class Options(BaseModel):
    pass


def requires() -> Sequence[str]:
    return [f"the keys: {became(FILES['read the keys'])}"] if "asked" in PLACES else []


def fetches(_options: Options) -> bool:
    """It would have a network."""
    return True


class Spiteful:
    name = "spiteful"

    def warm_up(self) -> None:
        if "raises" in PLACES:
            place("private").read_text()
        for name, attempt in {**ALLOWED, **CALLS, **SIGNALS, **FILES}.items():
            print("ATTEMPT", json.dumps([name, became(attempt)]), flush=True)
        for name, number in NUMBERS.items():
            print("ATTEMPT", json.dumps([f"call {name}", called(number)]), flush=True)
        print("ATTEMPT", json.dumps(["the end", "done"]), flush=True)

    def forecast(self, contexts: Sequence[Any]) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass


def build(_options: Options) -> Spiteful:
    return Spiteful()
