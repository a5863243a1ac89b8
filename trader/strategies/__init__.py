"""Strategies: one file each with `Params` (a frozen dataclass) and `decide(view, params)`. This folder is the menu."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:  # numpy comes with it, and every command asks for the names
    from trader.core.decision import MarketView, Signal


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy, found by name. `params` gives what `decide` takes; both are the file's own."""

    name: str
    kind: type[Any]
    function: Callable[[MarketView, Any], tuple[Signal, ...]]

    def params(self, given: Mapping[str, str]) -> Any:
        """Typed parameters from text; those not given keep their defaults. Raises ValueError, one line."""
        hints = get_type_hints(self.kind)
        known = [field.name for field in fields(self.kind)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f"{self.name} has no parameter {unknown[0]!r} (it has: {', '.join(known) or 'none'})")
        typed = {name: _typed(f"{self.name}.{name}", text, hints[name]) for name, text in given.items()}
        try:
            return self.kind(**typed)
        except ValueError as error:
            raise ValueError(f"{self.name}.{error}") from None

    def decide(self, view: MarketView, params: Any) -> tuple[Signal, ...]:
        return self.function(view, params)


def names() -> tuple[str, ...]:
    """What can be chosen, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def find(name: str) -> Strategy:
    """The strategy in the file of that name. Raises ValueError, one line, with what there is."""
    if name not in names():
        raise ValueError(f"no strategy {name!r} (there is: {', '.join(names())})")
    module = importlib.import_module(f"{__name__}.{name}")
    return Strategy(name, module.Params, module.decide)


def _typed(where: str, text: str, kind: type[Any]) -> Any:
    try:
        return kind(text.strip())
    except (ValueError, InvalidOperation):
        wanted = {int: "a whole number", float: "a number", Decimal: "a number"}.get(kind, "one of " + _choices(kind))
        raise ValueError(f"{where}: {text!r} is not {wanted}") from None


def _choices(kind: type[Any]) -> str:
    return ", ".join(str(member) for member in getattr(kind, "__members__", {}).values())
