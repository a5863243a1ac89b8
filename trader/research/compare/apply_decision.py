"""A decision about compiling, written into `.env.compile` where the next daemon reads it."""

from __future__ import annotations

import re
from pathlib import Path

from trader.errors import ConfigurationError
from trader.research.compare.compare import Comparison
from trader.research.compare.verdict import Outcome
from trader.research.data.store import write_atomically

FILE = ".env.compile"
SWITCHES = {"kronos": "KRONOS_COMPILE", "toto": "TOTO_COMPILE"}
_MARK = "# Decided by `trader compare`"


def apply_decision(comparison: Comparison, family: str, evidence: Path, folder: Path) -> str:
    """What was written, in a line. Every other line of the file stays as it is.

    family    whose switch it is
    evidence  the comparison's own file, named beside the switch
    Raises ConfigurationError where nothing was decided, or for a family that has no switch.
    """
    outcome = comparison.verdict.outcome
    switch = SWITCHES.get(family)
    if switch is None:
        raise ConfigurationError(f"--apply: {family} is not compiled by a switch; right: kronos or toto")
    if outcome is Outcome.INCONCLUSIVE:
        raise ConfigurationError(f"--apply: INCONCLUSIVE changes nothing: {comparison.verdict.reasons[0]}")
    path = folder / FILE
    value = int(outcome is Outcome.COMPILED)
    why = f"{_MARK} on {comparison.at:%Y-%m-%d}: {outcome}, {comparison.verdict.reasons[0]}; evidence: {evidence}"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    text = _with_switch(text, switch, [why, f"{switch}={value}"])
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
    return f"{switch}={value} in {path}"


def _with_switch(text: str, switch: str, new: list[str]) -> str:
    """The file with its line of the switch replaced, and what an earlier decision said above it."""
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines) if re.match(rf"\s*{switch}\s*=", line)), None)
    if at is None:
        return "\n".join([*lines, *([""] if lines else []), *new]) + "\n"
    first = at - 1 if at and lines[at - 1].startswith(_MARK) else at
    return "\n".join([*lines[:first], *new, *lines[at + 1 :]]) + "\n"
