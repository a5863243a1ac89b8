"""Scripted, seeded trouble: what `--faults FILE` (or POST /sim/faults) makes the exchange do.

The file is JSON: {"seed": 7, "rules": [{"name": "...", "on": {...}, "do": {...}}, ...]}. Rules are asked in order;
each one that fires does its thing (a request can meet several). Equal scripts and equal requests give equal trouble.
`name` is for PUT and DELETE /sim/faults/NAME, which set, replace and end one rule while the exchange runs.

`on`: which happenings, and how often. All that is given must hold.
  endpoint     a name or a list of names: account, configuration, portfolio_history, activities, positions, position,
               close, close_all, orders, order (by id), order_by_client_id, submit, replace, cancel, cancel_all, clock,
               calendar, assets, asset, quotes, bars, trades, orderbooks, snapshots
  method       GET, POST, PATCH or DELETE
  path         a regular expression, found anywhere in the request's path
  symbol       as in orders (BTC/USD): the request's path, query or body names it; for stream rules: the order's symbol;
               for the faults on contents below: the entries that it acts on
  order        a regular expression, found in the request's path, query or body (an id, a client id); for the faults on
               contents: in the ids of the entries that it acts on
  side, type   of an order that is sent (sell, stop_limit)
  event        stream rules only: new, fill, partial_fill, canceled ...
  after_n      the first n matches pass untouched (the ones below count from there)
  nth          only the nth match (1 is the first), or a list of them
  every        each nth match
  count        at most so many times in all
  probability  each match with this chance, from the seed
  from, until  market times between which the rule is awake
  wall_from_s, wall_until_s   seconds of real time since the rule was set, between which it is awake
`do`: exactly one of
  delay_s: 0.5                  answer late
  timeout_before: 30            say nothing for so many seconds, then hang up; the request is never looked at
  timeout_after: 30             likewise, after the request was carried out
  reset_before: true            hang up at once (RST), the request is never looked at
  reset_after: true             likewise, after the request was carried out
  status: 503                   that answer instead; with "after": true the request was carried out all the same. Its
                                body is the usual one, or "code" (null: none) and "message", or "body": any JSON, or a
                                text as it is ("": empty). A status below 400 needs one of them. "retry_after_s"
  html: true                    a proxy's HTML error page ("status" 502 unless given, "after" as above)
  empty_positions: true         GET /v2/positions says that there are none
  clock_skew_s: 3600            GET /v2/clock is wrong by so much
  quote: KIND                   what the data API says of the book (the true one goes on trading): zero, crossed,
                                one_sided, absent, locked; stale ("age_s", 3600), frozen (price and time as first met),
                                stuck (the price alone), absurd ("bid", "ask"), swapped ("with": another symbol's)
  halt: true|false              trading in `symbol` stops or resumes
  stream: "drop"|"disconnect"|"mute"|"duplicate"|"reorder"|"garbage"   the trade-update stream loses the event; hangs up
                                instead of sending it; sends nothing any more on the connections of that moment; sends
                                it twice; sends it after the next one; sends junk before it
  partial_fill: 0.25            only so much of each phase's volume is there to fill orders in `symbol`
  asset: {...}                  the rules of `symbol` are others, and the venue keeps to them: tick, lot, min_size,
                                tradable (false: what is held may be left, nothing opened), shortable, easy_to_borrow,
                                delisted (true: its orders end, nothing is accepted any more)
  post: {...}                   an activity that is no fill: "type" (CSD, CSW, DIV, INT, FEE, CFEE, JNLC, JNLS, SPLIT,
                                ..., any word), "net_amount", "qty" (of `symbol`: units that move, but a dividend's),
                                "price", "description"; "late_s": listed so long after it moved them. Once: at `from`,
                                or at once
  accept_s: 5                   a submitted order arrives so many market seconds later; until then it is pending_new
  reject_late: "why"            it is accepted, and rejected when it arrives ("after_s": 1 unless given)
  cancel_s: 300                 a cancel is answered 204 and obeyed so many market seconds later (pending_cancel)
Faults on the contents of an answer; the truth stays as it is:
  lack: true                    entries of `symbol` or `order` are missing; asked for alone they do not exist
  lag_s: 60                     account, positions, orders and activities as they were so many market seconds ago
  shuffle: true                 a list in another order, from the seed
  figure: NAME or names         numbers changed: "times": 10 | "value": anything ("NaN", 0, null) | "frozen": true (as
                                first met) | "swap_with": another symbol's | "yesterday": true (of mark: the last close
                                before this day). Names: equity, cash, buying_power (account);
                                qty, qty_available, avg_price, mark, market_value (positions); qty, filled_qty,
                                avg_price, limit_price, stop_price (orders); qty, price, net_amount (activities); tick,
                                lot, min_size (assets); bid, ask, bid_size, ask_size (quotes); open, high, low, close,
                                volume (bars)
  set: {"status": "held"}       fields of the entries of `symbol` or `order` told otherwise, any JSON
  inject: {...} or a list       raw entries that a list gets besides: an order of several legs, a name nobody can read
`halt`, `partial_fill` and `asset` need `on.symbol`. partial_fill, asset and post, and a halt without endpoint, method
and path, take nothing else but from and until, and hold for as long as market time is in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from trader.core.types import Symbol
from trader.exchange.api.answer_changes import ENTRIES_IN, FIGURES
from trader.exchange.api.endpoints import ACCOUNT, ACTIVITIES, ENDPOINTS, ORDERS, POSITIONS
from trader.exchange.api.faults import FaultError, Faults, Figures, Page, Rule, follows_clock
from trader.exchange.api.parse import BadRequest, to_moment
from trader.exchange.api.posting import entry_of, read_entry
from trader.exchange.market.listings import Listing

QUOTE_KINDS = ("zero", "crossed", "stale", "one_sided", "absent", "locked", "frozen", "stuck", "absurd", "swapped")
STREAM_KINDS = ("drop", "disconnect", "mute", "duplicate", "reorder", "garbage")
_ON = (
    "endpoint", "method", "path", "symbol", "order", "side", "type", "event", "after_n", "nth", "every", "count",
    "probability", "from", "until", "wall_from_s", "wall_until_s",
)  # fmt: skip
_PAGE = {"after", "code", "message", "body", "retry_after_s"}
_EXTRA = {
    "status": _PAGE,
    "html": {"status", "after", "retry_after_s"},
    "quote": {"age_s", "bid", "ask", "with"},
    "figure": {"times", "value", "frozen", "swap_with", "yesterday"},
    "reject_late": {"after_s"},
}
_SECONDS = (
    "delay_s", "timeout_before", "timeout_after", "clock_skew_s", "partial_fill", "lag_s", "accept_s", "cancel_s",
)  # fmt: skip
_ACTIONS = (
    "delay_s", "timeout_before", "timeout_after", "reset_before", "reset_after", "html", "status", "empty_positions",
    "clock_skew_s", "quote", "halt", "stream", "partial_fill", "lack", "lag_s", "shuffle", "figure", "set", "inject",
    "accept_s", "reject_late", "cancel_s", "asset", "post",
)  # fmt: skip
_LAGGING = ACCOUNT | POSITIONS | ORDERS | ACTIVITIES
_PLACES = {
    "lag_s": _LAGGING,
    "accept_s": frozenset(["submit"]),
    "cancel_s": frozenset(["cancel", "cancel_all"]),
}
_LISTS = frozenset(["positions", "orders", "activities", "assets", "calendar"])


def load(path: Path) -> Faults:
    """From a file. Raises FaultError, OSError."""
    try:
        script = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FaultError(f"{path}: not JSON: {error}") from error
    return faults_of(script)


def faults_of(script: Any) -> Faults:
    """From the parsed file. Raises FaultError."""
    if not isinstance(script, dict) or set(script) - {"seed", "rules"} or not isinstance(script.get("rules"), list):
        raise FaultError('a fault script is {"seed": N, "rules": [...]}')
    seed = script.get("seed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int | Decimal):
        raise FaultError("seed must be an integer")
    rules = [read_rule(raw, f"rule {number}") for number, raw in enumerate(script["rules"], 1)]
    names = [rule.name for rule in rules if rule.name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FaultError(f"two rules are named {twice!r}")
    return Faults(rules, int(seed))


def read_rule(raw: Any, where: str) -> Rule:
    """One rule of a script. Raises FaultError, which begins with `where`."""
    if not isinstance(raw, dict) or set(raw) - {"name", "on", "do"} or not isinstance(raw.get("do"), dict):
        raise FaultError(f'{where}: a rule is {{"on": {{...}}, "do": {{...}}}}, and a "name" if you like')
    on, do, name = raw.get("on", {}), raw["do"], raw.get("name", "")
    if not isinstance(name, str) or "/" in name:
        raise FaultError(f"{where}: name must be a text without a slash")
    if not isinstance(on, dict):
        raise FaultError(f"{where}: `on` is an object")
    _known(on, _ON, f"{where}: `on`")
    rule = replace(_action(do, where), name=name, **_conditions(on, where))
    if rule.entry is not None:
        rule = replace(rule, entry=entry_of(rule.entry, rule.symbol, rule.start, name or where, where))
    if rule.action in ("halt", "partial_fill", "asset") and rule.symbol is None:
        raise FaultError(f"{where}: {rule.action} needs on.symbol")
    by_clock = rule.action in ("partial_fill", "asset", "post") or follows_clock(rule)
    if by_clock and set(on) - {"symbol", "from", "until"}:
        raise FaultError(f"{where}: here `on` takes symbol, from and until alone")
    _content(rule, where)
    return rule


def _content(rule: Rule, where: str) -> None:
    """What the faults on contents need besides."""
    if rule.action in ("lack", "set") and rule.symbol is None and rule.order is None and rule.endpoints is None:
        raise FaultError(f"{where}: {rule.action} needs on.symbol, on.order or on.endpoint: which entries?")
    if rule.action in ("inject", "shuffle") and not (rule.endpoints and rule.endpoints <= _LISTS):
        raise FaultError(f"{where}: {rule.action} needs on.endpoint, of {', '.join(sorted(_LISTS))}")
    swapping = rule.kind == "swapped" or (rule.figures is not None and rule.figures.swap_with is not None)
    if swapping and rule.symbol is None:
        raise FaultError(f"{where}: a swap needs on.symbol, the other one of the two")
    if rule.applies_to is not None and rule.endpoints is not None and not rule.endpoints & rule.applies_to:
        places = ", ".join(sorted(rule.applies_to))
        raise FaultError(f"{where}: {rule.action} acts on {places}, not on {', '.join(sorted(rule.endpoints))}")


def _known(fields: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
    unknown_names = sorted(set(fields) - set(names))
    if unknown_names:
        raise FaultError(f"{what} has no {', '.join(unknown_names)}; it takes {', '.join(names)}")


# ---- what it does ----


def _action(do: Mapping[str, Any], where: str) -> Rule:
    actions = [name for name in _ACTIONS if name in do]
    action = actions[0] if actions else ""
    if not actions or set(do) - {action} - _EXTRA.get(action, set()):
        extra = f" ({action} also {', '.join(sorted(_EXTRA[action]))})" if action in _EXTRA else ""
        odd_fields = ", ".join(sorted(set(do) - set(_ACTIONS) - _EXTRA.get(action, set()))) or "not that"
        raise FaultError(f"{where}: `do` takes exactly one of {', '.join(_ACTIONS)}{extra}: {odd_fields}")
    value = do[action]
    if action in _SECONDS:
        return Rule(action=action, amount=_number(value, f"{where}: {action}"), applies_to=_PLACES.get(action))
    if action in ("quote", "stream"):
        return _quote(do, where) if action == "quote" else Rule(action=action, kind=_kind(do, action, where))
    if action in ("status", "html"):
        return Rule(action=action, page=_page(do, where))
    if action == "reject_late":
        if not isinstance(value, str) or not value:
            raise FaultError(f"{where}: reject_late takes the reason, a text")
        after_s = _number(do.get("after_s", 1), f"{where}: after_s")
        return Rule(action=action, reason=value, amount=after_s, applies_to=_PLACES["accept_s"])
    if action == "figure":
        return _figure(do, where)
    if action == "asset":
        return Rule(action=action, listing=_listing(value, where))
    if action == "post":
        return Rule(action=action, entry=read_entry(value, where, _number))
    if action == "set":
        if not isinstance(value, dict) or not value:
            raise FaultError(f"{where}: set takes fields and their values")
        return Rule(action=action, told=_plain(value), applies_to=ENTRIES_IN)
    if action == "inject":
        entries = value if isinstance(value, list) else [value]
        return Rule(action=action, entries=tuple(_plain(entry) for entry in entries))
    if not isinstance(value, bool):
        raise FaultError(f"{where}: {action} must be true or false")
    return Rule(action=action, flag=value, applies_to=ENTRIES_IN if action == "lack" else None)


def _kind(do: Mapping[str, Any], action: str, where: str) -> str:
    kinds = QUOTE_KINDS if action == "quote" else STREAM_KINDS
    if do[action] not in kinds:
        raise FaultError(f"{where}: {action} must be one of {', '.join(kinds)}")
    return str(do[action])


def _quote(do: Mapping[str, Any], where: str) -> Rule:
    kind = _kind(do, "quote", where)
    needed_fields = {"absurd": {"bid", "ask"}, "swapped": {"with"}}.get(kind, set())
    missing_fields, odd_fields = needed_fields - set(do), set(do) - {"quote", "age_s"} - needed_fields
    if missing_fields or odd_fields or ("age_s" in do and kind != "stale"):
        raise FaultError(f"{where}: quote {kind} takes {', '.join(sorted(needed_fields)) or 'nothing else'}")
    prices = {side: Decimal(str(_number(do[side], f"{where}: {side}"))) for side in ("bid", "ask") if side in do}
    twin = _symbol(do["with"], where) if "with" in do else None
    return Rule(
        action="quote", kind=kind, amount=_number(do.get("age_s", 3600), f"{where}: age_s"), told=prices, other=twin
    )


def _page(do: Mapping[str, Any], where: str) -> Page:
    status, html = int(_number(do.get("status", 502), f"{where}: status")), "html" in do
    own_fields = {"code", "message", "body"} & set(do)
    if not (400 if html or not own_fields else 200) <= status <= 599:
        raise FaultError(f"{where}: status must be from 400 to 599, or from 200 with a code, message or body")
    if "body" in own_fields and len(own_fields) > 1:
        raise FaultError(f"{where}: either body, or code and message")
    body = _plain(do["body"]) if "body" in own_fields else None
    if own_fields and "body" not in own_fields:
        code = do.get("code", status * 100_000 + 10_000)
        number = {} if code is None else {"code": int(_number(code, f"{where}: code"))}
        body = number | {"message": str(do.get("message", "simulated server error"))}
    wait = do.get("retry_after_s")
    return Page(
        status=status,
        html=html,
        after=bool(do.get("after", False)),
        body=body,
        retry_after_s=None if wait is None else _number(wait, f"{where}: retry_after_s"),
    )


def _figure(do: Mapping[str, Any], where: str) -> Rule:
    names = tuple(do["figure"]) if isinstance(do["figure"], list) else (do["figure"],)
    odd_names = [str(name) for name in names if name not in FIGURES]
    if odd_names or not names:
        raise FaultError(f"{where}: there is no figure {', '.join(odd_names)}; there are {', '.join(sorted(FIGURES))}")
    how = set(do) & _EXTRA["figure"]
    if len(how) != 1 or any(do[name] is not True for name in how & {"frozen", "yesterday"}):
        choices = '"times", "value", "frozen": true, "swap_with" and "yesterday": true'
        raise FaultError(f"{where}: a figure takes one of {choices}")
    if "yesterday" in how and names != ("mark",):
        raise FaultError(f"{where}: yesterday's is known of mark alone")
    figures = Figures(
        names=names,
        times=_number(do["times"], f"{where}: times") if "times" in how else None,
        value=_plain(do.get("value")),
        frozen="frozen" in how,
        yesterday="yesterday" in how,
        swap_with=_symbol(do["swap_with"], where) if "swap_with" in how else None,
    )
    places = frozenset(place for name in names for place in FIGURES[name])
    return Rule(action="figure", figures=figures, applies_to=places)


def _listing(raw: Any, where: str) -> Listing:
    steps, flags = ("tick", "lot", "min_size"), ("tradable", "shortable", "easy_to_borrow", "delisted")
    if not isinstance(raw, dict) or not raw:
        raise FaultError(f"{where}: asset takes some of {', '.join((*steps, *flags))}")
    _known(raw, (*steps, *flags), f"{where}: `asset`")
    fields: dict[str, Any] = {}
    for name, value in raw.items():
        if name in flags and not isinstance(value, bool):
            raise FaultError(f"{where}: {name} must be true or false")
        fields[name] = value if name in flags else Decimal(str(_number(value, f"{where}: {name}")))
        if name in steps and fields[name] <= 0:
            raise FaultError(f"{where}: {name} must be above 0")
    return Listing(**fields)


def _symbol(raw: Any, where: str) -> Symbol:
    try:
        return Symbol(str(raw))
    except ValueError as error:
        raise FaultError(f"{where}: {error}") from error


# ---- when ----


def _conditions(on: Mapping[str, Any], where: str) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    try:
        if "endpoint" in on:
            conditions["endpoints"] = _endpoints(on["endpoint"], where)
        if "method" in on:
            conditions["method"] = str(on["method"]).upper()
        for name in ("path", "order"):
            if name in on:
                conditions[name] = re.compile(str(on[name]))
        if "symbol" in on:
            conditions["symbol"] = Symbol(str(on["symbol"]))
        for name in ("event", "side", "type"):
            if name in on:
                conditions[name] = str(on[name])
        if "nth" in on:
            many = on["nth"] if isinstance(on["nth"], list) else [on["nth"]]
            conditions["nth"] = tuple(int(_number(n, f"{where}: nth")) for n in many)
        for name in ("after_n", "every", "count"):
            if name in on:
                conditions[name] = int(_number(on[name], f"{where}: {name}"))
        for name in ("probability", "wall_from_s", "wall_until_s"):
            if name in on:
                conditions[name] = _number(on[name], f"{where}: {name}")
        for name, field in (("from", "start"), ("until", "until")):
            if name in on:
                conditions[field] = to_moment(str(on[name]), name)
    except (re.error, ValueError, BadRequest) as error:
        text = str(error)
        raise FaultError(text if text.startswith(where) else f"{where}: {text}") from error
    return conditions


def _endpoints(raw: Any, where: str) -> frozenset[str]:
    names = raw if isinstance(raw, list) else [raw]
    unknown_names = [str(name) for name in names if name not in ENDPOINTS]
    if unknown_names or not names:
        raise FaultError(
            f"{where}: no endpoint is named {', '.join(unknown_names)}; there are {', '.join(sorted(ENDPOINTS))}"
        )
    return frozenset(names)


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


def _plain(value: Any) -> Any:
    """JSON as it came, its numbers such as can be written again."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
