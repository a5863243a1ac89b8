"""What a sandbox lets its process do: said by whoever starts it, handed over in one variable, told in one sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from forecasters.worker.sandbox import kernel
from forecasters.worker.sandbox.landlock import ABI_OF_NETWORK, ABI_OF_SIGNALS
from settings import children

VARIABLE = "TRADER_SANDBOX"  # the policy for the launcher, and for what it becomes that it is in
INSIDE = "inside"
_OURS = ("kronos", "toto")  # have weights on the hub; no other package can take these names

Network = Literal["auto", "off", "on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How a backend's process is kept in.

    network   auto: only for a backend of ours whose weights have to be fetched; of another package's, never
    hidden    what it must not read, even in a folder that it may read
    writable  folders that are kept for it, and made if need be; its temporary one and the compile cache are anyway
    """

    on: bool = True
    network: Network = "auto"
    hidden: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()


DEFAULT = Sandbox()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A sandbox for one process, which reads it before it goes in.

    readable  the paths among the options of its backend
    fetched   the backend of ours whose weights are fetched if need be; empty: none are
    weights   which, by the names of its options
    offline   whether the hub's library is told not to try
    """

    network: bool
    hidden: tuple[str, ...]
    writable: tuple[str, ...]
    readable: tuple[str, ...]
    fetched: str
    weights: Mapping[str, str]
    offline: bool


def started(
    command: list[str],
    sandbox: Sandbox,
    *,
    backend: str,
    options: Mapping[str, object],
    fetches: bool,
    writable: Iterable[Path] = (),
) -> tuple[list[str], dict[str, str]]:
    """The command line that runs `command` in the sandbox, and the variables that it is to be started with.

    fetches   whether it is a process that fetches weights which are not there yet
    writable  besides the sandbox's own
    """
    if not sandbox.on:
        return command, {}
    ours = backend.removesuffix("-compiled") in _OURS
    # and no other option: this stands in its environment for a moment
    weights = {name: str(options[name]) for name in ("model_id", "tokenizer_id") if options.get(name)}
    policy = Policy(
        network=sandbox.network == "on",
        hidden=_absolute((*sandbox.hidden, *Path.cwd().glob(".env*"))),
        writable=_absolute((*sandbox.writable, *writable)),
        readable=tuple(_paths(options)),
        fetched=backend if ours and fetches and sandbox.network == "auto" else "",
        weights=weights,
        offline=fetches or sandbox.network == "off",
    )
    launcher = children.python("forecasters.worker.sandbox", *command, interpreter=command[0])
    return launcher, {VARIABLE: json.dumps(asdict(policy))}


def read(text: str) -> Policy:
    told = json.loads(text)
    for name in ("hidden", "writable", "readable"):
        told[name] = tuple(told[name])
    return Policy(**told)


def sentence(sandbox: Sandbox) -> str:
    """How a backend's process is kept in on this machine; where that is not in full, what it can do."""
    if not sandbox.on:
        return "backends run without a sandbox (WORKER_SANDBOX=off): they can do all that this user can"
    gaps = lacking(kernel.landlock_abi(), filters=kernel.has_seccomp())
    if not gaps:
        return f"backends run in a sandbox: Landlock (ABI {kernel.landlock_abi()}) and seccomp"
    return f"backends run in a sandbox with gaps, for this machine lacks something: {'; '.join(gaps)}"


def advice(error: BaseException) -> str:
    """For an error that may come of the sandbox, and only in one: what it may be, and how to change that."""
    refusals = (errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT)
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno in refusals):
        cause = cause.__cause__ or cause.__context__
    if cause is None or os.environ.get(VARIABLE) != INSIDE:
        return ""
    return "; its sandbox may have refused that: see WORKER_SANDBOX, and WORKER_NETWORK"


def is_whole(sandbox: Sandbox) -> bool:
    return sandbox.on and not lacking(kernel.landlock_abi(), filters=kernel.has_seccomp())


def lacking(abi: int, *, filters: bool) -> tuple[str, ...]:
    """What a kernel with this ABI of Landlock leaves open, and one without `filters` of seccomp."""
    gaps = []
    if not abi:
        gaps.append("without Landlock they can read and write all files of this user, and signal its processes")
    elif abi < ABI_OF_SIGNALS:
        gaps.append(f"with Landlock of ABI {abi} (6 would do) they can signal processes of this user")
    if not filters:
        reach = "datagrams and local services" if abi >= ABI_OF_NETWORK else "the network"
        gaps.append(f"without seccomp for this processor they can reach {reach}, and make every call to the kernel")
    return tuple(gaps)


def _absolute(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(os.path.abspath(os.path.expanduser(path)) for path in paths)


def _paths(value: object) -> Iterable[str]:
    """What options name that is there: a checkpoint's folder. Not the home or the working folder as a whole."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths(each)
    elif isinstance(value, str | Path) and str(value):
        path = Path(os.path.abspath(os.path.expanduser(value)))
        wholes = (Path(os.path.expanduser("~")), Path.cwd())
        if os.path.exists(path) and not any(path in (whole, *whole.parents) for whole in wholes):
            yield str(path)
