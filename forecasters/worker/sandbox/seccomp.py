"""seccomp: which calls to the kernel are refused from now on, to this process and to all that it starts.

A filter is a program of the kernel's classic BPF machine (include/uapi/linux/bpf_common.h, filter.h, seccomp.h): it is
given a call's number, the processor's and the arguments, and says what becomes of it. It is a list of what is
refused, not of what is allowed: Python, torch and compilers use hundreds of calls, a new one with each version.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from types import MappingProxyType

from forecasters.worker.sandbox.kernel import call, seccomp_number

# Calls by name: their numbers on x86-64 and on aarch64, None where there is no such call.
NUMBERS: Mapping[str, tuple[int, int | None]] = MappingProxyType(
    {
        # into other processes
        "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
        "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
        "migrate_pages": (256, 238), "move_pages": (279, 239),
        # their limits and their share of the processor
        "prlimit64": (302, 261), "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119),
        "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
        # whose a file is, and who may do what with it: Landlock leaves that of every file of the user
        "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
        "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
        "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
        "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
        "file_setattr": (469, 469),
        # memory and messages that all processes of a user share
        "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
        "semtimedop": (220, 192), "semctl": (66, 191), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
        "msgctl": (71, 187), "mq_open": (240, 180),
        # keys of the kernel's rings
        "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
        # another view of the file system, and other namespaces
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
        "open_by_handle_at": (304, 265), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
        "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
        "unshare": (272, 97), "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435),
        # the kernel itself, and much of its surface
        "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
        "finit_module": (313, 273), "delete_module": (176, 106), "bpf": (321, 280), "perf_event_open": (298, 241),
        "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427), "syslog": (103, 116), "fanotify_init": (300, 262),
        "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
        # the machine
        "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
        "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112),
        "clock_adjtime": (305, 266), "adjtimex": (159, 171), "acct": (163, 89), "quotactl": (179, 60),
        "quotactl_fd": (443, 443), "vhangup": (153, 58),
        # the network, and the terminal
        "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "sendto": (44, 206), "ioctl": (16, 29),
    }
)  # fmt: skip

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # include/uapi/linux/audit.h
_X32 = 0x40000000  # calls of the third kind that an x86-64 kernel may know, under numbers of their own
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; the lower half of an argument comes first

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_SEQPACKET, _KIND_OF_SOCKET = 1, 5, 0xF
_NEW_NAMESPACES = 0x7E020000  # include/uapi/linux/sched.h: CLONE_NEWNS and the six others
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # to type on a terminal, to paste on a console

Code = list[tuple[int, int, int, int]]


def restrict(*, network: bool) -> None:
    """For all threads of this process. Needs renounce_privileges() before. Raises OSError.

    network  whether sockets of the internet may be made, and connected
    """
    install(filter_of(platform.machine(), network=network))


def install(program: Code) -> None:
    """Raises OSError."""
    number = seccomp_number()
    assert number is not None  # else there is no program either
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(memory))  # struct sock_fprog
    call(number, ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_FLAG_TSYNC), ctypes.c_char_p(header))


def filter_of(machine: str, *, network: bool) -> Code:
    """The program, one tuple (code, jump if true, jump if false, value) an instruction."""
    column = ("x86_64", "aarch64").index(machine)
    program: Code = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _refuse(errno.EPERM),  # calls of another kind have other numbers
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), _refuse(errno.ENOSYS)]
    conditions = _conditions(network=network)
    for name, numbers in NUMBERS.items():
        number = numbers[column]
        if number is not None and (block := conditions.get(name, [_refuse(errno.EPERM)])):
            program += [(_EQUAL, 0, len(block), number), *block]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _conditions(*, network: bool) -> dict[str, Code]:
    """Of the calls that are not refused always, or with another word. Each block ends with an answer: what it loads
    takes the number's place. An empty one: the call is allowed."""
    allow = (_RETURN, 0, 0, _ALLOW)
    families = (_AF_UNIX, _AF_INET, _AF_INET6) if network else (_AF_UNIX,)
    return {
        "clone3": [_refuse(errno.ENOSYS)],  # its flags lie in memory, where no filter sees them: clone is used then
        "clone": [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(errno.EPERM), allow],
        "socket": _sockets(families),
        "socketpair": _sockets((_AF_UNIX,)),
        # Of AF_UNIX too: there are services that start programs for whoever connects.
        "connect": [] if network else [_refuse(errno.EACCES)],
        "sendto": [] if network else [*_unless_zero(4), *_unless_zero(4, upper=True), allow],
        "ioctl": [_argument(1), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), _refuse(errno.EPERM), allow],
        # Those that name a process: their own is 0.
        "prlimit64": [*_unless_zero(0), allow],
        "sched_setscheduler": [*_unless_zero(0), allow],
        "sched_setparam": [*_unless_zero(0), allow],
        "sched_setattr": [*_unless_zero(0), allow],
        "sched_setaffinity": [*_unless_zero(0), allow],
        "setpriority": [*_unless_zero(0), *_unless_zero(1), allow],  # PRIO_PROCESS is 0 as well
    }


def _sockets(families: tuple[int, ...]) -> Code:
    """No other families; and of AF_UNIX only what needs a connection to reach a service. A datagram needs none, and the
    kernel makes it of SOCK_RAW as well."""
    local, others = families[:1], families[1:]
    code: Code = [_argument(0)]
    code += [(_EQUAL, len(others) - index + 6, 0, family) for index, family in enumerate(others)]
    code += [(_EQUAL, 1, 0, local[0]), _refuse(errno.EAFNOSUPPORT)]
    code += [_argument(1), (_AND, 0, 0, _KIND_OF_SOCKET), (_EQUAL, 2, 0, _SOCK_STREAM)]
    code += [(_EQUAL, 1, 0, _SOCK_SEQPACKET), _refuse(errno.EAFNOSUPPORT)]
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _unless_zero(index: int, *, upper: bool = False) -> Code:
    return [_argument(index, upper=upper), (_EQUAL, 1, 0, 0), _refuse(errno.EPERM)]


def _argument(index: int, *, upper: bool = False) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + (4 if upper else 0))


def _refuse(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERRNO | number)
