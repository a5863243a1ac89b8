"""A bar that is not there yet is awaited; one that never comes does not make the others late again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.core.make import BTC, bars
from trader.core.market import Bars
from trader.core.types import Symbol
from trader.trading.late_bars import Awaiting

ETH = Symbol("ETH/USD")
START = datetime(2025, 3, 12, 15, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


@dataclass
class Market:
    """Its own clock, too. `comes_s`: after how many seconds each symbol's newest bar is there; absent: never."""

    comes_s: Mapping[Symbol, float]
    time: datetime = START
    asked_s: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def wait_until(self, moment: datetime) -> datetime:
        self.time = max(self.time, moment)
        return self.time

    def wake(self) -> None:
        """Nobody waits in another thread."""

    def ask(self) -> dict[Symbol, Bars]:
        past = (self.time - START).total_seconds()
        self.asked_s.append(past)
        return {symbol: bars(symbol=symbol) for symbol, comes in self.comes_s.items() if past >= comes}

    def await_both(self, awaiting: Awaiting) -> set[Symbol]:
        return set(awaiting.bars([BTC, ETH], self.ask, lambda each: False, self, MINUTE))


def test_what_is_there_is_asked_for_once() -> None:
    market = Market({BTC: 0, ETH: 0})
    assert market.await_both(Awaiting()) == {BTC, ETH}
    assert market.asked_s == [0]


def test_it_is_asked_ever_more_rarely_and_one_last_time_at_the_end() -> None:
    market = Market({BTC: 0})
    assert market.await_both(Awaiting()) == {BTC}
    assert market.asked_s[:4] == [0, 1, 2.5, 4.75]
    assert market.asked_s[-1] == 60
    assert len(market.asked_s) < 20
    assert max(b - a for a, b in zip(market.asked_s, market.asked_s[1:], strict=False)) == 5


def test_one_that_was_late_before_is_not_awaited_as_long_and_comes_back_all_the_same() -> None:
    awaiting = Awaiting()
    Market({BTC: 0}).await_both(awaiting)
    again = Market({BTC: 0})
    assert again.await_both(awaiting) == {BTC}
    assert again.asked_s[-1] == 5
    assert Market({BTC: 0, ETH: 2}).await_both(awaiting) == {BTC, ETH}
    late_once = Market({BTC: 0, ETH: 30})
    assert late_once.await_both(awaiting) == {BTC, ETH}


def test_another_ones_lateness_is_awaited_whole() -> None:
    awaiting = Awaiting(frozenset({ETH}))
    assert Market({BTC: 30}).await_both(awaiting) == {BTC}
    assert awaiting.late == {ETH}
