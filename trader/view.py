"""The live terminal view of the daemon (rich): a header, one row a symbol, orders, news, the equity line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trader.board import Board
from trader.core.types import Position, Quote, Symbol

REFRESH_S = 0.25
_BLOCKS = "▁▂▃▄▅▆▇█"
_COLOURS = {"fill": "green", "denied": "yellow", "alert": "bold red", "order": "cyan", "forecast": "magenta"}


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
        self._console.print(render(self._board, self._console.width, self._console.height))

    def _draw(self) -> None:
        while not self._stop.wait(REFRESH_S):
            self._live.update(render(self._board, self._console.width, self._console.height), refresh=True)


def render(board: Board, width: int, height: int) -> RenderableType:
    """The whole screen as one renderable."""
    events = max(4, height - 16 - len(board.symbols) - _order_count(board))
    return Group(
        _header(board),
        _symbols(board),
        _orders(board),
        _equity_line(board, width - 4),
        _news(board, events),
        Text(" Ctrl-C ends it cleanly: entries are cancelled, stops stay at the venue.", style="dim"),
    )


def _header(board: Board) -> RenderableType:
    account = board.portfolio.account if board.portfolio else None
    grid = Table.grid(padding=(0, 3))
    time = f"{board.market_time:%Y-%m-%d %H:%M:%S} UTC" if board.market_time else "-"
    gain = ""
    if account and board.first_equity:
        ratio = account.equity / board.first_equity - 1
        gain = f" ([{'green' if ratio >= 0 else 'red'}]{ratio:+.2%}[/])"
    speed = f" at {board.speed}" if board.speed else ""
    grid.add_row(
        f"[bold]{board.mode}[/]{speed}",
        f"market time [bold]{time}[/]",
        f"equity [bold]{_money(account.equity) if account else '-'}[/]{gain}",
        f"cash {_money(account.cash) if account else '-'}",
    )
    grid.add_row(
        f"{board.strategy} on [bold]{board.backend}[/]",
        f"cycles {board.cycles}  fills {board.fills}  errors {board.errors}",
        f"last {board.last_outcome or '-'}",
        f"[bold]{board.phase}[/]" + "".join(f"  [red]{name}: {why}[/]" for name, why in board.flags.items() if why),
    )
    return Panel(grid, title=f"trader · {board.account_id or 'no account yet'}", border_style="blue")


def _symbols(board: Board) -> RenderableType:
    table = Table(expand=True, box=None, header_style="bold dim", pad_edge=False)
    for name in ("symbol", "bid", "ask", "spread", "forecast low", "close", "high", "position", "P/L", "exit", "why"):
        right = name not in ("symbol", "exit", "why")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for symbol in board.symbols[:20]:
        quote, forecast = board.quotes.get(symbol), board.forecasts.get(symbol)
        position = board.portfolio.position(symbol) if board.portfolio else None
        table.add_row(
            f"[bold]{symbol}[/]",
            *_quote_cells(quote),
            *([_price(level) for level in forecast] if forecast else ["-"] * 3),
            *_position_cells(position),
            _exit_cell(board, symbol),
            board.reasons.get(symbol, ""),
        )
    return table


def _quote_cells(quote: Quote | None) -> Sequence[str]:
    if quote is None:
        return "-", "-", "-"
    mark = "[dim]~[/]" if quote.synthetic else ""
    spread = f"{quote.spread_bps:.1f} bps{mark}" if quote.mid > 0 else "?"
    return _price(float(quote.bid)), _price(float(quote.ask)), spread


def _position_cells(position: Position | None) -> Sequence[str]:
    if position is None:
        return "flat", ""
    if position.mark is None:
        return f"{position.qty.normalize():f}", "?"
    profit = (position.mark - position.avg_entry_price) * position.qty
    return f"{position.qty.normalize():f}", f"[{'green' if profit >= 0 else 'red'}]{profit:+,.2f}[/]"


def _exit_cell(board: Board, symbol: Symbol) -> str:
    levels = board.levels.get(symbol)
    position = board.portfolio.position(symbol) if board.portfolio else None
    if levels is None or position is None:
        return ""
    return f"stop {_price(levels.stop)} · target {_price(levels.target)}"


def _orders(board: Board) -> RenderableType:
    orders = board.portfolio.orders[:8] if board.portfolio else ()
    lines = [
        f"{order.side} {order.qty.normalize():f} {order.symbol} {order.type} "
        f"{_price(order.limit_price or order.stop_price)}  {order.status}"
        for order in orders
    ]
    return Panel("\n".join(lines) or "[dim]none[/]", title="open orders", border_style="dim", title_align="left")


def _order_count(board: Board) -> int:
    return min(8, len(board.portfolio.orders)) if board.portfolio else 0


def _news(board: Board, count: int) -> RenderableType:
    lines = Text(no_wrap=True, overflow="ellipsis")
    for at, kind, text in list(board.events)[-count:]:
        lines.append(f"{at:%m-%d %H:%M:%S} " if at else "", style="dim")
        lines.append(f"{kind:<8} ", style=_COLOURS.get(kind, "white"))
        lines.append(text + "\n")
    return Panel(lines, title="news", border_style="dim", title_align="left", height=count + 2)


def _equity_line(board: Board, width: int) -> RenderableType:
    return Text(" equity " + sparkline(list(board.equity), max(10, width - 8)), style="cyan", no_wrap=True)


def sparkline(values: Sequence[float], width: int) -> str:
    """One line of blocks, the newest at the right."""
    if not values:
        return ""
    step = max(1, len(values) // width)
    shown = list(values)[::step][-width:]
    low, high = min(shown), max(shown)
    scale: Callable[[float], int] = lambda v: int((v - low) / (high - low) * 7) if high > low else 0  # noqa: E731
    return "".join(_BLOCKS[scale(v)] for v in shown)


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _price(price: float | Decimal | None) -> str:
    if price is None:
        return "-"
    value = float(price)
    digits = 2 if value >= 100 else 4 if value >= 1 else 8
    return f"{value:,.{digits}f}"
