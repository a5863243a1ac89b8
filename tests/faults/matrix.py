"""The rows: what goes wrong, and when it counts as survived. Beside each row's own condition the universal pass holds:
what universal.py asserts. From row 41 on something is held unless the row says otherwise, and "protected" means that a
stop rests at the venue or that an alarm is out within a minute.

A test belongs to the rows that its name says: `test_row_07_...`, `test_rows_44_to_46_...`, `test_rows_21_and_22_...`.
One that takes the fixture `scene` or `told` runs the daemon as a process of its own, against the exchange as another.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROCESS_FIXTURES = frozenset({"scene", "told"})
_NAME = re.compile(r"test_rows?_(\d+)(?:_(to|and)_(\d+))?_")


@dataclass(frozen=True, slots=True)
class Row:
    fault: str
    passes: str


ROWS: dict[int, Row] = {
    1: Row("kill -9 at every boundary of intent, POST and commit", "nothing lost, nothing doubled"),
    2: Row("kill -9 while reconciling, again and again", "each fill booked once"),
    3: Row("kill -9 while the journal is upgraded", "the old schema or the new one"),
    4: Row("power loss: what was not synced is gone", "each order that was sent is known"),
    5: Row("timeout after the venue accepted", "one order"),
    6: Row("500, 502, 504 after the venue accepted", "one order"),
    7: Row("reset before the venue looked", "sent again, same id"),
    8: Row("the id is there already", "that order is taken up"),
    9: Row("fills told again", "counted once"),
    10: Row("filled before the POST is answered", "booked"),
    11: Row("partial fills out of order", "exact in the end"),
    12: Row("a cancel that a fill overtakes", "the fill counts"),
    13: Row("an exit replaced while it fills", "never sold twice"),
    14: Row("partly filled, then a crash", "the exit is of what filled"),
    15: Row("fills while the stream is down", "found over REST soon"),
    16: Row("the stream lives and says nothing", "noticed; entries wait"),
    17: Row("reconnecting again and again", "within the venue's limits"),
    18: Row("rubbish on the stream", "put aside, told"),
    19: Row("stale quote", "no entry; exits go on"),
    20: Row("crossed, zero, one-sided, no quote", "no entry"),
    21: Row("a forecast of NaN", "no order"),
    22: Row("low above high, or absurdly far", "no order"),
    23: Row("the backend runs out of memory", "no entry; exits go on"),
    24: Row("the backend hangs", "given up at its deadline; exits go on"),
    25: Row("compiled is not eager", "eager serves"),
    26: Row("the clock jumps, DST", "no bar twice, none left out"),
    27: Row("two hours asleep", "one cycle, of the newest bar"),
    28: Row("disk full", "ends with 74, exits rest"),
    29: Row("the journal is damaged", "refused with 74; a backup serves"),
    30: Row("the journal is locked", "nothing is sent"),
    31: Row("two daemons, one account", "the second is refused"),
    32: Row("an order by hand", "left alone"),
    33: Row("no positions for a moment", "nothing sold, nothing bought"),
    34: Row("a halted symbol", "no loop; left when it trades"),
    35: Row("refused for funds or a wash trade", "terminal, no loop"),
    36: Row("SIGTERM amid an order", "ends soon, the stop rests"),
    37: Row("reload of bad settings", "the old ones go on"),
    38: Row("paper with a live address or key", "refused"),
    39: Row("kill during an outage", "latched; done when it is back"),
    40: Row("nobody takes the alerts", "trading goes on"),
    41: Row("an exit refused: 403 with a code", "that order's trouble; told"),
    42: Row("single 401, or 403 without a code", "asked again, nothing ends"),
    43: Row("401 that stays", "told at once; 77 later; the stop stays"),
    44: Row("activities away for hours", "the fill has its stop"),
    45: Row("look-up by client id away for hours", "the fill has its stop"),
    46: Row("account away for hours", "the fill has its stop"),
    47: Row("no quote while the target rests", "the stop rests instead"),
    48: Row("no quote, and a gap through the stop", "out on the mark"),
    49: Row("exits taken, then rejected", "bounded, told"),
    50: Row("entries taken, then rejected", "no loop; a gate closes"),
    51: Row("one of two positions left out", "its stop stays; told"),
    52: Row("positions a minute late", "protected, no halt"),
    53: Row("activities a minute late, shuffled", "no halt, books exact"),
    54: Row("the orders list leaves out ours", "no second order"),
    55: Row("clock back an hour, requests used up", "requests go on"),
    56: Row("clock steps amid back-offs", "they last as meant"),
    57: Row("the tick changes", "priced anew in the same run"),
    58: Row("least size and lot change", "the same; dust is told"),
    59: Row("halted or delisted while held", "told, no loop, left later"),
    60: Row("no more shorting", "no short entry"),
    61: Row("equity tenfold", "caps of our own; told"),
    62: Row("equity a tenth", "entries wait; nothing sold"),
    63: Row("one tenfold equity", "entries go on"),
    64: Row("cash by a factor or a sign", "nothing traded on it"),
    65: Row("units of a position tenfold, a tenth", "never more sold than booked; told"),
    66: Row("mark or quote absurd", "nothing sold on it"),
    67: Row("two symbols' quotes swapped", "no entry, no exit"),
    68: Row("filled_qty too large, or falling", "books exact; told"),
    69: Row("the strategy raises", "told; exits go on"),
    70: Row("the strategy never returns", "given up; exits go on"),
    71: Row("signals that can't be meant", "denied one by one"),
    72: Row("a fatal end while the target rests", "the stop rests, entries gone"),
    73: Row("disk full while held", "a reserve for exits; told"),
    74: Row("database away while held", "stops stay; exits from the reserve"),
    75: Row("kill, the venue away", "says so; done later"),
    76: Row("kill, the journal away", "latched, obeyed"),
    77: Row("kill, a person's order in the way", "cancelled, sold"),
    78: Row("a second daemon, another folder", "refused"),
    79: Row("holdings from before", "untouched, shown, counted"),
    80: Row("a person's buy blocks our stop", "something rests, or told which"),
    81: Row("fees posted hours later", "no halt; the posted ones count"),
    82: Row("a deposit, a crash, midnight", "counted once"),
    83: Row("what nobody can read", "shown; the rest goes on"),
    84: Row("the process frozen or gone", "the heartbeat stops; status says so"),
    85: Row("venue away, something held", "told within 120 s; all-clear"),
    86: Row("the first submission takes minutes", "no second one on an old quote"),
    87: Row("an exit above the limit of one order", "cut into several"),
    88: Row("a gate closes", "told; room in status; told when open"),
}

# rows without a test that runs the daemon: what there is instead. A row that is in neither is missing.
ELSEWHERE = {
    25: "tests/forecasters/compiled/test_guard.py::test_what_goes_wrong_later_costs_no_forecast",
}
MISSING = frozenset[int]()


@dataclass(frozen=True, slots=True)
class Declared:
    """One test function: `place` is its node id from the root of the checkout, without parameters."""

    place: str
    rows: tuple[int, ...]
    is_process: bool


def rows_of(name: str) -> tuple[int, ...]:
    """The rows that a test's name says; none for a test of something else."""
    found = _NAME.match(name)
    if found is None:
        return ()
    first, how, last = int(found[1]), found[2], int(found[3] or found[1])
    return tuple(range(first, last + 1)) if how == "to" else tuple(dict.fromkeys((first, last)))


def declared(folder: Path = HERE) -> list[Declared]:
    """All tests of rows in `folder`, in the order of their files."""
    return [each for path in sorted(folder.glob("test_*.py")) for each in _in(path)]


def _in(path: Path) -> Iterator[Declared]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and (rows := rows_of(node.name)):
            place = f"{path.relative_to(HERE.parents[1])}::{node.name}"
            fixtures = {argument.arg for argument in node.args.args}
            yield Declared(place, rows, bool(fixtures & PROCESS_FIXTURES))
