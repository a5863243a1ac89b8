"""HTML out of values: everything is escaped unless it is `Raw`, which only our own functions make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from html import escape

MINUS, DASH = "\u2212", "\u2013"


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def raw(text: str) -> Raw:
    return Raw(text)


def text_of(value: object) -> str:
    return str(value) if isinstance(value, Raw) else escape(str(value))


def el(tag: str, *inside: object, kind: str = "", style: str = "") -> Raw:
    """One element around its contents."""
    attributes = (f' class="{escape(kind)}"' if kind else "") + (f' style="{escape(style)}"' if style else "")
    return Raw(f"<{tag}{attributes}>{''.join(text_of(each) for each in inside)}</{tag}>")


def section(name: str, title: str, *inside: str, note: str = "") -> Raw:
    """A part of the page. `inside` is HTML."""
    said = el("p", note, kind="note") if note else ""
    return Raw(f'<section id="{escape(name)}">{el("h2", title)}{said}{"".join(inside)}</section>')


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, kind: str = "") -> Raw:
    """It scrolls in its own box where it is wider than the page. The first column is text, the others numbers."""
    top = "".join(f'<th scope="col">{text_of(each)}</th>' for each in head)
    lines = "".join(
        "<tr>"
        + "".join(text_of(cell) if isinstance(cell, Raw) and cell.startswith("<td") else el("td", cell) for cell in row)
        + "</tr>"
        for row in rows
    )
    frame = f'<div class="scroll" tabindex="0"><table class="{escape(kind)}">'
    return Raw(f"{frame}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>")


def legend(*entries: tuple[str, str]) -> Raw:
    """(class of the line, what it is)."""
    return el("ul", *(el("li", el("i", kind=kind), text) for kind, text in entries), kind="legend")


# ---- numbers ----


def percent(value: float | None, *, signed: bool = True, digits: int | None = None) -> str:
    """A plain ratio as percent; more digits for small ones."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value) * 100
    places = digits if digits is not None else 0 if size >= 100 else 1 if size >= 10 else 2
    text = f"{value * 100:{'+' if signed else ''}.{places}f}%"
    return _minus(text if text.strip("+-0.%") else text.lstrip("+-"))


def money(value: Decimal | float | None, *, signed: bool = False, digits: int = 0) -> str:
    if value is None:
        return DASH
    return _minus(f"{float(value):{'+' if signed else ''},.{digits}f}")


def number(value: float | None, digits: int = 2) -> str:
    if value is None or not math.isfinite(value):
        return DASH
    return _minus(f"{value:.{digits}f}")


def price(value: Decimal | float) -> str:
    """Five significant digits at least, and no more than are of use."""
    size = abs(float(value))
    places = 2 if size >= 100 else 4 if size >= 1 else 8
    return f"{float(value):,.{places}f}"


def coloured(text: str, value: Decimal | float | None) -> Raw:
    """In the colour of a gain or a loss; the sign says it too."""
    kind = "" if value is None or value == 0 else "gain" if value > 0 else "loss"
    return el("span", text, kind=kind)


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
