"""The table of guards, a file for each room of the program."""

from __future__ import annotations

from tests.mutants.guards import (
    activities,
    adapters,
    compare,
    core,
    evidence,
    forecasters,
    gates,
    kronos,
    positions,
    reserve,
    risk,
    sandbox,
    security_bounds,
    targets,
    trading,
)
from tests.mutants.source import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *risk.MUTANTS,
    *core.MUTANTS,
    *trading.MUTANTS,
    *targets.MUTANTS,
    *positions.MUTANTS,
    *activities.MUTANTS,
    *reserve.MUTANTS,
    *adapters.MUTANTS,
    *forecasters.MUTANTS,
    *kronos.MUTANTS,
    *security_bounds.MUTANTS,
    *gates.MUTANTS,
    *sandbox.MUTANTS,
    *evidence.MUTANTS,
    *compare.MUTANTS,
)
