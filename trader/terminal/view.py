"""The live terminal view of the daemon (rich): a header, a card for each symbol, orders, news.

Everything is laid out for the width and height at hand; what does not fit is left out, never wrapped.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trader.core.ids import purpose_of
from trader.core.names import shown_strategy
from trader.core.types import Order, Purpose
from trader.terminal.view_parts import (
    COLOURS,
    NARROW,
    card,
    card_height,
    chart,
    equity_text,
    flags_text,
    gain_text,
    money,
    news_lines,
    price_text,
    units_text,
    until_text,
)
from trader.trading.status import Board

REFRESH_S = 0.25
MOST_ORDERS = 6
LEAST_TABLE = 80  # columns; below it an order is a line that is cut off, not columns that all are
CHART_ROWS, LEAST_NEWS = 5, 8


class LiveView:
    """Shows `board` until the block ends. Draws from a thread of its own; trading never waits for it."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._live = Live(console=console, screen=console.is_terminal, auto_refresh=False, transient=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="view", daemon=True)
        self._console = console

    def __enter__(self) -> LiveView:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=2)
        self._live.stop()

    def _draw(self) -> None:
        drawn_state: object = None
        while not self._stop.wait(REFRESH_S):
            state = (_fingerprint(self._board), self._console.size)
            if state != drawn_state:  # a quiet market costs nothing
                self._live.update(render(self._board, *self._console.size), refresh=True)
                drawn_state = state


def _fingerprint(board: Board) -> object:
    """Changes whenever the picture would."""
    return (
        board.phase, board.market_time, board.next_trade, board.cycles, board.fills, board.errors, len(board.events),
        board.events[-1] if board.events else None, id(board.portfolio), id(board.quotes), id(board.forecasts),
        id(board.reasons), id(board.levels), id(board.flags), len(board.equity),
    )  # fmt: skip


def render(board: Board, width: int, height: int) -> RenderableType:
    """The whole screen as one renderable, at most `height` lines of `width` columns."""
    header = 3 if width >= NARROW else 4
    tall = card_height(width)
    orders = min(MOST_ORDERS, max(1, height // 8), len(board.portfolio.orders)) if board.portfolio else 0
    fixed = (header + 2) + (max(1, orders) + 2) + 1  # header, orders, the foot
    cards = max(1, min(len(board.symbols), (height - fixed - 5) // tall))
    news = height - fixed - cards * tall - 2
    parts: list[RenderableType] = [_header(board, width)]
    parts += [card(board, symbol, width) for symbol in board.symbols[:cards]]
    parts.append(_orders(board, width, orders))
    if news >= CHART_ROWS + 2 + LEAST_NEWS and len(board.equity) > 1:
        parts.append(_chart(board, width))
        news -= CHART_ROWS + 2
    if news > 0:
        parts.append(_panel("news", Group(*news_lines(board, news)), height=news + 2))
    parts.append(_foot(board, len(board.symbols) - cards))
    return Group(*parts)


def _header(board: Board, width: int) -> RenderableType:
    account = board.portfolio.account if board.portfolio else None
    time = f"{board.market_time:%Y-%m-%d %H:%M:%S} UTC" if board.market_time else "no time yet"
    equity = Text.assemble("equity ", (money(account.equity) if account else "-", "bold"), " ", gain_text(board))
    strategy = shown_strategy(board.strategy)
    subject = Text.assemble((strategy, "bold"), " on ", (board.backend, "bold"), f", {board.timeframe} bars")
    counts = Text(f"fills {board.fills}   open orders {len(board.portfolio.orders) if board.portfolio else 0}")
    if board.errors:
        counts.append(f"   errors {board.errors}", "bold red")
    progress = Text.assemble(f"cycle {board.cycles}", until_text(board))
    rows = [(Text(time, "bold"), equity), (subject, counts), (progress, flags_text(board))]
    grid = Table.grid(expand=True, padding=(0, 2))
    if width >= NARROW:
        rows = [
            (Text(time, "bold"), equity),
            (subject, counts),
            (Text.assemble(progress, "   ", flags_text(board)), Text()),
        ]
    grid.add_column(no_wrap=True, ratio=1)
    grid.add_column(no_wrap=True, ratio=1)
    spark = equity_text(board, (width - 8) // 2 if width >= NARROW else width - 4)
    if width >= NARROW:
        rows[-1] = (rows[-1][0], spark)
    for row in rows:
        grid.add_row(*row)
    title = " · ".join(text for text in ("trader", board.mode, board.speed, _account(board)) if text)
    return Panel(Group(grid, *(() if width >= NARROW else (spark,))), title=title, border_style="blue")


def _account(board: Board) -> str:
    return f"account {board.account_id[:8]}" if board.account_id else ""


def _chart(board: Board, width: int) -> RenderableType:
    values = list(board.equity)
    lines = Text("\n".join(chart(values, width - 4, CHART_ROWS)), "cyan", no_wrap=True)
    return _panel(f"equity by cycle, {min(values):,.2f} to {max(values):,.2f}", lines)


def _orders(board: Board, width: int, count: int) -> RenderableType:
    orders = board.portfolio.orders[:count] if board.portfolio else ()
    table = Table.grid(padding=(0, 2), expand=False)
    for right in (False, False, True, False, False, True, True)[: 7 if width >= LEAST_TABLE else 1]:
        table.add_column(justify="right" if right else "left", no_wrap=True)
    for order in orders:
        cells = _order_cells(board, order)
        if width >= LEAST_TABLE:
            table.add_row(*cells)
        else:
            table.add_row(Text(" ").join(cells[place] for place in (0, 1, 2, 3, 5, 6)))
    title = "open orders" if width < NARROW or not orders else "open orders, with how far the market is from them"
    if board.portfolio and len(board.portfolio.orders) > count:
        title += f" ({count} of {len(board.portfolio.orders)})"
    return _panel(title, table if orders else Text("none", "dim"))


def _order_cells(board: Board, order: Order) -> Sequence[Text]:
    purpose = purpose_of(order)
    colour = {Purpose.ENTRY: "cyan", Purpose.STOP: "red", Purpose.TARGET: "green"}.get(purpose or Purpose.KILL, "white")
    price, quote = order.stop_price or order.limit_price, board.quotes.get(order.symbol)
    away = ""
    if price and quote is not None and quote.mid > 0:
        away = f"{(price / quote.mid - 1) * 10_000:+.0f} bps"
    return (
        Text(purpose.value if purpose else "external", colour),
        Text(order.side.value, "green" if order.side.value == "buy" else "red"),
        Text(units_text(order.remaining)),
        Text(str(order.symbol), "bold"),
        Text(order.order_class.value if order.legs else order.type.value.replace("_", "-"), "dim"),
        Text(price_text(price)),
        Text(away, "dim"),
    )


def _panel(title: str, body: RenderableType, height: int | None = None) -> Panel:
    return Panel(body, title=title, title_align="left", border_style="bright_black", height=height)


def _foot(board: Board, hidden: int) -> RenderableType:
    foot = Text(no_wrap=True, overflow="ellipsis")
    if hidden:
        foot.append(f" {hidden} more in `trader positions`  ", COLOURS["order"])
    foot.append(" Ctrl-C ends it: entries are cancelled, stops stay at the venue", "dim")
    if any(quote.synthetic for quote in board.quotes.values()):
        foot.append("   ~ modelled spread, no recorded quote", "dim yellow")
    return foot
