"""`trader run` at a terminal or under a service manager: the live view in one, log lines in the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from loguru import logger
from rich.console import Console

from settings.load import Loaded
from settings.trust import close_to_others
from trader import log
from trader.adapters.sdnotify import Notifier
from trader.daemon.app import RunOptions, run
from trader.daemon.forecaster import check_backend
from trader.errors import ConfigurationError
from trader.folders import RIGHT, unwritable
from trader.printable import console as printable_console
from trader.printable import unguarded
from trader.terminal.outage import patiently
from trader.trading.status import Board

NEWS_S = 0.5
LOG_FILE = "trader.log"


def run_daemon(
    loaded: Loaded,
    *,
    cycles: int | None,
    fresh: bool,
    plain: bool,
    failpoints: Sequence[str],
    flags: Mapping[str, object],
    picture: Path | None = None,
) -> int:
    """Returns the exit code. Fatal errors propagate to the command line, which says them in one line."""
    console = printable_console(cast(TextIO, _Terminal(unguarded(sys.stdout))))
    _make_folder(loaded)
    check_backend(loaded.settings)
    if loaded.settings.trading.trading_mode == "live":
        _announce_live(loaded, console)
    live = console.is_terminal and not plain
    options = RunOptions(cycles=cycles, fresh=fresh, failpoints=failpoints, flags=flags, hangup_ends=live)
    if live:
        return _run_in_view(loaded, options, console, picture)
    settings = loaded.settings
    log.configure(settings.log.level, settings.log.format, settings.secrets())
    return patiently(lambda: run(loaded, options, show=_log_news, say=logger.info), Notifier())


def _make_folder(loaded: Loaded) -> None:
    """Raises ConfigurationError. A full disk is none: with one, positions are looked after all the same."""
    folder = loaded.settings.store.state_dir
    if why := unwritable(folder):
        raise ConfigurationError(f"{loaded.origins['STATE_DIR']}: STATE_DIR={folder}: {why}; {RIGHT}")
    close_to_others(folder)  # one of before, or made by hand


class _Terminal:
    """The standard output, of which nothing is expected: a terminal that was closed must not stop the tidying up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _run_in_view(loaded: Loaded, options: RunOptions, console: Console, picture: Path | None) -> int:
    """The log goes to a file: a line of it in the middle of the picture would tear it."""
    from trader.terminal.farewell import farewell, save_picture
    from trader.terminal.progress import Progress
    from trader.terminal.view import LiveView

    boards = list[Board]()
    with ExitStack() as stack:
        path = _log_to_file(loaded, stack)
        progress = stack.enter_context(Progress(console))

        @contextmanager
        def show(board: Board) -> Iterator[None]:
            boards.append(board)
            progress.done()
            with LiveView(board, console), _log_news(board):
                yield
            if picture is not None:
                save_picture(board, picture)
            progress.say("leaving the books tidy: entries cancelled, stops at the venue")

        code = run(loaded, options, show=show, say=progress.say)
    for board in boards:
        console.print(farewell(board, loaded, path, code))
    return code


def _log_to_file(loaded: Loaded, stack: ExitStack) -> Path:
    settings = loaded.settings
    path = settings.store.state_dir / LOG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = stack.enter_context(path.open("a", encoding="utf-8"))
    log.configure(settings.log.level, "text", settings.secrets(), sink)
    # what ends the run unexpectedly is for the terminal again
    stack.callback(log.configure, settings.log.level, settings.log.format, settings.secrets())
    return path


def _announce_live(loaded: Loaded, console: Console) -> None:
    """Real money: say first what will happen."""
    trading, risk = loaded.settings.trading, loaded.settings.risk
    console.print(
        f"LIVE: account {trading.live_account}, {', '.join(trading.symbols)}, {trading.strategy} on "
        f"{trading.backend}, {trading.timeframe} bars; at most {risk.max_gross:.0%} of equity in all, "
        f"{risk.max_symbol:.0%} a symbol; stops for the day at -{risk.max_daily_loss:.0%}",
        style="bold red",
    )
    sys.stdout.flush()


@contextmanager
def _log_news(board: Board) -> Iterator[None]:
    """What the view shows as news goes to the log too, a line each, off the trading threads."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(board, ended), name="news", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def _follow(board: Board, ended: threading.Event) -> None:
    over = False
    while not over:
        over = ended.wait(NEWS_S)
        while board.unlogged:
            at, kind, text = board.unlogged.popleft()
            if kind != "alert":  # an alert logs itself
                logger.bind(market_time=at.isoformat() if at else None).info("{}: {}", kind, text)
