"""The rules of a fault script at work: which of them fire on a request, on a streamed event, or by the clock.

What a script may say is in `fault_script`. Equal scripts and equal requests give equal trouble.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from trader.core.types import Symbol
from trader.exchange.market.listings import Listing

BEFORE = ("timeout_before", "reset_before")
AFTER = ("timeout_after", "reset_after")
# there the symbol says whose entries or whose market it is, not what the request has to name
OWN_SYMBOL = frozenset(["halt", "partial_fill", "asset", "figure", "lack", "lag_s", "set", "inject", "shuffle"])


# where `qty` is units that move; a dividend's are those that it is paid on
WITH_UNITS = frozenset(["CFEE", "FEE", "JNLS", "MA", "NC", "OPASN", "REORG", "SPIN", "SPLIT"])


class FaultError(ValueError):
    """The script is wrong; the message says which rule and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer that is given instead of the venue's. `body` None: the usual error of that status."""

    status: int
    html: bool = False
    after: bool = False  # the request is carried out all the same
    body: Any = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How told numbers are changed. One of the five is set.

    names      of the figures, as in `answer_changes.FIGURES`
    times      factor
    value      told instead; any JSON
    frozen     as they were when the rule first met them
    swap_with  the other symbol, whose figures are told here, and these there
    yesterday  a position's price is the last close before this day
    """

    names: tuple[str, ...]
    times: float | None = None
    value: Any = None
    frozen: bool = False
    swap_with: Symbol | None = None
    yesterday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An activity that is no fill, to be posted. `late_s`: so long after it moved what it moves it is listed."""

    id: str
    kind: str
    cash: Decimal
    qty: Decimal
    symbol: Symbol | None
    price: Decimal | None
    description: str
    late_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: what it does, then when (the part that `on` of the script gives)."""

    action: str
    name: str = ""
    amount: float = 0.0  # seconds, or a share
    kind: str = ""  # of quote and stream faults
    flag: bool = True
    page: Page | None = None
    figures: Figures | None = None
    told: Mapping[str, Any] = field(default_factory=dict)  # a quote's bid and ask, an entry's fields
    entries: tuple[Any, ...] = ()  # JSON that lists get besides
    other: Symbol | None = None  # of a swapped quote
    reason: str = ""  # of a late rejection
    listing: Listing | None = None
    entry: Entry | None = None  # an activity to be posted
    applies_to: frozenset[str] | None = None  # endpoints whose answers it can act on; None: all
    method: str | None = None
    path: re.Pattern[str] | None = None
    endpoints: frozenset[str] | None = None
    symbol: Symbol | None = None
    order: re.Pattern[str] | None = None
    side: str | None = None
    type: str | None = None
    event: str | None = None
    after_n: int = 0
    nth: tuple[int, ...] = ()
    every: int = 0
    count: int | None = None
    probability: float | None = None
    start: datetime | None = None
    until: datetime | None = None
    wall_from_s: float | None = None
    wall_until_s: float | None = None

    def awake(self, now: datetime) -> bool:
        return (self.start is None or now >= self.start) and (self.until is None or now < self.until)

    def by_wall(self, seconds: float) -> bool:
        """Whether its window of wall time is open so many seconds after the rule came."""
        begun = self.wall_from_s is None or seconds >= self.wall_from_s
        return begun and (self.wall_until_s is None or seconds < self.wall_until_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A request, or an event about to be streamed. `text` is where a symbol or an order's id is looked for."""

    now: datetime
    method: str = ""
    path: str = ""
    endpoint: str = ""
    text: str = ""
    event: str = ""
    body: bytes = b""


class _Live:
    """A rule with its counters, its dice and what it has seen."""

    __slots__ = ("began", "dice", "fired", "kept", "matched", "rule")

    def __init__(self, rule: Rule, seed: str, began: float) -> None:
        self.rule, self.began = rule, began
        self.matched = self.fired = 0
        self.dice = random.Random(seed)
        self.kept: dict[str, Any] = {}  # values as they were when the rule first met them

    def fires(self, happening: Happening, wall: float) -> bool:
        if not _matches(self.rule, happening) or not self.rule.by_wall(wall - self.began):
            return False
        self.matched += 1
        fires = self._due(self.matched - self.rule.after_n)
        self.fired += fires
        return fires

    def _due(self, count: int) -> bool:
        rule = self.rule
        if count < 1 or (rule.count is not None and self.fired >= rule.count):
            return False
        if rule.nth and count not in rule.nth:
            return False
        if rule.every and count % rule.every:
            return False
        return rule.probability is None or self.dice.random() < rule.probability


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired, and where it keeps what it has seen."""

    rule: Rule
    kept: dict[str, Any]
    dice: random.Random


class Faults:
    """The rules with their counters. One lot of matches is counted for each rule."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 1, wall: Callable[[], float] = time.monotonic) -> None:
        self._seed, self._wall = seed, wall
        began = wall()
        self._live = [_Live(rule, f"{seed}:{number}", began) for number, rule in enumerate(rules)]

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(live.rule for live in self._live)

    @property
    def fired(self) -> list[int]:
        return [live.fired for live in self._live]

    @property
    def any(self) -> bool:
        return bool(self._live)

    def put(self, rule: Rule) -> None:
        """The rule of that name anew, its counters at nothing; the others go on as they are."""
        place = next((n for n, live in enumerate(self._live) if live.rule.name == rule.name), None)
        fresh = _Live(rule, f"{self._seed}:{rule.name}", self._wall())
        if place is None:
            self._live.append(fresh)
        else:
            self._live[place] = fresh

    def drop(self, name: str) -> bool:
        """Whether there was a rule of that name to take away."""
        before = len(self._live)
        self._live = [live for live in self._live if live.rule.name != name]
        return len(self._live) < before

    def request(self, happening: Happening) -> list[Fired]:
        """The rules that fire on this request, other than stream rules and those that follow the clock."""
        return self._firing(happening, lambda rule: rule.action != "stream" and not follows_clock(rule))

    def stream(self, happening: Happening) -> list[Rule]:
        return [fired.rule for fired in self._firing(happening, lambda rule: rule.action == "stream")]

    def by_clock(self) -> Iterator[Rule]:
        """Halts, thin markets and changed assets that hold while market time is in their window."""
        return (rule for rule in self.rules if follows_clock(rule))

    def _firing(self, happening: Happening, condition: Callable[[Rule], bool]) -> list[Fired]:
        wall = self._wall()
        return [
            Fired(live.rule, live.kept, live.dice)
            for live in self._live
            if condition(live.rule) and live.fires(happening, wall)
        ]


def follows_clock(rule: Rule) -> bool:
    narrowed = rule.method is not None or rule.path is not None or rule.endpoints is not None
    return rule.action in ("halt", "partial_fill", "asset", "post") and not narrowed


def _matches(rule: Rule, happening: Happening) -> bool:
    if not rule.awake(happening.now):
        return False
    if rule.method is not None and rule.method != happening.method:
        return False
    if rule.endpoints is not None and happening.endpoint not in rule.endpoints:
        return False
    if rule.applies_to is not None and happening.endpoint not in rule.applies_to:
        return False
    if rule.event is not None and rule.event != happening.event:
        return False
    if rule.path is not None and rule.path.search(happening.path) is None:
        return False
    if (rule.side is not None or rule.type is not None) and not _is_such_order(rule, happening.body):
        return False
    if rule.action in OWN_SYMBOL:
        return True
    if rule.order is not None and rule.order.search(happening.text) is None:
        return False
    symbols = [symbol for symbol in (rule.symbol, rule.other) if symbol is not None]
    return not symbols or any(_names(symbol, happening.text) for symbol in symbols)


def _is_such_order(rule: Rule, body: bytes) -> bool:
    try:
        order = json.loads(body)
    except ValueError:
        return False
    if not isinstance(order, dict):
        return False
    return rule.side in (None, order.get("side")) and rule.type in (None, order.get("type"))


def _names(symbol: Symbol, text: str) -> bool:
    return symbol.text in text or re.search(rf"\b{re.escape(symbol.position_name)}\b", text) is not None
