"""`trader service install`: the systemd units of one account, written with this installation's own paths.

The units are complete for /opt/trader; here that path is replaced. They come with the package, as do the examples, so a
wheel does as well as a checkout. Everything is planned first, as steps that can be shown, so that a dry run and a real
one cannot differ.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from settings import children
from trader.errors import ConfigurationError

MODES = ("paper", "live")
_SHIPPED = Path(__file__).parents[1] / "shipped"
_SHIPPED_ROOT = "/opt/trader"  # where the shipped units say that the program is
_UNITS = ("trader@.service", "trader-forecaster@.service", "trader-audit@.service")
_UNUSABLE = frozenset(" \t\n%\"'\\;:$")  # would mean something else in a unit file

_WRAPPER = """\
#!/bin/sh
# The command line with the settings and keys of the {mode} account: `trader-{mode} status`, as root.
# systemd runs it as the daemon's own user, who owns the folder of its state, and with no more than the daemon sees.
# Root itself neither opens nor follows anything in there: what the daemon has written may be a link to anywhere.
set -eu
cd /
umask 077
for word do  # a dollar would be a variable's to systemd
    shift
    set -- "$@" "$(printf %s "$word" | sed 's/\\$/$$/g')"
done
set -- --property=WorkingDirectory=/ --setenv=TZ=UTC -- {program} "$@"
for key in alpaca_api_key_id alpaca_api_secret_key audit__key_id audit__secret_key; do
    file=/etc/trader/credentials/{mode}/$key
    [ ! -e "$file" ] || set -- --property=LoadCredential="$key:$file" "$@"
done
how=--pipe
[ ! -t 0 ] || [ ! -t 1 ] || how=--pty
exec systemd-run --quiet --collect --wait "$how" \\
    --property=DynamicUser=yes --property=User=trader-{mode} --property=SupplementaryGroups=trader-forecast \\
    --property=StateDirectory=trader/{mode} --property=StateDirectoryMode=0700 \\
    --property=CacheDirectory=trader/{mode} --property=CacheDirectoryMode=0700 \\
    --property=Environment=XDG_CACHE_HOME=/var/cache/trader/{mode} \\
    --property=EnvironmentFile=/etc/trader/{mode}.env --property=EnvironmentFile=-/etc/trader/.env.compile \\
    --property=ProtectSystem=strict --property=ProtectHome=tmpfs --property=BindReadOnlyPaths="{bound}" \\
    --property=PrivateTmp=yes --property=PrivateDevices=yes --property=NoNewPrivileges=yes \\
    --property=CapabilityBoundingSet= --property=UMask=0077 --property=LimitCORE=0 "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this installation lies."""

    code: Path  # the checkout, or the folder that the wheel was installed into
    runbook: Path
    environment: Path  # the virtual environment
    interpreter: Path  # what the virtual environment was made from

    @property
    def program(self) -> Path:
        return self.environment / "bin" / "trader"

    def to_bind(self) -> list[Path]:
        """What the services must be able to read, each folder once; /usr they see anyway."""
        folders = dict.fromkeys((self.code, self.environment, self.interpreter))
        return [
            path
            for path in folders
            if not path.is_relative_to("/usr")
            and not any(path != parent and path.is_relative_to(parent) for parent in folders)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    path: Path
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    path: Path
    text: str
    mode: int
    keep: bool = False  # one that is there already is a person's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    words: tuple[str, ...]


Step = Directory | File | Command


def install(
    mode: str,
    *,
    dry_run: bool,
    say: Callable[[str], None],
    prefix: Path = Path("/"),
    places: Places | None = None,
) -> None:
    """Write the units and the configuration of one account, and have systemd start it at boot. Starts nothing now.

    dry_run  say each step and each file, touch nothing
    prefix   another root folder, for an image or a test; the running systemd is then left alone
    places   where this installation lies; found out by default
    Raises ConfigurationError where it cannot be done here.
    """
    places = places or _own_places()
    _check(mode, places, prefix, dry_run=dry_run)
    for step in _plan(mode, places, prefix):
        _do(step, dry_run=dry_run, say=say)
    for line in _what_is_left(mode, places):
        say(line)


def _own_places() -> Places:
    return Places(
        code=Path(__file__).resolve().parents[2],
        runbook=(_SHIPPED / "runbook.md").resolve(),
        environment=Path(sys.prefix).absolute(),
        interpreter=Path(sys.base_prefix).resolve(),
    )


def _check(mode: str, places: Places, prefix: Path, *, dry_run: bool) -> None:
    if mode not in MODES:
        raise ConfigurationError(f"no service for mode {mode!r}; right: {' or '.join(MODES)}")
    for path in (places.code, places.runbook, places.environment, places.interpreter):
        if _UNUSABLE & set(str(path)):
            raise ConfigurationError(
                f"a systemd unit cannot name {str(path)!r}; use a path without blanks or %\"'\\;:$"
            )
    if dry_run:
        return
    if shutil.which("systemctl") is None:
        raise ConfigurationError("systemd is not installed here; --dry-run shows what would be done")
    if prefix == Path("/") and os.geteuid() != 0:
        raise ConfigurationError("installing a service needs root; run it with sudo, or see it first with --dry-run")
    if prefix == Path("/") and not Path("/run/systemd/system").is_dir():
        raise ConfigurationError("systemd does not run this machine; --dry-run shows what would be done")


def _plan(mode: str, places: Places, prefix: Path) -> Iterator[Step]:
    etc = prefix / "etc"
    shipped = _SHIPPED / "systemd"
    yield File(path=etc / "sysusers.d/trader.conf", text=_read(shipped / "sysusers.conf"), mode=0o644)
    for name in _UNITS:
        yield File(path=etc / "systemd/system" / name, text=unit_text(_read(shipped / name), places), mode=0o644)

    yield Directory(path=etc / "trader", mode=0o755)
    yield Directory(path=etc / "trader/credentials", mode=0o700)
    yield Directory(path=etc / "trader/credentials" / mode, mode=0o700)
    settings = _read(shipped / "environment.example").replace("paper", mode)
    yield File(path=etc / f"trader/{mode}.env", text=settings, mode=0o600, keep=True)
    yield File(path=etc / "trader/.env.compile", text=_read(_SHIPPED / ".env.compile"), mode=0o644, keep=True)
    for example in (_SHIPPED / ".env.example", shipped / "credentials.example"):
        yield File(path=etc / "trader" / example.name, text=_read(example), mode=0o644)
    wrapper = _WRAPPER.format(mode=mode, program=places.program, bound=" ".join(map(str, places.to_bind())))
    yield File(path=prefix / "usr/local/bin" / f"trader-{mode}", text=wrapper, mode=0o755)

    elsewhere = () if prefix == Path("/") else (f"--root={prefix}",)
    yield Command(words=("systemd-sysusers", *elsewhere, str(etc / "sysusers.d/trader.conf")))
    if not elsewhere:
        yield Command(words=("systemctl", "daemon-reload"))
    yield Command(words=("systemctl", *elsewhere, "enable", f"trader@{mode}.service"))


def unit_text(shipped: str, places: Places) -> str:
    """A shipped unit with this installation's paths in place of /opt/trader."""
    bound = "BindReadOnlyPaths=" + " ".join(str(path) for path in places.to_bind())
    return (
        shipped.replace(f"BindReadOnlyPaths={_SHIPPED_ROOT}\n", f"{bound}\n")
        .replace(f"{_SHIPPED_ROOT}/.venv/", f"{places.environment}/")
        .replace(f"{_SHIPPED_ROOT}/docs/runbook.md", str(places.runbook))
    )


def _do(step: Step, *, dry_run: bool, say: Callable[[str], None]) -> None:
    """Say the step, then take it."""
    if isinstance(step, File) and step.keep and step.path.exists():
        say(f"keep {step.path}, it is there already")
        return
    say(_said(step))
    if dry_run and isinstance(step, File):
        for line in step.text.splitlines():
            say(f"    {line}".rstrip())
    if dry_run:
        return
    try:
        if isinstance(step, Directory):
            _make_public(step.path)
            step.path.chmod(step.mode)
        elif isinstance(step, File):
            _write(step)
        else:
            _run(step)
    except OSError as error:
        raise ConfigurationError(f"the service could not be installed: {error.filename}: {error.strerror}") from error


def _said(step: Step) -> str:
    if isinstance(step, Command):
        return f"run {' '.join(step.words)}"
    verb = "folder" if isinstance(step, Directory) else "write"
    return f"{verb} {step.path} (mode {step.mode:04o})"


def _write(step: File) -> None:
    _make_public(step.path.parent)
    fresh = step.path.with_name(f".{step.path.name}.new")  # never a half-written unit under its own name
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, step.mode), "w") as file:
        file.write(step.text)
    fresh.chmod(step.mode)  # whatever the umask is
    fresh.replace(step.path)


def _make_public(folder: Path) -> None:
    """The folders of an image, as the system's own are: our umask is for what is ours alone."""
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(new_folders):
        path.mkdir()
        path.chmod(0o755)


def _run(step: Command) -> None:
    done = children.run(step.words, umask=0o022)  # what systemd makes of it is the system's, not ours
    if done.returncode:
        raise ConfigurationError(f"`{' '.join(step.words)}` failed: {' '.join(done.stderr.split())}")


def _what_is_left(mode: str, places: Places) -> Iterator[str]:
    unreadable = [path for path in places.to_bind() if path.exists() and path.stat().st_mode & 0o005 != 0o005]
    if unreadable:
        folders = " ".join(str(path) for path in unreadable)
        yield f"attention: the service runs as a user of its own and could not read it; run: chmod -R go+rX {folders}"
    yield f"next, put the account's keys, mode 0600 and owned by root, into /etc/trader/credentials/{mode}/:"
    yield "    alpaca_api_key_id and alpaca_api_secret_key, one key a file (/etc/trader/credentials.example)"
    yield f"then look over /etc/trader/{mode}.env" + (", LIVE_ACCOUNT above all" if mode == "live" else "")
    yield f"then start it: systemctl start trader@{mode}; see it: trader-{mode} status, journalctl -fu trader@{mode}"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
