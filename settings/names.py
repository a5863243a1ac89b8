"""The names of the settings: the table of them, and what is to be said of a name that is almost one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from settings.kinds import Group, Right, Unit, variable_of
from settings.schema import SECRET_NAME, STRATEGIES, Settings

OPTIONS = "OPTIONS"
# A name that begins so is meant for this program, wherever it stands: when it is not one of ours it is a mistake.
NAMESPACES = (
    "KRONOS_", "TOTO_", "RISK__", "EXITS__", "SIZING__", "SIM__", "ALPACA_", "TRADING_", "FORECASTER", "FORECAST_",
    "ADD_", "MANAGE_", "LOG_", "COMPILED_MODELS", "COMPILE_",
)  # fmt: skip
# How alike a name must be to one of ours to be taken for a slip. Environments are full of other programs' names.
_ALIKE_IN_FILES, _ALIKE_IN_ENVIRONMENT = 0.85, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One setting, as it is known outside."""

    name: str
    group: str
    field: str
    info: FieldInfo

    @property
    def secret(self) -> bool:
        return self.info.annotation is SecretStr

    @property
    def unit(self) -> str:
        return next((m.text for m in self.info.metadata if isinstance(m, Unit)), "").replace("none", "")

    @property
    def description(self) -> str:
        return self.info.description or ""


@cache
def table() -> dict[str, Entry]:
    """Every setting by its name, in the order in which people read them."""
    entries: dict[str, Entry] = {}
    for group in Settings.groups:
        model = Settings.model_fields[group].annotation
        assert isinstance(model, type)
        assert issubclass(model, Group)
        for field, info in model.model_fields.items():
            name = ("" if field in model.flat else model.prefix) + field.upper()
            entries[name] = Entry(name=name, group=group, field=field, info=info)
    return entries


@cache
def synonyms() -> dict[str, str]:
    """A second way to write some names: with their group's prefix, and as flags write them."""
    exits = {f"EXITS__{n}": n for n in ("EXIT_RESTS", "HOLD", "STOCKS_OVERNIGHT")}
    dotted = {f"{e.group}.{e.field}": e.name for e in table().values()}
    return exits | dotted


def free_path(name: str, strategies: Collection[str] = STRATEGIES) -> tuple[str, str, str] | None:
    """`MAXDIFF__STOP_QUANTILE` -> (strategies, maxdiff, stop_quantile). None where it is not a free parameter."""
    head, _, rest = name.partition("__")
    if head == OPTIONS:
        backend, _, option = rest.partition("__")
        return ("backend_options", backend.lower(), option.lower()) if backend and option else None
    if rest and head and any(head == variable_of(strategy) for strategy in strategies):
        return "strategies", head.lower(), rest.lower()
    return None


def canonical(name: str) -> str | None:
    """One of our names, or None."""
    name = synonyms().get(name, name)
    return name if name in table() else None


def complaint(name: str, *, in_file: bool, strategies: Collection[str] = STRATEGIES) -> str | None:
    """What is wrong with a name that seems to be meant for us. None where it is right, or another program's."""
    if canonical(name) or free_path(name, strategies):
        return None
    upper = name.upper()
    if (in_file or upper.startswith(NAMESPACES)) and canonical(upper):
        return f"{name} is not a setting; right: {upper}, in capitals"
    near = nearest(upper, table())
    if upper.startswith(NAMESPACES):
        return f"{name} is not a setting; right: " + (f"{near}?" if near else "one of those in .env.example")
    head, _, rest = upper.partition("__")
    slip = difflib.get_close_matches(head, _heads(strategies), n=1, cutoff=0.75) if rest and head else []
    if slip:
        return f"{name} is not a setting; right: {nearest(f'{slip[0]}__{rest}', table()) or f'{slip[0]}__{rest}'}?"
    cutoff = _ALIKE_IN_FILES if in_file else _ALIKE_IN_ENVIRONMENT
    flat = [n for n in table() if len(n) >= (4 if in_file else 6)]
    alike = difflib.get_close_matches(upper, flat, n=1, cutoff=cutoff) if len(name) >= 4 else []
    return f"{name} is not a setting; right: {alike[0]}?" if alike else None


def _heads(strategies: Collection[str]) -> list[str]:
    """What a name with `__` in it may begin with."""
    return ["RISK", "EXITS", "SIZING", "SIM", OPTIONS, *map(variable_of, strategies)]


def nearest(text: str, candidates: Iterable[str]) -> str:
    """The most similar of them; empty where none is similar."""
    matches = difflib.get_close_matches(text, list(candidates), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def right(entry: Entry) -> str:
    """What a value of that setting must be, in words."""
    text = next((m.text for m in entry.info.metadata if isinstance(m, Right)), "")
    if text:
        return text
    kind = entry.info.annotation
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is bool or bool in get_args(kind):
        return "true or false"
    bounds = [f"{word} {getattr(m, key)}" for key, word in _WORDS for m in entry.info.metadata if hasattr(m, key)]
    number = "a whole number" if kind is int else "a number"
    if bounds:
        return f"{number} {' and '.join(bounds)}" + (f" ({entry.unit})" if entry.unit else "")
    return "a text"


_WORDS = (("gt", "above"), ("ge", "from"), ("lt", "below"), ("le", "up to"))


def looks_secret(name: str) -> bool:
    """Whether a value under this name must not be shown, even where the name is none of our settings."""
    entry = table().get(name)
    return entry.secret if entry else bool(SECRET_NAME.search(re.sub(r"\W", "", name)))
