"""`trader run` at a terminal or under a service manager: the live view in one, log lines in the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from loguru import logger
from rich.console import Console

from settings.load import Loaded
from trader import log
from trader.app import RunOptions, run
from trader.backend import check_backend
from trader.board import Board
from trader.view import LiveView

NEWS_S = 0.5


def run_daemon(
    loaded: Loaded,
    *,
    cycles: int | None,
    fresh: bool,
    plain: bool,
    failpoints: Sequence[str],
    flags: Mapping[str, object],
) -> int:
    """Returns the exit code. Fatal errors propagate to the command line, which says them in one line."""
    settings = loaded.settings
    console = Console()
    live = console.is_terminal and not plain
    # with the live view only trouble is logged, above it; the news panel shows the rest
    log.configure("ERROR" if live else settings.log.level, settings.log.format, settings.secrets())
    check_backend(settings)
    if settings.trading.trading_mode == "live":
        _announce_live(loaded, console)

    def say(line: str) -> None:
        if live:
            console.print(f"[dim]·[/] {line}", highlight=False)
        else:
            logger.info(line)

    def show(board: Board) -> AbstractContextManager[object]:
        return LiveView(board, console) if live else _log_news(board)

    options = RunOptions(cycles=cycles, fresh=fresh, failpoints=failpoints, flags=flags)
    return run(loaded, options, show=show, say=say)


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
    """Without a terminal: what the view would show as news goes to the log, a line each."""
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
        while board.events:
            at, kind, text = board.events.popleft()
            if kind != "alert":  # an alert logs itself
                logger.bind(market_time=at.isoformat() if at else None).info("{}: {}", kind, text)
