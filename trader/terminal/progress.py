"""What a start is doing, at a terminal: a line with its time for each finished step, a bar for the one under way."""

from __future__ import annotations

import re
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

_SHARE = re.compile(r"^(?P<what>.*\S)\s+(?P<percent>\d{1,3})%$")
QUICK_S = 0.05  # a step shorter than this needs no time behind it


class Progress:
    """`say` begins the next step. A text that ends in a percentage moves the bar of its step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._step, self._since, self._running = "", 0.0, False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close("red ✗" if error is not None else "green ✓")

    def say(self, line: str) -> None:
        """From any one thread at a time."""
        found = _SHARE.match(line)
        step = found["what"] if found else line
        if step != self._step:
            self._close("green ✓")
            self._begin(step)
        if found:
            self._bars.update(self._bars.task_ids[-1], total=100, completed=int(found["percent"]))

    def done(self) -> None:
        """The step under way is the last one for now: the screen is wanted."""
        self._close("green ✓")

    def _begin(self, step: str) -> None:
        self._step, self._since = step, time.monotonic()
        self._bars.add_task(step, total=None)
        self._bars.start()
        self._running = True

    def _close(self, mark: str) -> None:
        if not self._running:
            return
        self._running = False
        self._bars.stop()
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        took = time.monotonic() - self._since
        colour, sign = mark.split()
        after = f"  [dim]{took:.1f} s[/]" if took >= QUICK_S else ""
        self._console.print(f"[{colour}]{sign}[/] {self._step}{after}", highlight=False)
        self._step = ""
