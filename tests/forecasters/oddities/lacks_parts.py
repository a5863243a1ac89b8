"""Can be loaded, but says that it can't run here."""

from __future__ import annotations

from ._common import Flat, Options

__all__ = ["Options", "build", "requires"]


def requires() -> list[str]:
    return ["a checkpoint"]


def build(options: Options) -> Flat:
    return Flat()
