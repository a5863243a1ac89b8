"""The one error of this package."""

from __future__ import annotations

from collections.abc import Sequence


class SettingsError(Exception):
    """A setting can't be used. The message is one line: which file or variable, what is wrong, what would be right."""

    exit_code = 78

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(" ".join(problem.split()) for problem in problems)
        more = len(self.problems) - 1
        super().__init__(self.problems[0] + (f" (and {more} more)" if more else ""))
