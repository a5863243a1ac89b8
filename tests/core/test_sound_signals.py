"""What a strategy says and can't mean costs that one signal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.core.make import BTC, ETH, signal
from trader.core.decision import Signal
from trader.core.signals import sound_signals
from trader.core.types import EntrySide

D = Decimal
GOOD = signal(ETH)


def odd(**fields: object) -> Signal:
    return Signal(symbol=BTC, **{"entry_side": EntrySide.LONG, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        odd(entry=D("NaN")),
        odd(target=D("Infinity")),
        odd(stop=D(-1)),
        odd(entry=D(0)),
        odd(entry=100.0),
        odd(edge="much"),
        odd(entry_side="long"),
        odd(reason=None),
        Signal(symbol="BTC/USD", entry_side=None),  # type: ignore[arg-type]
        None,
        "buy",
    ],
)
def test_each_is_judged_by_itself(bad: object) -> None:
    sound, problems = sound_signals([bad, GOOD])
    assert sound == (GOOD,)
    assert len(problems) == 1


@pytest.mark.parametrize("told", [None, 7, "buy everything"])
def test_what_is_no_sequence_is_no_signal(told: object) -> None:
    sound, problems = sound_signals(told)
    assert (sound, len(problems)) == ((), 1)
