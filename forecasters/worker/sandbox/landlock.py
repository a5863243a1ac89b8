"""Landlock: which files this process, and all that it starts, can reach from now on. It cannot be taken back.

Rights and structures are those of include/uapi/linux/landlock.h; docs.kernel.org/userspace-api/landlock.html says which
version of the interface (ABI) brought which. What a rule does not allow is refused, if this kernel's ABI knows of it.
Besides, a process that is in cannot trace, nor read the memory or the environment of, one that is not.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from enum import IntFlag
from pathlib import Path

from forecasters.worker.sandbox.kernel import call, landlock_abi

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1
ABI_OF_NETWORK, ABI_OF_SIGNALS = 4, 6


class Right(IntFlag):
    """To do something with a file, or beneath a folder."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13  # ABI 2: to move or link between folders
    TRUNCATE = 1 << 14  # ABI 3
    IOCTL_DEV = 1 << 15  # ABI 5


_FIRST_ABI = (1 << 13) - 1
_OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV

LIST = Right.READ_DIR
READ = Right.READ_FILE | Right.READ_DIR
RUN = READ | Right.EXECUTE
USE = READ | Right.WRITE_FILE | Right.IOCTL_DEV | Right.TRUNCATE  # of a device
KEEP = (  # no right to run what it wrote; a library is loaded by reading it
    READ
    | Right.WRITE_FILE
    | Right.TRUNCATE
    | Right.REFER
    | Right.REMOVE_DIR
    | Right.REMOVE_FILE
    | Right.MAKE_DIR
    | Right.MAKE_REG
    | Right.MAKE_SOCK
    | Right.MAKE_FIFO
    | Right.MAKE_SYM
)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def restrict(rules: Mapping[Path, Right], *, connects: bool, abi: int | None = None) -> None:
    """From now on only what `rules` allow. What is not there is passed over. Needs renounce_privileges() before.

    connects  whether connections by TCP may be made; none may be waited for
    abi       an older interface than this kernel's, to see what it leaves open
    Raises OSError.
    """
    abi = landlock_abi() if abi is None else abi
    handled = _handled(abi)
    attr = _RulesetAttr(handled, 0, 0)
    if abi >= ABI_OF_NETWORK:
        attr.handled_access_net = _BIND_TCP if connects else _BIND_TCP | _CONNECT_TCP
    if abi >= ABI_OF_SIGNALS:
        attr.scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS
    size = 24 if abi >= ABI_OF_SIGNALS else 16 if abi >= ABI_OF_NETWORK else 8  # an older kernel knows no more
    ruleset = call(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path, rights in rules.items():
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # what we can't reach, it can't
                _allow(ruleset, path, rights & handled)
        call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _handled(abi: int) -> int:
    since = {2: Right.REFER, 3: Right.TRUNCATE, 5: Right.IOCTL_DEV}
    return _FIRST_ABI | sum(right for first, right in since.items() if abi >= first)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        attr = _PathBeneathAttr(rights, place)
        if rights:
            call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(attr), ctypes.c_uint32(0))
    finally:
        os.close(place)
