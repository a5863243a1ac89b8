"""`python -m tests.mutants`: take the guards away one at a time, and see that a test turns red each time."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutants.guards import MUTANTS
from tests.mutants.run import NOTICED, SURVIVED, Outcome, Unfit, run


def main(arguments: list[str] | None = None) -> int:
    """0: each was noticed. 1: at least one was not, or is not where the table says. 2: nothing could be learned."""
    asked = _parser().parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if not asked.only or any(part in mutant.name for part in asked.only)]
    if not chosen:
        print(f"mutants: none is called anything like {', '.join(asked.only)}; --list names them", file=sys.stderr)
        return 2
    if asked.list:
        print("\n".join(mutant.name for mutant in chosen))
        return 0
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        try:
            for outcome in run(chosen, asked.jobs, Path(scratch), lambda line: print(line, flush=True)):
                outcomes.append(outcome)
                print(_line(outcome), flush=True)
        except Unfit as reason:
            print(f"mutants: {reason}", file=sys.stderr)
            return 2
    counts = Counter(outcome.verdict for outcome in outcomes)
    each = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    print(f"\n{len(outcomes)} guards in {time.monotonic() - began:.0f} s: {each}")
    for outcome in outcomes:
        if outcome.verdict != NOTICED:
            print(f"\n{outcome.verdict}: {outcome.mutant.name}: {outcome.told}")
            if outcome.verdict == SURVIVED:
                print(f"  {outcome.mutant.function} in {outcome.mutant.where}; {' '.join(outcome.mutant.tests)}")
    return 0 if counts[NOTICED] == len(outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="those with this in their name")
    parser.add_argument("-n", "--jobs", type=int, default=1, help="so many at once, each on a copy of its own")
    parser.add_argument("--list", action="store_true", help="say their names, and run nothing")
    return parser


def _line(outcome: Outcome) -> str:
    return f"{outcome.verdict:<14} {outcome.seconds:6.1f} s  {outcome.mutant.name}"


if __name__ == "__main__":
    sys.exit(main())
