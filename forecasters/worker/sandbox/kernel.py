"""Calls to the Linux kernel by number, and what this one offers.

The numbers are those of the kernel's own tables: arch/x86/entry/syscalls/syscall_64.tbl for x86-64,
include/uapi/asm-generic/unistd.h for aarch64. Calls newer than 5.1 have one number on every processor.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from functools import cache

PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION_FLAG = 1  # include/uapi/linux/landlock.h: LANDLOCK_CREATE_RULESET_VERSION
_CAPSET_NUMBERS = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h
_SECCOMP_NUMBERS = {"x86_64": 317, "aarch64": 277}
_SECCOMP_GET_ACTION_AVAIL = 2  # include/uapi/linux/seccomp.h
_SECCOMP_RET_ERRNO = 0x00050000


def call(number: int, *arguments: object) -> int:
    """Raises OSError."""
    result: int = _library().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def renounce_privileges() -> None:
    """No program that this process starts has more rights than it, set-user-id or not; and it has none of root's, where
    root runs it: with them other users' files, and the parent's memory, would be open. Raises OSError."""
    if _library().prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    number = _CAPSET_NUMBERS.get(platform.machine())
    if number is not None:
        call(number, struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))  # the empty set, three times


def seccomp_number() -> int | None:
    """None on a processor whose numbers are not known here."""
    return _SECCOMP_NUMBERS.get(platform.machine())


@cache
def landlock_abi() -> int:
    """0 where the kernel has none, or it is switched off."""
    try:
        return call(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION_FLAG))
    except OSError:
        return 0


@cache
def has_seccomp() -> bool:
    number = seccomp_number()
    if number is None:
        return False
    try:
        action = ctypes.c_uint32(_SECCOMP_RET_ERRNO)
        call(number, ctypes.c_uint(_SECCOMP_GET_ACTION_AVAIL), ctypes.c_uint(0), ctypes.byref(action))
    except OSError:
        return False
    return True


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
