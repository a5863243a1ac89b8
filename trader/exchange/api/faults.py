"""Scripted, seeded trouble: what `--faults FILE` (or POST /sim/faults) makes the exchange do.

The file is JSON: {"seed": 7, "rules": [{"on": {...}, "do": {...}}, ...]}. Rules are asked in order; each one that
fires does its thing (a request can meet several). Equal scripts and equal requests give equal trouble.

`on`: which happenings, and how often. All that is given must hold.
  method       GET, POST, PATCH or DELETE
  path         a regular expression, found anywhere in the request's path
  symbol       as in orders (BTC/USD): the request's path, query or body names it; for stream rules: the order's symbol
  event        stream rules only: new, fill, partial_fill, canceled ...
  after_n      the first n matches pass untouched (the ones below count from there)
  nth          only the nth match (1 is the first), or a list of them
  every        each nth match
  probability  each match with this chance, from the seed
  from, until  market times between which the rule is awake
`do`: exactly one of
  delay_s: 0.5                  answer late
  timeout_before: 30            say nothing for so many seconds, then hang up; the request is never looked at
  timeout_after: 30             likewise, after the request was carried out
  reset_before: true            hang up at once (RST), the request is never looked at
  reset_after: true             likewise, after the request was carried out
  status: 503                   that answer instead; with "after": true the request was carried out all the same
  html: true                    a proxy's HTML error page ("status" 502 unless given, "after" as above)
  empty_positions: true         GET /v2/positions says that there are none
  clock_skew_s: 3600            GET /v2/clock is wrong by so much
  quote: "zero"|"crossed"|"stale"|"one_sided"|"absent"|"locked"   what the data API says of the book (the true one
                                goes on trading); "age_s" is a stale one's age (3600)
  halt: true|false              trading in `symbol` stops or resumes
  stream: "drop"|"disconnect"|"mute"|"duplicate"|"reorder"|"garbage"   the trade-update stream loses the event; hangs up
                                instead of sending it; sends nothing any more on the connections of that moment; sends
                                it twice; sends it after the next one; sends junk before it
  partial_fill: 0.25            only so much of each phase's volume is there to fill orders in `symbol`
`halt` and `partial_fill` need `on.symbol`. partial_fill, and a halt without method and path, take nothing else but
from and until, and hold for as long as market time is in between.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from trader.core.types import ZERO, Quote, Symbol
from trader.exchange.api.parse import BadRequest, to_moment

QUOTE_KINDS = ("zero", "crossed", "stale", "one_sided", "absent", "locked")
STREAM_KINDS = ("drop", "disconnect", "mute", "duplicate", "reorder", "garbage")
BEFORE = ("timeout_before", "reset_before")
AFTER = ("timeout_after", "reset_after")
_ON = frozenset(["method", "path", "symbol", "event", "after_n", "nth", "every", "probability", "from", "until"])
_EXTRA = {"status": {"after"}, "html": {"status", "after"}, "quote": {"age_s"}}
_ACTIONS = (
    "delay_s", "timeout_before", "timeout_after", "reset_before", "reset_after", "html", "status", "empty_positions",
    "clock_skew_s", "quote", "halt", "stream", "partial_fill",
)  # fmt: skip


class FaultError(ValueError):
    """The script is wrong; the message says which rule and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    action: str
    amount: float = 0.0  # seconds, or a share
    kind: str = ""  # of quote and stream faults
    flag: bool = True
    status: int = 0
    after: bool = False
    method: str | None = None
    path: re.Pattern[str] | None = None
    symbol: Symbol | None = None
    event: str | None = None
    after_n: int = 0
    nth: tuple[int, ...] = ()
    every: int = 0
    probability: float | None = None
    start: datetime | None = None
    until: datetime | None = None

    def awake(self, now: datetime) -> bool:
        return (self.start is None or now >= self.start) and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A request, or an event about to be streamed. `text` is where a symbol is looked for."""

    now: datetime
    method: str = ""
    path: str = ""
    text: str = ""
    event: str = ""


class Faults:
    """The rules with their counters. One lot of matches is counted for each rule."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 1) -> None:
        self.rules = tuple(rules)
        self.fired = [0] * len(self.rules)
        self._matched = [0] * len(self.rules)
        self._dice = [random.Random(f"{seed}:{number}") for number in range(len(self.rules))]

    @classmethod
    def load(cls, path: Path) -> Faults:
        """Raises FaultError, OSError."""
        try:
            script = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FaultError(f"{path}: not JSON: {error}") from error
        return cls.of(script)

    @classmethod
    def of(cls, script: Any) -> Faults:
        """From the parsed file. Raises FaultError."""
        if not isinstance(script, dict) or set(script) - {"seed", "rules"} or not isinstance(script.get("rules"), list):
            raise FaultError('a fault script is {"seed": N, "rules": [...]}')
        seed = script.get("seed", 1)
        if isinstance(seed, bool) or not isinstance(seed, int | Decimal):
            raise FaultError("seed must be an integer")
        return cls([_rule(raw, number) for number, raw in enumerate(script["rules"], 1)], int(seed))

    def request(self, happening: Happening) -> list[Rule]:
        """The rules that fire on this request, other than stream rules and those that follow the clock."""
        return [
            rule
            for number, rule in enumerate(self.rules)
            if rule.action != "stream" and not _follows_clock(rule) and self._fires(number, rule, happening)
        ]

    def stream(self, happening: Happening) -> list[Rule]:
        return [
            rule
            for number, rule in enumerate(self.rules)
            if rule.action == "stream" and self._fires(number, rule, happening)
        ]

    def by_clock(self) -> Iterator[Rule]:
        """Halts and thin markets that hold while market time is in their window."""
        return (rule for rule in self.rules if _follows_clock(rule))

    def _fires(self, number: int, rule: Rule, happening: Happening) -> bool:
        if not _matches(rule, happening):
            return False
        self._matched[number] += 1
        fires = self._due(number, rule, self._matched[number] - rule.after_n)
        self.fired[number] += fires
        return fires

    def _due(self, number: int, rule: Rule, count: int) -> bool:
        if count < 1:
            return False
        if rule.nth and count not in rule.nth:
            return False
        if rule.every and count % rule.every:
            return False
        return rule.probability is None or self._dice[number].random() < rule.probability


def spoiled(quote: Quote, rule: Rule) -> Quote | None:
    """What the data API says instead of `quote`."""
    if rule.kind == "absent":
        return None
    if rule.kind == "zero":
        return replace(quote, bid=ZERO, ask=ZERO, bid_size=ZERO, ask_size=ZERO)
    if rule.kind == "one_sided":
        return replace(quote, ask=ZERO, ask_size=ZERO)
    if rule.kind == "crossed":
        return replace(quote, bid=quote.ask, ask=quote.bid)
    if rule.kind == "locked":
        return replace(quote, bid=quote.ask)
    return replace(quote, at=quote.at - timedelta(seconds=rule.amount))


def _follows_clock(rule: Rule) -> bool:
    return rule.action in ("halt", "partial_fill") and rule.method is None and rule.path is None


def _matches(rule: Rule, happening: Happening) -> bool:
    if not rule.awake(happening.now):
        return False
    if rule.method is not None and rule.method != happening.method:
        return False
    if rule.event is not None and rule.event != happening.event:
        return False
    if rule.path is not None and rule.path.search(happening.path) is None:
        return False
    halting = rule.action in ("halt", "partial_fill")  # there the symbol says what is halted, not what is asked for
    return halting or rule.symbol is None or _names(rule.symbol, happening.text)


def _names(symbol: Symbol, text: str) -> bool:
    return symbol.text in text or re.search(rf"\b{re.escape(symbol.position_name)}\b", text) is not None


# ---- reading a rule ----


def _rule(raw: Any, number: int) -> Rule:
    where = f"rule {number}"
    if not isinstance(raw, dict) or set(raw) - {"on", "do"} or not isinstance(raw.get("do"), dict):
        raise FaultError(f'{where}: a rule is {{"on": {{...}}, "do": {{...}}}}')
    on, do = raw.get("on", {}), raw["do"]
    if not isinstance(on, dict) or set(on) - _ON:
        raise FaultError(f"{where}: `on` takes {', '.join(sorted(_ON))}")
    rule = replace(_action(do, where), **_conditions(on, where))
    if rule.action in ("halt", "partial_fill") and rule.symbol is None:
        raise FaultError(f"{where}: {rule.action} needs on.symbol")
    by_clock = rule.action == "partial_fill" or _follows_clock(rule)
    if by_clock and set(on) - {"symbol", "from", "until"}:
        raise FaultError(f"{where}: here `on` takes symbol, from and until alone")
    return rule


def _action(do: Mapping[str, Any], where: str) -> Rule:
    named = [name for name in _ACTIONS if name in do]
    action = named[0] if named else ""
    if not named or set(do) - {action} - _EXTRA.get(action, set()):
        raise FaultError(f"{where}: `do` takes exactly one of {', '.join(_ACTIONS)}")
    value, after = do[action], bool(do.get("after", False))
    if action in ("delay_s", "timeout_before", "timeout_after", "clock_skew_s", "partial_fill"):
        return Rule(action=action, amount=_number(value, f"{where}: {action}"))
    if action in ("quote", "stream"):
        kinds = QUOTE_KINDS if action == "quote" else STREAM_KINDS
        if value not in kinds:
            raise FaultError(f"{where}: {action} must be one of {', '.join(kinds)}")
        return Rule(action=action, kind=value, amount=_number(do.get("age_s", 3600), f"{where}: age_s"))
    if action in ("status", "html"):
        status = int(_number(do.get("status", 502), f"{where}: status"))
        if not 400 <= status <= 599:
            raise FaultError(f"{where}: status must be from 400 to 599")
        return Rule(action=action, status=status, after=after)
    if not isinstance(value, bool):
        raise FaultError(f"{where}: {action} must be true or false")
    return Rule(action=action, flag=value)


def _conditions(on: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        if "method" in on:
            found["method"] = str(on["method"]).upper()
        if "path" in on:
            found["path"] = re.compile(str(on["path"]))
        if "symbol" in on:
            found["symbol"] = Symbol(str(on["symbol"]))
        if "event" in on:
            found["event"] = str(on["event"])
        if "nth" in on:
            many = on["nth"] if isinstance(on["nth"], list) else [on["nth"]]
            found["nth"] = tuple(int(_number(n, f"{where}: nth")) for n in many)
        for name in ("after_n", "every"):
            if name in on:
                found[name] = int(_number(on[name], f"{where}: {name}"))
        if "probability" in on:
            found["probability"] = _number(on["probability"], f"{where}: probability")
        for name, field in (("from", "start"), ("until", "until")):
            if name in on:
                found[field] = to_moment(str(on[name]), name)
    except (re.error, ValueError, BadRequest) as error:
        raise FaultError(f"{where}: {error}") from error
    return found


def _number(raw: Any, what: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        raise FaultError(f"{what} must be a number")
    try:
        value = float(raw)
    except (OverflowError, InvalidOperation) as error:
        raise FaultError(f"{what} is out of range") from error
    if not abs(value) < 1e9:
        raise FaultError(f"{what} is out of range")
    return value
