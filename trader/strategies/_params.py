"""A strategy's parameters from text: each field of its `Params` by its type. ValueError, one line, on anything else."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, get_type_hints

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_WANTED = {bool: "true or false", int: "a whole number", float: "a number", Decimal: "a number", str: "a text"}


def problem_of(kind: type[Any]) -> str:
    """Why a class can't hold a strategy's parameters; empty where it can."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return "Params is not a dataclass"
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError) as error:
        return f"the types of Params can't be read: {error}"
    for field in fields(kind):
        hint = hints[field.name]
        if hint not in _WANTED and not (isinstance(hint, type) and issubclass(hint, Enum)):
            return f"Params.{field.name} is a {hint}: right is bool, int, float, Decimal, str or an Enum"
        if _has_no_default(field):
            return f"Params.{field.name} has no default"
    return ""


def params_from(name: str, kind: type[Any], given: Mapping[str, str]) -> Any:
    """An instance of `kind`; what is not given keeps its default."""
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for unknown in sorted(set(given) - set(known)):
        raise ValueError(f"{name} has no parameter {unknown!r} ({_advice(unknown, known)})")
    typed = {field: _typed(f"{name}.{field}", text, hints[field]) for field, text in given.items()}
    try:
        return kind(**typed)
    except ValueError as error:
        raise ValueError(f"{name}.{error}") from None


def text_of(value: object) -> str:
    """A parameter as it is written in a setting."""
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _advice(unknown: str, known: list[str]) -> str:
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known) or 'none'}"


def _has_no_default(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _typed(where: str, text: str, kind: type[Any]) -> Any:
    try:
        value = _SWITCH[text.strip().lower()] if kind is bool else kind(text.strip())
        if isinstance(value, float | Decimal) and not math.isfinite(value):
            raise ValueError(text)
    except (ValueError, KeyError, InvalidOperation):
        wanted = _WANTED.get(kind) or "one of " + ", ".join(text_of(member) for member in kind)
        raise ValueError(f"{where}: {text!r} is not {wanted}") from None
    return value
