"""Frozen dataclasses that are made quickly: a cycle makes hundreds of small values.

What for    `trader bench backtest` takes 8% more processor time with plain dataclasses in their place (four months of
            BTC/USD hours; median of nine pairs that took turns on a busy machine, eight of them between 5 and 11%).
What        A frozen dataclass sets each field through `object.__setattr__`, because its own refuses, and that is most
is skipped  of what such a value costs. Here its fields are set while it is of an open twin class with the same slots;
            then it becomes frozen. `maker` also skips the call of a class. `__post_init__`, with every check of a
            value, runs as ever; `altered` would skip it, and so refuses a kind that has one.
Why that    Nobody else has the value before it is frozen, and after that it is like any other: same class, same slots,
is safe     same equality, hash and text. `quick` refuses a kind whose twin would be of another layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

SPARSE = MappingProxyType({"sparse": True})  # metadata of a field that the journal leaves out where it is the default

Value = TypeVar("Value")
Fields = ParamSpec("Fields")

_ABSENT = object()
_MAKERS: dict[Any, Callable[..., Any]] = {}
_COPIERS: dict[type, Callable[[Any, dict[str, Any]], Any]] = {}


def maker(kind: Callable[Fields, Value]) -> Callable[Fields, Value]:
    """A function that makes what calling the quick `kind` makes, for those made at every tape, sync or step of a cycle.

    Python puts the keywords of a call of a class into a dictionary and takes them out again; those of a function it
    hands over as they are. KeyError where the kind is not quick.
    """
    return _MAKERS[kind]


def altered(value: Value, /, **changes: Any) -> Value:
    """As `dataclasses.replace` of a quick value without a check of its own, without asking each field for its name.

    Raises AttributeError for a field that there is not, KeyError for a value of another kind.
    """
    copied: Value = _COPIERS[type(value)](value, changes)
    return copied


def quick(kind: type[Value]) -> type[Value]:
    """The same frozen, slotted, keyword-only dataclass with a quicker `__init__`. To stand above `@dataclass`.

    Not to be subclassed. Raises TypeError where a field is not one of its own slots, or is not given: the twin would
    be of another layout.
    """
    own: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    slots = getattr(kind, "__slots__", None)
    if slots != tuple(field.name for field in own) or not all(field.init for field in own):
        raise TypeError(f"{kind.__name__}: not a dataclass of its own slots alone")
    twin = type(kind.__name__, (), {"__slots__": slots})
    namespace: dict[str, Any] = {"_frozen": kind, "_open": twin, "_become": object.__setattr__, "_absent": _ABSENT}
    namespace["_new"] = object.__new__
    lines = [*(_line(field) for field in own), "self.__class__ = _frozen"]
    lines += ["self.__post_init__()"] if hasattr(kind, "__post_init__") else []
    for field in own:
        namespace |= {f"_default_{field.name}": field.default, f"_make_{field.name}": field.default_factory}
    arguments = ", ".join(field.name + _default(field) for field in own)
    body = "\n    ".join(lines)
    exec(f'def __init__(self, *, {arguments}):\n    _become(self, "__class__", _open)\n    {body}', namespace)
    exec(f"def _made(*, {arguments}):\n    self = _new(_open)\n    {body}\n    return self", namespace)
    _MAKERS[kind] = namespace["_made"]
    quick_init, plain_init = namespace["__init__"], vars(kind)["__init__"]
    quick_init.__qualname__, quick_init.__annotations__ = plain_init.__qualname__, plain_init.__annotations__
    type.__setattr__(kind, "__init__", quick_init)
    if not hasattr(kind, "__post_init__"):
        _COPIERS[kind] = _copier(kind, twin)
    return kind


def _copier(kind: type, twin: type) -> Callable[[Any, dict[str, Any]], Any]:
    """Written out like `__init__`: one line a field."""
    names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
    namespace: dict[str, Any] = {"_frozen": kind, "_open": twin, "_new": object.__new__}
    lines = ["made = _new(_open)", *(f"made.{name} = value.{name}" for name in names)]
    lines += ["for name in changes:", "    setattr(made, name, changes[name])"]  # refused where there is no such slot
    lines += ["made.__class__ = _frozen", "return made"]
    exec("def copied(value, changes):\n    " + "\n    ".join(lines), namespace)
    copied: Callable[[Any, dict[str, Any]], Any] = namespace["copied"]
    return copied


def _default(each: Field[Any]) -> str:
    if each.default_factory is not MISSING:
        return "=_absent"
    return "" if each.default is MISSING else f"=_default_{each.name}"


def _line(each: Field[Any]) -> str:
    if each.default_factory is not MISSING:
        return f"self.{each.name} = _make_{each.name}() if {each.name} is _absent else {each.name}"
    return f"self.{each.name} = {each.name}"
