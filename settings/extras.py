"""How a person gets a part of the program that is not installed: the command that is right for this installation."""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]


def to_install(extra: str, *, checkout: Path = _CHECKOUT, environment: Path | None = None) -> str:
    """`make models` in the environment that the Makefile of the checkout made; elsewhere pip's command.

    extra        an optional part by its name in pyproject.toml, which is its name in the Makefile too
    environment  the virtual environment that runs this; found out by default
    """
    made_there = Path(environment or sys.prefix).resolve() == checkout / ".venv" and (checkout / "Makefile").is_file()
    return f"make {extra}" if made_there else f"pip install 'trader[{extra}]'"
