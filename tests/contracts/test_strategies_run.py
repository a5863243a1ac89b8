"""Each strategy in the whole daemon: no error line, sound books, and decisions that come out the same again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.e2e.running import ask, trouble_in
from trader.cli import cli

# Each where it is bold enough to trade: a forecaster without an opinion gives the cautious defaults no reason to.
RUNS: dict[str, dict[str, str]] = {
    "edge": {
        "STRATEGY": "edge", "EDGE__SIDES": "both", "EDGE__MARGIN_BPS": "0", "EDGE__SAMPLING_ERRORS": "0",
        "RISK__MIN_EDGE_BPS": "1",
    },
    "expected": {
        "STRATEGY": "maxdiff", "MAXDIFF__MODE": "expected", "MAXDIFF__MARGIN_BPS": "0",
        "MAXDIFF__SAMPLING_ERRORS": "0", "SIZING__RULE": "kelly",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RUNS))
def test_it_trades_in_the_simulation_and_leaves_sound_books(name: str, tmp_path: Path) -> None:
    ran = ask(
        tmp_path, "run", "--mode", "sim", "--speed", "max", "--plain", "--cycles", "25", "--symbols", "AAPL,SPY",
        CONTEXT="60", **RUNS[name],
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert trouble_in(ran.out + ran.err) == []
    assert told(tmp_path, "db", "check", "--mode", "sim").startswith("sound:")
    assert "the same" in told(tmp_path, "replay", "last", "--mode", "sim")
    assert json.loads(told(tmp_path, "trades", "--mode", "sim", "--json"))


def told(state: Path, *arguments: str) -> str:
    """What a reading command says, here in process."""
    answer = CliRunner().invoke(cli, list(arguments), env={"STATE_DIR": str(state)}, standalone_mode=False)
    assert answer.exception is None, answer.output
    return answer.output
