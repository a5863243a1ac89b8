"""What every strategy owes the daemon, as checks that anybody can run on a strategy of their own.

    for finding in check_strategy("./my_strategy.py", {"lookback": "5"}):
        print(finding.check, finding.problem or "holds")

`trader strategies check NAME` shows the same as a table. A check says what is wrong in one line; nothing is asserted.
`python -m trader.contracts.strategy NAME`, given the parameters as JSON, prints a hash of all that is decided: another
process must print the same.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from forecasters.checks import Checks, Finding
from settings import children
from trader.adapters.journal.codec import decode, encode
from trader.contracts.situations import reordered, situations
from trader.core.decision import DecisionInputs, Plan, Signal
from trader.core.plan import plan, view_of
from trader.core.signals import sound_signals
from trader.core.types import Symbol
from trader.strategies import Strategy, find

# What would make a decision depend on more than its inputs, or do something besides deciding.
IMPURE = frozenset(
    {"asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "requests", "secrets", "socket"}
    | {"subprocess", "threading", "time", "urllib", "uuid"}
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A strategy under examination, with its parameters as text."""

    strategy: Strategy
    params: Mapping[str, str]

    @cached_property
    def bound(self) -> object:
        return self.strategy.params(self.params)

    @cached_property
    def situations(self) -> tuple[DecisionInputs, ...]:
        return tuple(situations(bars=self.strategy.bars(self.bound)))

    def signals(self, inputs: DecisionInputs) -> tuple[Signal, ...]:
        return self.strategy.decide(view_of(inputs), self.bound)

    def plan(self, inputs: DecisionInputs) -> Plan:
        return plan(inputs, self.signals(inputs))

    def decided(self, inputs: DecisionInputs) -> bytes:
        """All that follows from the inputs, as the journal would keep it."""
        return encode(self.plan(inputs))

    def digest(self) -> str:
        return hashlib.sha256(b"".join(map(self.decided, self.situations))).hexdigest()


Check = Callable[[Subject], str]


_check: Checks[Subject] = Checks()
CHECKS: Mapping[str, Check] = _check.by_name


def check_strategy(name: str, params: Mapping[str, str]) -> Iterator[Finding]:
    """One finding a check, as it is made. Raises ValueError where there is no such strategy or it takes no such
    parameters."""
    strategy = find(name)
    strategy.params(params)
    subject = Subject(strategy=strategy, params=params)
    yield from _check.findings(subject)


def entries_of(subject: Subject) -> int:
    """In how many of the situations something was entered. Not a check: a strategy may never enter."""
    return sum(1 for inputs in subject.situations if subject.plan(inputs).intents)


# ---- its parameters ----


@_check("Params are frozen, and every default is a valid setting")
def _params_are_settings(subject: Subject) -> str:
    strategy = subject.strategy
    if not strategy.kind.__dataclass_params__.frozen:
        return "Params is not frozen: write @dataclass(frozen=True)"
    again = strategy.params(strategy.texts())
    return "" if again == strategy.kind() else f"its defaults, written and read again, are {again}"


# ---- what its decisions may depend on ----


@_check("equal inputs give equal bytes, also after a turn through the journal")
def _equal_inputs_equal_bytes(subject: Subject) -> str:
    for number, inputs in enumerate(subject.situations):
        once = subject.decided(inputs)
        if subject.decided(inputs) != once:
            return f"asked twice in situation {number}, it decides differently"
        if subject.decided(decode(DecisionInputs, encode(inputs))) != once:
            return f"from what the journal kept of situation {number}, it decides differently"
    return ""


@_check("nothing is remembered from one decision to the next")
def _nothing_remembered(subject: Subject) -> str:
    forth = [subject.decided(inputs) for inputs in subject.situations]
    back = [subject.decided(inputs) for inputs in reversed(subject.situations)]
    differing = [
        n for n, (decision, repeat) in enumerate(zip(forth, reversed(back), strict=True)) if decision != repeat
    ]
    return f"after other decisions it decides differently in situation {differing[0]}" if differing else ""


@_check("the order in which symbols come decides nothing")
def _order_is_nothing(subject: Subject) -> str:
    for number, inputs in enumerate(subject.situations):
        if subject.decided(inputs) != subject.decided(reordered(inputs)):
            return f"with its symbols in another order, situation {number} is decided differently"
    return ""


@_check("another process decides the same, whatever its hash seed and threads")
def _other_processes(subject: Subject) -> str:
    command = children.python("trader.contracts.strategy", subject.strategy.name)
    params = json.dumps(dict(subject.params)).encode()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed, "OPENBLAS_NUM_THREADS": seed}
        process = children.run(command, given=params, more=environment)
        if process.returncode:
            return f"in a process of its own it fails: {(process.stderr.strip().splitlines() or ['silently'])[-1]}"
        if process.stdout.strip() != subject.digest():
            return f"a process with PYTHONHASHSEED={seed} decides differently"
    return ""


@_check("it imports no clock, no randomness, no files and no network")
def _imports_are_pure(subject: Subject) -> str:
    source = inspect.getsource(sys.modules[subject.strategy.module])
    impure = sorted({name for name in _imported(ast.parse(source)) if name.partition(".")[0] in IMPURE})
    return f"it imports {', '.join(impure)}: the time is view.now, all else is in the view" if impure else ""


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@_check("its inputs are left as they were")
def _inputs_unchanged(subject: Subject) -> str:
    for number, inputs in enumerate(subject.situations):
        before = encode(inputs)
        subject.signals(inputs)
        if encode(inputs) != before:
            return f"it changes the inputs of situation {number}"
    return ""


# ---- what it may ask for ----


@_check("at most one signal a symbol, each with a reason, none at a price for what is held")
def _signals_are_in_form(subject: Subject) -> str:
    for number, inputs in enumerate(subject.situations):
        signals = subject.signals(inputs)
        if len({signal.symbol for signal in signals}) < len(signals):
            return f"two signals for one symbol in situation {number}"
        for signal in signals:
            if not signal.reason:
                return f"{signal.symbol}: a signal without a reason; the live view and the journal show it"
            if signal.entry_side is not None and signal.symbol in inputs.portfolio.positions:
                return f"{signal.symbol}: an entry where a position is held; a target position is added to (`hold`)"
    return ""


@_check("every entry has its exits in order, on the tick, and is no short where none is allowed")
def _entries_are_in_form(subject: Subject) -> str:
    for inputs in subject.situations:
        for signal in subject.signals(inputs):
            if problem := _target_problem(signal, inputs) if signal.is_target else _entry_problem(signal, inputs):
                return f"{signal.symbol}: {problem}"
    return ""


def _target_problem(signal: Signal, inputs: DecisionInputs) -> str:
    _, unsound = sound_signals([signal])
    if unsound:
        return unsound[0].partition(": ")[2]
    wanted, stop = signal.weight or signal.units or 0, signal.stop
    if wanted and stop is None:
        return "a target position needs a stop"
    off_tick = stop is not None and stop != inputs.instruments[signal.symbol].price_down(stop)
    return f"{stop} is not on the tick of {inputs.instruments[signal.symbol].tick}" if off_tick else ""


def _entry_problem(signal: Signal, inputs: DecisionInputs) -> str:
    if signal.entry_side is None:
        return "an entry price without a side" if signal.entry is not None else ""
    sign, asset = signal.entry_side.sign, inputs.instruments[signal.symbol]
    entry, target, stop = signal.entry, signal.target, signal.stop
    if sign < 0 and not asset.shortable:
        return "a short entry, and the venue lends none"
    if entry is None or target is None or stop is None:
        return "an entry needs entry, target and stop"
    if not stop * sign < entry * sign < target * sign:
        return f"stop {stop}, entry {entry} and target {target} are not in that order"
    off = [str(price) for price in (entry, target, stop) if price != asset.price_down(price)]
    return f"{', '.join(off)} is not on the tick of {asset.tick}" if off else ""


@_check("the risk layer never refuses the form of its levels")
def _risk_accepts_the_form(subject: Subject) -> str:
    for inputs in subject.situations:
        for verdict in subject.plan(inputs).verdicts:
            for denial in verdict.denials:
                if denial.rule == "levels":
                    return f"{verdict.symbol}: {denial.detail}"
    return ""


# ---- what it does with less ----


@_check("without quotes nothing is entered")
def _no_quotes_no_entry(subject: Subject) -> str:
    for inputs in subject.situations:
        if _entered(subject, replace(inputs, quotes={})):
            return "it enters without having seen a quote"
    return ""


@_check("without forecasts nothing is entered")
def _no_forecasts_no_entry(subject: Subject) -> str:
    for inputs in subject.situations:
        if _entered(subject, replace(inputs, forecasts={})):
            return "it enters without a forecast"
    return ""


@_check("it lives with symbols of which one thing or another is missing")
def _copes_with_gaps(subject: Subject) -> str:
    for number, inputs in enumerate(subject.situations):
        first, second, third = inputs.instruments
        gaps = replace(
            inputs,
            quotes={symbol: quote for symbol, quote in inputs.quotes.items() if symbol != first},
            forecasts={symbol: forecast for symbol, forecast in inputs.forecasts.items() if symbol != second},
            instruments={symbol: asset for symbol, asset in inputs.instruments.items() if symbol != third},
            bars={symbol: bars for symbol, bars in inputs.bars.items() if symbol != second},
        )
        if entered := _entered(subject, gaps):
            return f"it enters {entered[0]} with quote, forecast or instrument missing in situation {number}"
    return ""


def _entered(subject: Subject, inputs: DecisionInputs) -> list[Symbol]:
    """What it asks for at a price, and what follows from the positions that it wants."""
    signals = subject.signals(inputs)
    at_a_price = [signal.symbol for signal in signals if signal.entry_side is not None]
    return at_a_price + [intent.symbol for intent in plan(inputs, signals).intents if intent.symbol not in at_a_price]


if __name__ == "__main__":
    print(Subject(strategy=find(sys.argv[1]), params=json.load(sys.stdin)).digest())
