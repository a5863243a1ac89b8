"""What the daemon says: one sink, text or JSON lines, from which no known secret gets out.

No library says below INFO what it sends and receives: frames and statements hold keys, and some shorten them, so that
no whole one is left to be found. Redaction happens twice. A patcher cleans message and extra of every record, so that
any sink is safe; and the sink cleans the finished line, because the text of an exception only exists there. Everything
that the libraries log through the standard library, and what ends a thread unexpectedly, goes the same way.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TextIO

from loguru import logger

from settings.redaction import Redactor, redactor
from trader.printable import printable, printable_json

if TYPE_CHECKING:
    from loguru import Message, Record

_TEXT = "{time:YYYY-MM-DD HH:mm:ss.SSS!UTC} {level: <8} {name}:{line} {message}{extra[_shown]}\n{exception}"
# These say below INFO what they send and receive, whatever LOG_LEVEL is.
_WIRE = ("websockets", "urllib3", "requests", "alpaca", "httpx", "httpcore", "hpack", "psycopg", "asyncio", "uvicorn")
_STATEMENTS = ("sqlalchemy",)  # and this one at INFO, with their values
# These say at INFO what the cycle's own records say better.
_CHATTY = ("apscheduler", "urllib3", "websockets", "uvicorn.access", "asyncio", "alembic")

Format = Literal["auto", "text", "json"]


def configure(level: str, format: Format, secrets: Sequence[str], sink: TextIO | None = None) -> None:
    """Make this the process's only log. May be called again: the last call holds.

    level    the least level written, TRACE to CRITICAL
    format   auto is text where the sink is a terminal, JSON lines elsewhere
    secrets  texts that are replaced wherever they stand, `Settings.secrets()`
    sink     where lines go, the standard output where None
    """
    stream = sys.stdout if sink is None else sink
    as_text = format == "text" or (format == "auto" and stream.isatty())
    redact = redactor(secrets)
    logger.remove()
    logger.configure(patcher=_patcher(redact), extra={})
    logger.add(
        _writer(stream, redact, as_text=as_text),
        level=level,
        format=_text_format if as_text else "{message}",
        backtrace=False,
        diagnose=False,  # it would print the values of local variables, keys among them
        colorize=False,
    )
    _intercept(level)
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_thread_end


def _patcher(redact: Redactor) -> Callable[[Record], None]:
    def patch(record: Record) -> None:
        record["message"] = redact(record["message"])
        record["extra"] = {key: _clean(value, redact) for key, value in record["extra"].items()}

    return patch


def _clean(value: object, redact: Redactor) -> object:
    """A value for a record's extra: plain, with every text inside it redacted."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): _clean(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, redact) for item in value]
    return redact(str(value))


def _text_format(record: Record) -> str:
    """The template of one line. Extras are appended through a placeholder: their braces must not be interpreted."""
    shown = "".join(f" {key}={value}" for key, value in record["extra"].items() if key != "_shown")
    record["message"], shown = printable(record["message"]), printable(shown)
    record["extra"]["_shown"] = shown
    return _TEXT


def _writer(stream: TextIO, redact: Redactor, *, as_text: bool) -> Callable[[Message], None]:
    harmless = _below_each_other if as_text else printable_json

    def write(message: Message) -> None:
        line = str(message).rstrip("\n") if as_text else _json_line(message.record, redact)
        try:
            stream.write(_writable(harmless(redact(line)), stream) + "\n")
            stream.flush()
        except (OSError, ValueError):
            # The reader of our output is gone. Trading and its exits matter more than the log of them.
            return

    return write


def _below_each_other(text: str) -> str:
    """Only the first line of a record begins at the margin: what an exception's text says can't look like another."""
    first, *others = text.split("\n")
    return "\n".join([printable(first), *(f"    {printable(line)}" for line in others)])


def _writable(line: str, stream: TextIO) -> str:
    """The line in what the stream can encode: an odd character from the venue must not cost the whole line."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _json_line(record: Record, redact: Redactor) -> str:
    line: dict[str, object] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "logger": record["name"],
        "line": record["line"],
        "message": record["message"],
    }
    taken = {"time", "level", "logger", "line", "message", "exception"}
    line.update({f"{k}_" if k in taken else k: v for k, v in record["extra"].items()})
    exception = record["exception"]
    if exception is not None and exception.type is not None:
        lines = traceback.format_exception(exception.type, exception.value, exception.traceback)
        line["exception"] = redact("".join(lines))
    return json.dumps(line, ensure_ascii=False, default=str)


class _Intercept(logging.Handler):
    """Hands a standard library record to loguru, with the place that it came from."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def origin(target: Record) -> None:
            target["name"], target["function"], target["line"] = record.name, record.funcName, record.lineno

        # patch() comes after the configured redacting patcher and touches no text that needs it.
        logger.patch(origin).opt(exception=record.exc_info).log(level, "{}", record.getMessage())


def _intercept(level: str) -> None:
    """The standard library's log goes only through us, also that of libraries that brought handlers of their own."""
    logging.basicConfig(handlers=[_Intercept()], level=max(logging.DEBUG, logger.level(level).no), force=True)
    logging.captureWarnings(True)
    for name in list(logging.root.manager.loggerDict):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        if name.startswith(tuple(f"{above}." for above in (*_WIRE, *_STATEMENTS))):
            library.setLevel(logging.NOTSET)  # as the one above it
    for name in (*_WIRE, *_STATEMENTS):
        logging.getLogger(name).setLevel(logging.WARNING if name in _STATEMENTS else logging.INFO)
    if logger.level(level).no >= logging.INFO:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)


def _on_uncaught(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, value, trace)
        return
    logger.opt(exception=(kind, value, trace)).critical("unexpected: {}", kind.__name__)


def _on_thread_end(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread else "a thread"
    logger.opt(exception=(args.exc_type, args.exc_value, args.exc_traceback)).critical("{} ended unexpectedly", name)
