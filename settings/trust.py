"""Whether what lies at a path can only have been put there by us or by root: settings, state, checkpoints, caches.

Whoever can write a file that is read as settings or as code is us, for all purposes. So each step of the way there,
links and where they lead included, must be ours or root's, and nobody else may write to it. A folder where everybody
may write, but each only remove his own (`/tmp`), is a step; it is not itself believed.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote

ROOT = 0
_ACCESS_LIST = "system.posix_acl_access"
_MOST_LINKS = 40  # as the kernel


@dataclass(frozen=True, slots=True)
class _Step:
    path: Path
    found: os.stat_result
    last: bool


def distrust(path: Path) -> str:
    """Why it is not believed, and the command that mends that, in one line; empty where it is, or is not there yet.

    The way there cannot change between this and the reading of it: those who could are who it asks about.
    """
    try:
        for step in _way(path):
            if why := _wrong_with(step):
                return why
    except OSError as error:
        return f"{error.filename or path} can't be looked at ({error.strerror}); right: a path that this user may read"
    return ""


def steps(path: Path) -> list[Path]:
    """The places on the way there, links and where they lead among them, as far as there are any. Raises OSError."""
    return [step.path for step in _way(path)]


def is_roots(path: Path) -> bool:
    """Whether root alone can have written it. OSError where it can't be looked at."""
    return not distrust(path) and path.stat().st_uid == ROOT


def open_to_all(folder: Path) -> str:
    """Why every user may put something there, or put the folder itself there first; empty where none may. Whose it is
    does not matter: it may be a service's of its own."""
    shared: Path | None = None  # where the next step is anybody's to make
    try:
        for step in _way(folder):
            mode, theirs = step.found.st_mode, step.found.st_uid not in (os.geteuid(), ROOT)
            everybody = bool(mode & stat.S_IWOTH) and not stat.S_ISLNK(mode)
            if everybody and (step.last or not mode & stat.S_ISVTX):
                return f"{step.path} can be written by every user"
            if shared is not None and theirs:
                return f"{step.path} belongs to {_user(step.found.st_uid)}, and every user may write to {shared}"
            shared = step.path if everybody else None
    except OSError as error:
        return f"{error.filename or folder} can't be looked at ({error.strerror})"
    return "" if shared is None else f"{folder} is not there, and every user may write to {shared}"


def close_to_others(folder: Path) -> None:
    """Made where it is missing. One of ours that is open to more users than the umask says is closed to them.
    Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == os.geteuid() and mode & umask() and not mode & stat.S_ISVTX:
        folder.chmod(mode & ~umask())


def umask() -> int:
    """Of this process; asking the usual way would set it, for all threads."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0o077
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o077)


def _way(path: Path) -> Iterator[_Step]:
    """From the root to what is there, through every link."""
    here, left, links = Path("/"), list(path.absolute().parts[1:]), 0
    yield _Step(here, here.stat(), last=not left)
    while left:
        name = left.pop(0)
        if name == "..":
            here = here.parent
            continue
        step = here / name
        try:
            found = step.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        is_link = stat.S_ISLNK(found.st_mode)
        yield _Step(step, found, last=not left and not is_link)
        if not is_link:
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(0, "its links lead in a circle", str(path))
        target = Path(os.readlink(step))
        left = [*(target.parts[1:] if target.is_absolute() else target.parts), *left]
        here = Path("/") if target.is_absolute() else here


def _wrong_with(step: _Step) -> str:
    found, place = step.found, quote(str(step.path))
    if found.st_uid not in (os.geteuid(), ROOT):
        theirs = f"{step.path} belongs to {_user(found.st_uid)}, who can change it"
        if stat.S_ISLNK(found.st_mode):
            return f"{theirs}: a link; right: rm {place}, or name the place that it leads to"
        us, them = _user(os.geteuid()), _user(found.st_uid)
        run_as_them = f"run this as {them} (setpriv --reuid={them} --clear-groups ...), or " if us == "root" else ""
        return f"{theirs}; right: {run_as_them}chown {us} {place}, once you have looked at it"
    if stat.S_ISLNK(found.st_mode):
        return ""  # who may replace it is a matter of its folder
    mode = found.st_mode
    everybody = bool(mode & stat.S_IWOTH)
    group = bool(mode & stat.S_IWGRP) and (_has_more_users(step.path) or not _is_own_group(found.st_gid))
    passed_through = stat.S_ISDIR(mode) and mode & stat.S_ISVTX and not step.last
    if passed_through or not (everybody or group) or _is_device(mode):
        return ""
    whose = "every user" if everybody else f"the group {_group(found.st_gid)}"
    return f"{step.path} can be written by {whose}; right: chmod go-w {place}"


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode)  # /dev/null is everybody's to write


def _has_more_users(path: Path) -> bool:
    """By an access control list: what the mode shows as the group's is then the most that any of its users may do."""
    try:
        return bool(os.getxattr(path, _ACCESS_LIST, follow_symlinks=False))
    except (OSError, AttributeError):  # it has none, or the system knows no such thing
        return False


@cache
def _is_own_group(gid: int) -> bool:
    """A group that nobody else is in, as many systems make for each user; files are then often open to it."""
    try:
        us = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    if gid != us.pw_gid or set(group.gr_mem) - {us.pw_name}:
        return False
    return all(each.pw_gid != gid or each.pw_uid in (us.pw_uid, ROOT) for each in pwd.getpwall())


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
