"""The last words of a run at a terminal: how it went, where it is kept, what to try next. And its picture."""

from __future__ import annotations

import shutil
import sys
from io import StringIO
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settings.load import Loaded
from settings.schema import shown_url
from trader.folders import put
from trader.printable import console as printable_console
from trader.terminal.view import render
from trader.terminal.view_parts import gain_text, money, units_text
from trader.trading.status import Board

PICTURE_SIZE = (118, 36)


def farewell(board: Board, loaded: Loaded, log: Path, code: int) -> RenderableType:
    """A few lines under where the view was."""
    database_url, folder = loaded.settings.database_url, loaded.settings.store.state_dir
    prefix = f"STATE_DIR={folder} " if loaded.origins["STATE_DIR"].startswith("flag") else ""
    portfolio = board.portfolio
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path is to be copied whole
    if portfolio is not None:
        table.add_row("equity", Text.assemble((money(portfolio.account.equity), "bold"), " ", gain_text(board)))
        positions_text = ", ".join(f"{units_text(p.qty)} {symbol}" for symbol, p in sorted(portfolio.positions.items()))
        table.add_row("held", positions_text or "nothing")
    orders_text = "nothing rests at the venue"
    if portfolio is not None and portfolio.orders:
        orders_text = f"{_counted(len(portfolio.orders), 'order rests', 'orders rest')} at the venue"
    counts = ((board.cycles, "cycle"), (board.fills, "fill"), (board.errors, "error"))
    table.add_row("run", ", ".join(_counted(count, word, word + "s") for count, word in counts) + f"; {orders_text}")
    table.add_row("journal", shown_url(database_url).removeprefix("sqlite:///"))
    table.add_row("log", str(log))
    table.add_row("next", Text(f"{prefix}{_as_typed()} performance   (or trades, orders, replay last)", "cyan"))
    head = Text("stopped" if code == 0 else f"stopped with exit code {code}", "bold green" if code == 0 else "bold red")
    return Group(head, table)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _as_typed() -> str:
    """`trader` where that would be found, else the path that it was started by."""
    started = Path(sys.argv[0])
    if started.name != "trader" or shutil.which("trader"):
        return "trader"
    return str(started)


def save_picture(board: Board, path: Path) -> None:
    """The view as it is now, as SVG."""
    width, height = PICTURE_SIZE
    console = printable_console(StringIO(), record=True, width=width, height=height, force_terminal=True)
    console.print(render(board, width, height))
    put(path, console.export_svg(title="trader run"))
