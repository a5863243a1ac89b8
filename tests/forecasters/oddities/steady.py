"""Behaves, reports its progress, and has an alias."""

from __future__ import annotations

from forecasters.progress import report

from ._common import Flat, Options, requires

__all__ = ["ALIASES", "DESCRIPTION", "Options", "build", "requires"]

DESCRIPTION = "the last close, without any doubt"
ALIASES = {"steady-small": {"bytes": 1}}


def build(options: Options) -> Flat:
    return Flat(at_warm_up=lambda: report("steadying", 0.5))
