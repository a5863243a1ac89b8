"""Strategies: one file each with `Params` (a frozen dataclass) and `decide(view, params)`. This folder is the menu.

Others come from installed packages (entry points `trader.strategies`) or from a file of one's own, by its path. A name
taken twice is an error whoever takes it: an operator must know which code answers to a name.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from trader.core.names import shown_strategy
from trader.strategies import _by_path
from trader.strategies._params import params_from, problem_of, text_of

if TYPE_CHECKING:  # numpy comes with it, and every command asks for the names
    from trader.core.decision import MarketView, Signal

GROUP = "trader.strategies"
BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy. `params` gives what `decide` takes; both are its author's own.

    name    as the journal keeps it: of a file its path and the hash of its content
    source  "built in", the distribution that brings it, or "file"
    """

    name: str
    kind: type[Any]
    function: Callable[[MarketView, Any], tuple[Signal, ...]]
    source: str = BUILT_IN
    module: str = ""  # where its code is, dotted
    description: str = ""
    wanted_bars: Callable[[Any], int] | None = None

    def params(self, given: Mapping[str, str]) -> Any:
        """Typed parameters from text; those not given keep their defaults. Raises ValueError, one line."""
        return params_from(shown_strategy(self.name).partition("@")[0], self.kind, given)

    def texts(self) -> dict[str, str]:
        """Every parameter with its default, as it would be written in a setting."""
        usual = self.kind()
        return {field: text_of(getattr(usual, field)) for field in self.kind.__dataclass_fields__}

    def bars(self, params: Any) -> int:
        """How many closed bars of each symbol `decide` looks at: the module's own `bars(params)`, else none. Raises
        ValueError."""
        count: object = 0 if self.wanted_bars is None else self.wanted_bars(params)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"strategy {shown_strategy(self.name)}: bars(params) is {count!r}, not a number of bars")
        return count

    def decide(self, view: MarketView, params: Any) -> tuple[Signal, ...]:
        return self.function(view, params)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyInfo:
    """One line of the menu. `problem` says why it can't be used."""

    name: str
    source: str
    description: str
    params: tuple[str, ...] = ()
    problem: str = ""


class Names(Collection[str]):
    """What can be chosen, sorted. Installed packages are only looked at for a name that is not built in."""

    def __contains__(self, name: object) -> bool:
        return name in _built_in() or name in _entries()

    def __iter__(self) -> Iterator[str]:
        return iter(_entries())

    def __len__(self) -> int:
        return len(_entries())


def names() -> Names:
    return Names()


def available() -> list[StrategyInfo]:
    """Every strategy, by name. One that can't be loaded is listed with the reason."""
    return [_info(name, point) for name, point in _entries().items()]


def find(name: str) -> Strategy:
    """The strategy of that name, or in the file of that path. Raises ValueError, one line, with what there is."""
    if "/" in name or name.endswith(".py"):
        full, module = _by_path.load(name)
        return _strategy(full, "file", module)
    entries = _entries()
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1, cutoff=0.6)
        raise ValueError(f"no strategy {name!r} ({f'{near[0]}?' if near else 'there is: ' + ', '.join(entries)})")
    return _of_package(name, entries[name])


def _built_in() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def _entries() -> dict[str, EntryPoint | None]:
    """By name, sorted; None is one of our own. Nothing is imported but the metadata of installed packages."""
    entries: dict[str, EntryPoint | None] = dict.fromkeys(_built_in())
    for point in entry_points(group=GROUP):
        if point.name in entries:
            raise ValueError(f"the strategy name {point.name!r} is taken twice, the second time by {_package(point)}")
        entries[point.name] = point
    return dict(sorted(entries.items()))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"


def _of_package(name: str, point: EntryPoint | None) -> Strategy:
    if point is None:
        return _strategy(name, BUILT_IN, importlib.import_module(f"{__name__}.{name}"))
    try:
        module = point.load()
    except Exception as error:
        raise ValueError(f"strategy {name!r} ({_package(point)}) can't be loaded: {error!r}") from error
    return _strategy(name, _package(point), module)


def _strategy(name: str, source: str, module: object) -> Strategy:
    """`module` is a module, or any object that has the same."""
    kind, function = getattr(module, "Params", None), getattr(module, "decide", None)
    if kind is None or not callable(function):
        raise ValueError(f"strategy {name} ({source}) needs Params (a frozen dataclass) and decide(view, params)")
    if problem := problem_of(kind):
        raise ValueError(f"strategy {name} ({source}): {problem}")
    description = (getattr(module, "__doc__", None) or "").strip().partition("\n")[0]
    wanted_bars = getattr(module, "bars", None)
    return Strategy(name, kind, function, source, getattr(kind, "__module__", ""), description, wanted_bars)


def _info(name: str, point: EntryPoint | None) -> StrategyInfo:
    source = BUILT_IN if point is None else _package(point)
    try:
        found = _of_package(name, point)
    except ValueError as error:
        return StrategyInfo(name=name, source=source, description="", problem=str(error))
    params = tuple(found.kind.__dataclass_fields__)
    return StrategyInfo(name=name, source=source, description=found.description, params=params)
