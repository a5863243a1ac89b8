"""`python -m forecasters.worker.sandbox COMMAND...`: goes into the sandbox, then becomes COMMAND, with the same id.

No line of a backend has run by then, and no library has started a thread that would stay outside. What the kernel does
not do is said in one line, and no reason not to start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from forecasters.worker.sandbox import kernel, landlock, places, seccomp
from forecasters.worker.sandbox.policy import (
    DEFAULT,
    INSIDE,
    VARIABLE,
    Policy,
    Sandbox,
    is_whole,
    read,
    sentence,
    started,
)
from settings import children
from settings.trust import umask

_ANSWER_S = 60.0


def main(command: Sequence[str]) -> NoReturn:
    children.set_umask(umask())
    policy = read(os.environ.pop(VARIABLE))
    network = policy.network or (bool(policy.fetched) and _has_to_fetch(policy))
    told = {VARIABLE: INSIDE, "TMPDIR": os.environ["TMPDIR"]}
    told["HF_TOKEN_PATH"] = os.devnull  # the hub's token is none of its business
    if policy.offline and not network:
        told["HF_HUB_OFFLINE"] = "1"  # its library would try, and try again
    for problem in enter(policy, network=network):
        print(f"WARNING sandbox: {problem}", file=sys.stderr, flush=True)
    children.become(command, more=told)


def enter(policy: Policy, *, network: bool) -> list[str]:
    """From here on. What could not be done, one line each."""
    folders = [*places.kept(policy), *(places.hub_folders() if network else [])]
    for folder in folders:
        with suppress(OSError):  # its backend will say so, if it needs it
            folder.mkdir(parents=True, exist_ok=True)
    problems = [] if is_whole(DEFAULT) else [sentence(DEFAULT)]
    try:
        kernel.renounce_privileges()
        if kernel.landlock_abi():
            landlock.restrict(places.rules(policy, network=network), connects=network)
        if kernel.has_seccomp():
            seccomp.restrict(network=network)
    except OSError as error:
        problems.append(f"the sandbox is not complete: {error}")
    return problems


def _has_to_fetch(policy: Policy) -> bool:
    """Asked of a backend of ours, in a sandbox without a network."""
    options = dict(policy.weights)
    question = {"do": "fetches", "name": policy.fetched, "options": options}
    command, more = started(
        children.python("forecasters.worker.inquiry"),
        Sandbox(hidden=tuple(map(Path, policy.hidden))),
        backend=policy.fetched,
        options=options,
        fetches=False,
    )
    with suppress(OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        done = children.run(command, given=json.dumps(question).encode(), more=more, timeout_s=_ANSWER_S)
        return json.loads(done.stdout)["fetches"] is True
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
