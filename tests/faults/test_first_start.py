"""The first start on an account that has a history: what was there is adopted, what was before is not booked again."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.harness import Scene
from trader.commands.audit import audit

Scenes = Callable[..., Scene]


def test_fills_from_just_before_the_first_start_are_in_the_opening_balance(scene: Scenes) -> None:
    one = scene(seed=2)
    # the second lies within the overlap in which executions are asked for again, the first within the second's
    for side, minutes in (("buy", 1.5), ("sell", 1.0)):
        assert one.order(side=side, qty="0.02" if side == "buy" else "0.01").status_code == 200
        one.advance(minutes / 60)
    one.run(8)
    assert "doubtful" not in one.programs[-1].said()
    with one.journal() as journal:
        looked, differences = audit(journal)
        assert looked == 8
        assert not differences
        kinds = [correction.kind for correction in journal.corrections()]
    assert set(kinds) <= {"opening", "adopted"}
