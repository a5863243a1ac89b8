"""A cycle whose journal is away: no record, so no order, and the daemon goes on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.research.backtest.material import bars_of, baseline, settings_for, written
from trader.adapters.journal import CycleRecord
from trader.daemon.parameters import rules_of
from trader.errors import DatabaseAway
from trader.research.backtest.inprocess import VenueBroker, VenueClock, VenueData, open_in_memory
from trader.research.backtest.memory_journal import MemoryJournal
from trader.research.backtest.simulate import _trader, market_options, opened


class Away(MemoryJournal):
    """Out of reach while `away` names the call."""

    away = ""

    def cycle(self, cycle_id: str) -> CycleRecord | None:
        self._reach("cycle")
        return super().cycle(cycle_id)

    def begin_cycle(self, cycle_id: str, *rest: object) -> None:
        self._reach("begin_cycle")
        super().begin_cycle(cycle_id, *rest)  # type: ignore[arg-type]

    def _reach(self, name: str) -> None:
        if name == self.away:
            raise DatabaseAway("connection refused")


@pytest.mark.parametrize("call", ["cycle", "begin_cycle"])
def test_it_is_left_out_and_said_and_the_next_one_runs(call: str, tmp_path: Path) -> None:
    """It asked first whether it had run already, and that question ended the daemon."""
    settings = settings_for({"BTC/USD": written(bars_of("BTC/USD", 300), tmp_path / "b.parquet")}, tmp_path)
    venue, ledger = open_in_memory(opened(market_options(settings)), cash=Decimal(100_000))
    journal, data = Away(lambda *plan: None), VenueData(venue, "iex")
    parts = VenueBroker(venue, ledger), data, VenueClock(venue, None), journal
    trader = _trader(settings, rules_of(settings), baseline(), *parts)
    journal.away = call
    assert trader.trade(venue.now) is False
    assert [alert for alert in journal.alerts if "no cycle: connection refused" in str(alert)]
    assert not journal.cycles
    journal.away = ""
    assert trader.trade(venue.now) is True
