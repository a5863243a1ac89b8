"""`trader` and `python -m trader`: run a command, turn an expected failure into one line and its exit code."""

from __future__ import annotations

import errno
import os
import select
import sys
import traceback
from types import TracebackType

from settings.own_memory import close_memory
from settings.redaction import clean
from trader.printable import guard, printable

# what a disk, a folder or its owner refuses: nothing in the program is wrong
_REFUSED = {
    number
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EIO", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP")
    if (number := getattr(errno, name, None)) is not None
}
_UNUSABLE = 74
_MISCONFIGURED = 78
_STOPPED = 130  # 128 + SIGINT
_UNREAD = 141  # 128 + SIGPIPE: what a shell says of `cat` or `git log`, too, when `head` has had enough


def main() -> int:
    _fill_standard_streams()
    guard()
    close_memory()
    sys.excepthook = _say_without_secrets
    null = _is_null()
    try:
        return _command()
    except KeyboardInterrupt:  # while modules are imported: later click makes an Abort of it
        print("trader: stopped", file=sys.stderr)
        return _STOPPED
    except (BrokenPipeError, SystemExit) as error:  # click and rich make a SystemExit of it; rich writes to null then
        ours = isinstance(error, BrokenPipeError) or error.code == 1
        if not ours or not (_nobody_reads() or _is_null() > null):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain of what is left to write
        return _UNREAD


def _command() -> int:
    import click

    from trader.cli import cli
    from trader.errors import TraderError

    try:
        os.getcwd()  # every command looks for the settings there
    except FileNotFoundError:
        print("trader: the current folder is gone; right: cd to one that is there, and the same again", file=sys.stderr)
        return _MISCONFIGURED
    try:
        result = cli.main(standalone_mode=False, prog_name="trader")
        sys.stdout.flush()  # what can't be written is to be known here, not at the interpreter's end
    except TraderError as error:
        print(f"trader: {printable(clean(str(error)))}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        print(
            f"trader: {error.filename or 'what is written'}: {error.strerror}; {_remedy(error.errno)}", file=sys.stderr
        )
        return _UNUSABLE
    except click.exceptions.Abort:
        print("trader: stopped", file=sys.stderr)
        return _STOPPED
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    return result if isinstance(result, int) else 0


def _say_without_secrets(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    """What Python says of an error that nobody expected. Once the log is set up, that is the log's to say."""
    sys.stderr.write(clean("".join(traceback.format_exception(kind, value, trace))))


def _nobody_reads() -> bool:
    """Whether our output's reader has gone."""
    asked = select.poll()
    for number in (1, 2):
        asked.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))


def _is_null() -> bool:
    """Whether standard output is the null device."""
    return os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev


def _fill_standard_streams() -> None:
    """Where one was closed, the next file to be opened would take its number, and be written on by mistake."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _remedy(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "free some space on that disk"
    return "right: a path that is there for this user (STATE_DIR is where all that the daemon keeps lies)"


if __name__ == "__main__":
    sys.exit(main())
