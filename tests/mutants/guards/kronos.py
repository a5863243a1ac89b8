"""Kronos: the same arithmetic as the original's, bars that can be, and checkpoints that are what they are called."""

from __future__ import annotations

from tests.mutants.source import Mutant

FEATURES = "forecasters/kronos/features.py"
TABLES = ("tests/forecasters/kronos/test_kronos_tables.py",)

IN_FEATURES = (
    Mutant(
        "kronos: columns summed as the original sums them",
        FEATURES,
        "standardise",
        "np.asfortranarray(scaled)",
        "scaled",
        TABLES,
    ),
)
MUTANTS = IN_FEATURES
