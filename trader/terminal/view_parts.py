"""Pieces of the terminal view: numbers as text, a symbol's card, the news without repetition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich.console import RenderableType
from rich.text import Text

from trader.core.types import Position, Quote, Symbol
from trader.printable import printable
from trader.trading.status import Board, median_bar

NARROW = 100  # columns; below it a card takes a line more
COLOURS = {
    "fill": "green", "denied": "yellow", "alert": "bold red", "order": "cyan", "forecast": "magenta",
    "command": "bold blue", "venue": "red", "books": "magenta", "bars": "yellow",
}  # fmt: skip
_BLOCKS = "▁▂▃▄▅▆▇█"
_RULER = 29  # columns of the forecast drawn between its low and its high


# ---- numbers ----


def money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def price_text(price: float | Decimal | None) -> str:
    if price is None:
        return "-"
    value = float(price)
    digits = 2 if value >= 10 else 4 if value >= 0.1 else 8
    return f"{value:,.{digits}f}"


def units_text(qty: Decimal) -> str:
    """To the sixth decimal: enough to recognise it by."""
    return f"{qty:,.6f}".rstrip("0").rstrip(".")


def signed(value: Decimal, template: str = "{:+,.2f}") -> Text:
    colour = "green" if value > 0 else "red" if value < 0 else "dim"
    return Text(template.format(value), colour)


def sparkline(values: Sequence[float], width: int) -> str:
    """One line of blocks, the newest at the right."""
    if not values:
        return ""
    step = -(-len(values) // width)
    shown = list(values)[::-1][::step][::-1][-width:]
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[int((value - low) / span * 7) if high > low else 3] for value in shown)


def chart(values: Sequence[float], width: int, rows: int) -> list[str]:
    """A column for each value, the newest at the right, `rows` lines high, the topmost first."""
    step = -(-len(values) // width) if values else 1
    points = list(values)[::-1][::step][::-1][-width:]
    if not points:
        return [""] * rows
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    eighths = [1 + round((value - low) / span * (rows * 8 - 1)) if high > low else rows * 4 for value in points]
    return ["".join(_cell(height - 8 * row) for height in eighths) for row in reversed(range(rows))]


def _cell(eighths: int) -> str:
    return " " if eighths <= 0 else _BLOCKS[min(8, eighths) - 1]


# ---- the header ----


def gain_text(board: Board) -> Text:
    if board.portfolio is None or not board.first_equity:
        return Text()
    gain = board.portfolio.account.equity - board.first_equity
    return Text.assemble(signed(gain), " ", signed(gain / board.first_equity * 100, "({:+.2f}%)"))


def equity_text(board: Board, width: int) -> Text:
    values = list(board.equity)
    if len(values) < 2:
        return Text("its curve begins with the second cycle", "dim", no_wrap=True)
    ends = f"{min(values):,.0f} to {max(values):,.0f} "
    return Text.assemble((ends, "dim"), (sparkline(values, max(10, width - len(ends))), "cyan"), no_wrap=True)


def until_text(board: Board) -> Text:
    if board.next_trade is None:
        return Text(", the first bar is awaited", "dim")
    return Text.assemble((", next ", "dim"), _clock(board.next_trade, board.market_time))


def _clock(moment: datetime, now: datetime | None) -> str:
    return f"{moment:%H:%M:%S}" if now is not None and moment.date() == now.date() else f"{moment:%a %d %H:%M}"


def flags_text(board: Board) -> Text:
    """What holds entries back, or the phase."""
    standing = [f"{name}: {why}" for name, why in board.flags.items() if why]
    if standing:
        return Text(printable("  ".join(standing)) + "  (trader resume)", "bold red", no_wrap=True, overflow="ellipsis")
    return Text(board.phase, "green" if board.phase == "running" else "yellow")


# ---- a symbol's card ----


def card_height(width: int) -> int:
    return 3 if width >= NARROW else 4


def card(board: Board, symbol: Symbol, width: int) -> RenderableType:
    """Quote, position and exits; the forecast with the market in it; why there is no entry."""
    quote = board.quotes.get(symbol)
    position = board.portfolio.position(symbol) if board.portfolio else None
    head = Text.assemble((f" {symbol!s:<9}", "bold"), _quote(quote), "   ")
    held = _position(position)
    forecast = _forecast(board, symbol, quote, width)
    reason = (_reason(board, symbol, position), "italic dim")
    why = Text.assemble(" " * 10, _exits(board, symbol, position), ("why  ", "dim"), reason)
    lines = [Text.assemble(head, held)] if width >= NARROW else [head, Text.assemble(" " * 10, held)]
    return _joined([*lines, forecast, why], width)


def _reason(board: Board, symbol: Symbol, position: Position | None) -> str:
    """Of the last decision, which may have been overtaken."""
    reason = board.reasons.get(symbol) or board.unforecast.get(symbol, "no decision yet")
    overtaken = " held: " in reason and (position is None or position.qty == 0)
    return "left since the last decision" if overtaken else printable(reason)


def _joined(lines: Sequence[Text], width: int) -> Text:
    joined = Text(no_wrap=True, overflow="ellipsis")
    for number, line in enumerate(lines):
        line.truncate(width - 1, overflow="ellipsis")
        joined.append_text(line)
        if number < len(lines) - 1:
            joined.append("\n")
    return joined


def _quote(quote: Quote | None) -> Text:
    if quote is None:
        return Text("no quote yet", "dim")
    text = Text.assemble(
        ("bid ", "dim"), f"{price_text(quote.bid):>11}", ("  ask ", "dim"), f"{price_text(quote.ask):>11}"
    )
    spread = f"  {quote.spread_bps:.1f} bps" if quote.mid > 0 else "  ?"
    text.append(spread, "dim")
    text.append("~" if quote.synthetic else " ", "dim yellow")
    return text


def _position(position: Position | None) -> Text:
    if position is None or position.qty == 0:
        return Text("flat", "dim")
    side = ("long ", "bold green") if position.qty > 0 else ("short ", "bold red")
    text = Text.assemble(side, units_text(abs(position.qty)), (" at ", "dim"))
    text.append(price_text(position.avg_entry_price))
    if position.mark is None:
        return text
    profit = (position.mark - position.avg_entry_price) * position.qty
    text.append("  ")
    text.append_text(signed(profit))
    return text


def _exits(board: Board, symbol: Symbol, position: Position | None) -> Text:
    levels = board.levels.get(symbol)
    if levels is None or position is None or position.qty == 0:
        return Text()
    return Text.assemble(
        ("stop ", "dim"), (price_text(levels.stop), "red"),
        ("  target ", "dim"), (price_text(levels.target), "green"), "   ",
    )  # fmt: skip


def _forecast(board: Board, symbol: Symbol, quote: Quote | None, width: int) -> Text:
    """The next bar's median low, close and high; drawn to scale where there is room, `│` being the market."""
    forecast = board.forecasts.get(symbol)
    if forecast is None:
        return Text.assemble(" " * 10, ("no forecast yet", "dim"))
    low, close, high = median_bar(forecast)
    text = Text.assemble(" " * 10, ("low ", "dim"), (price_text(low), "magenta"))
    text.append_text(_ruler(low, close, high, float(quote.mid) if quote is not None else None, width))
    text.append_text(Text.assemble(("high ", "dim"), (price_text(high), "magenta")))
    return text.append_text(Text.assemble(("   close ", "dim"), (price_text(close), "bold magenta")))


def _ruler(low: float, close: float, high: float, market: float | None, width: int) -> Text:
    if width < NARROW or not high > low:
        return Text("  ")

    def place(price: float) -> int:
        return min(_RULER - 1, max(0, round((price - low) / (high - low) * (_RULER - 1))))

    cells = [("─", "magenta")] * _RULER
    cells[place(close)] = ("●", "bold magenta")
    if market is not None:
        beyond = market < low or market > high
        cells[place(market)] = ("◂" if market < low else "▸", "yellow") if beyond else ("│", "bold white")
    return Text.assemble(" ├", *cells, "┤ ")


# ---- news ----


@dataclass(slots=True)
class _Line:
    at: datetime | None
    kind: str
    text: str
    times: int = 1


def news_lines(board: Board, count: int) -> list[Text]:
    """The newest at the bottom; a denial that only repeats itself is one line."""
    lines: list[_Line] = []
    last_denial: dict[str, _Line] = {}
    for at, kind, text in list(board.events):
        subject = text.partition(":")[0]
        last = last_denial.get(subject) if kind == "denied" else None
        line = _Line(at, kind, text)
        if last is not None and last in lines[-len(board.symbols) :]:
            lines.remove(last)
            line.times = last.times + 1
        lines.append(line)
        if kind == "denied":
            last_denial[subject] = line
    return [_news_line(line) for line in lines[-count:]]


def _news_line(line: _Line) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{line.at:%m-%d %H:%M:%S} " if line.at else "", "dim")
    text.append(f"{line.kind:<8} ", COLOURS.get(line.kind, "white"))
    text.append(printable(" ".join(line.text.split())), "dim" if line.kind == "denied" else "")
    if line.times > 1:
        text.append(f"  ({line.times} times)", "dim")
    return text
