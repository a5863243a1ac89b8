"""The checks of a contract: gathered by name, run in order. The contracts of backends and of strategies share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`problem` is empty where the check holds."""

    check: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Checks(Generic[Subject]):
    """By what they hold to, in the order in which they are run."""

    by_name: dict[str, Callable[[Subject], str]] = field(default_factory=dict)

    def __call__(self, name: str) -> Callable[[Callable[[Subject], str]], Callable[[Subject], str]]:
        def kept(check: Callable[[Subject], str]) -> Callable[[Subject], str]:
            self.by_name[name] = check
            return check

        return kept

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """One a check, as it is made."""
        for name, check in self.by_name.items():
            yield Finding(check=name, problem=problem_of(check, subject))


def problem_of(check: Callable[[Subject], str], subject: Subject) -> str:
    """A check that is cut off by an error of what it looks at does not hold."""
    try:
        return check(subject)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what its author wants to be told
        return f"it raised {type(error).__name__}: {error}".splitlines()[0]
