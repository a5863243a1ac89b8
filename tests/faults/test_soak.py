"""Random trouble, thousands of times. A failing seed is its own replay: FAULTS_SEED=N pytest -m slow -k random."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.harness import Scene
from tests.faults.test_crashes import GROUPS

Scenes = Callable[..., Scene]

SEEDS_IN_ONE = 100
FAILPOINTS = sorted({text.partition(":")[0] for group in GROUPS.values() for text in group})
# what may go wrong, and how often at most
ORDERS = {"method": "POST", "path": "^/v2/orders$"}
MENU: list[tuple[dict[str, Any], dict[str, Any], float]] = [
    (ORDERS, {"reset_after": True}, 0.5),
    (ORDERS, {"reset_before": True}, 0.5),
    (ORDERS, {"status": 500, "after": True}, 0.5),
    (ORDERS, {"status": 503}, 0.5),
    (ORDERS, {"status": 429}, 0.5),
    (ORDERS, {"html": True, "after": True}, 0.5),
    (ORDERS, {"timeout_after": 0.05}, 0.5),
    ({"method": "DELETE", "path": "^/v2/orders"}, {"reset_after": True}, 0.5),
    ({"method": "DELETE", "path": "^/v2/orders"}, {"reset_before": True}, 0.3),
    ({"method": "DELETE", "path": "^/v2/orders"}, {"status": 504, "after": True}, 0.5),
    ({"method": "GET", "path": "by_client_order_id"}, {"status": 503}, 0.2),
    ({"method": "GET", "path": "^/v2/positions$"}, {"empty_positions": True}, 0.1),
    ({"method": "GET", "path": "^/v2/"}, {"reset_before": True}, 0.02),
    ({"method": "GET", "path": "activities"}, {"status": 502}, 0.05),
    ({"path": "quotes|snapshots"}, {"quote": "stale"}, 0.3),
    ({"path": "quotes|snapshots"}, {"quote": "crossed"}, 0.3),
    ({"path": "quotes|snapshots"}, {"quote": "absent"}, 0.3),
    ({"symbol": "BTC/USD"}, {"partial_fill": 0.00002}, 1.0),
]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lot", range(20))
def test_random_faults_and_kills_leave_the_universal_pass(scene: Scenes, lot: int) -> None:
    given = os.environ.get("FAULTS_SEED")
    seeds = [int(given)] if given else range(lot * SEEDS_IN_ONE, (lot + 1) * SEEDS_IN_ONE)
    for seed in seeds:
        try:
            _one(scene, seed)
        except AssertionError as broken:
            raise AssertionError(f"FAULTS_SEED={seed}: {broken}") from broken


def _one(scene: Scenes, seed: int) -> None:
    """Three lives under trouble, each perhaps cut short; then one without, and everything adds up."""
    dice = random.Random(seed)
    one = scene(seed=dice.randrange(2, 40), symbols=dice.choice(["BTC/USD", "BTC/USD,ETH/USD"]))
    for _ in range(3):
        one.faults(*_trouble(dice), seed=seed)
        kill = [f"{dice.choice(FAILPOINTS)}:{dice.randrange(1, 8)}"] if dice.random() < 0.7 else []
        ended = one.run(dice.randrange(1, 6), *kill, expect=None)
        assert ended.code in (0, -9, 69), ended.said()[-3000:]
        if dice.random() < 0.3:
            one.faults()
            one.advance(dice.random() * 3)
    one.faults()
    one.run(3)
    one.assert_universal()
    one.close()


def _trouble(dice: random.Random) -> list[dict[str, Any]]:
    chosen = dice.sample(MENU, dice.randrange(1, 4))
    return [
        {"on": {**on, **({} if "partial_fill" in do else {"probability": share * dice.random()})}, "do": do}
        for on, do, share in chosen
    ]
