"""While the trade updates are doubted no entry is made, and the refusal says why. In process: the doubt passes within
a heartbeat of the daemon, so that from outside it would be luck to meet it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from forecasters import registry
from settings.load import load
from trader.core.decision import DecisionInputs, Plan
from trader.research.backtest.simulate import Setup, market_options, simulate
from trader.trading.cycle import Trader

DOUBT = "the trade updates are silent about fills; connecting again"


def test_row_16_while_the_stream_is_doubted_entries_are_denied_with_the_reason(tmp_path: Path) -> None:
    flags = {"trading_mode": "sim", "state_dir": str(tmp_path), "symbols": "BTC/USD", "context": 120}
    settings = load(flags, environ={"HOME": str(tmp_path)}, folder=tmp_path).settings
    entered: list[bool] = []
    denied: Counter[tuple[str, str]] = Counter()

    def doubt_the_first_half(trader: Trader, bar_close: datetime) -> None:
        doubted = len(entered) < 20
        trader.manager.doubts["stream"] = lambda: DOUBT if doubted else ""
        trader.manager.nudge()
        trader.manager.manage()

    def note(name: str, inputs: DecisionInputs, plan: Plan) -> None:
        entered.append(bool(plan.intents))
        denied.update((each.rule, each.detail) for verdict in plan.verdicts for each in verdict.denials)

    setup = Setup(settings=settings, market=market_options(settings), cycles=40)
    run = simulate(setup, registry.build("baseline", {}), on_plan=note, before_cycle=doubt_the_first_half)
    assert not any(entered[:20])
    assert any(entered[20:])
    assert any(DOUBT in detail for _, detail in denied), denied
    told = [alert.severity for alert in run.journal.alerts if alert.kind == "stream"]
    assert told == ["error", "info"], "once when it begins, once when it is over"
