"""A clock that is set, by a person, a time server or the law: no bar is traded twice, none is left out.

The machine's own clock can't be set here: shifted_clock.c shows one daemon another one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.harness import Scene
from tests.faults.paper import RESTS, SOON_S, buy, is_protected, paper, running, stream
from tests.faults.script import at
from tests.waiting import GENEROUS_S, let_pass

Scenes = Callable[..., Scene]


def traded(scene: Scene) -> list[datetime]:
    """The bar closes that were traded, oldest first."""
    with scene.journal() as journal:
        names = [cycle.cycle_id for cycle in journal.cycles() if cycle.kind == "trade"]
    return sorted(datetime.strptime(name[:13], "%Y%m%dT%H%M") for name in names)  # noqa: DTZ007 - all UTC


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("America/New_York", "2024-03-10T03:00:00Z"),  # an hour is left out at 07:00 UTC
        ("America/New_York", "2024-11-03T02:00:00Z"),  # an hour comes twice at 06:00 UTC
        ("Australia/Lord_Howe", "2024-04-06T11:00:00Z"),  # half an hour comes twice at 15:00 UTC
    ],
)
def test_row_26_a_local_change_of_hour_leaves_no_bar_out_and_trades_none_twice(
    scene: Scenes, zone: str, start: str
) -> None:
    one = scene(seed=2, exchange=["--start", start], TZ=zone)
    one.run(8)
    hours = traded(one)
    assert len(hours) == 8
    assert {after - before for before, after in pairwise(hours)} == {timedelta(hours=1)}
    one.assert_universal()


@pytest.mark.parametrize(("step", "direction"), [("-3600", "back"), ("3600", "on")])
def test_row_26_when_the_clock_is_set_by_an_hour_what_is_held_is_still_looked_after(
    scene: Scenes, shifted_clock: Path, step: str, direction: str
) -> None:
    one = paper(scene)
    shift = one.folder / "shift"
    shift.write_text("0")
    assert one.order(**RESTS).status_code == 200
    told = one.folder / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(told))
        notified.settimeout(GENEROUS_S)
        daemon = one.start(LD_PRELOAD=str(shifted_clock), CLOCK_SHIFT=str(shift), NOTIFY_SOCKET=str(told))
        while b"READY=1" not in notified.recv(4096):
            pass
    one.faults(stream("mute"))  # so that nothing but the timetable wakes it
    before = len(traded(one))
    shift.write_text(step)
    one.until(lambda: f"went {direction} by 36" in one.alerts(), SOON_S)
    buy(one)
    one.until(lambda: is_protected(one), SOON_S)
    shift.write_text("0")
    one.until(lambda: one.alerts().count("at once") == 2, SOON_S)
    daemon.end()
    bars = traded(one)
    assert len(bars) == len(set(bars))
    assert len(bars) - before <= 1
    one.assert_universal(external=True)


def refused(one: Scene) -> int:
    return one.fired()[0]


@pytest.mark.slow  # in process: tests/trading/test_exit_attempts.py
def test_row_56_a_clock_that_steps_about_makes_no_back_off_shorter_or_longer(
    scene: Scenes, shifted_clock: Path
) -> None:
    one = paper(scene)
    shift = one.folder / "shift"
    shift.write_text("0")
    one.environment |= {"LD_PRELOAD": str(shifted_clock), "CLOCK_SHIFT": str(shift)}
    with running(one, None):
        one.faults(at("submit", {"status": 403, "code": 40310010}, side="sell"))
        buy(one)
        one.until(lambda: refused(one) == 2)  # the third try is ten seconds away
        for step in (3600, -3600, 7200, 0):
            shift.write_text(str(step))
            let_pass(0.7)
        assert refused(one) == 2
        one.faults()
        one.until(lambda: is_protected(one))
    one.assert_universal(external=True)


@pytest.mark.slow  # in process: tests/adapters/test_alpaca_wire.py
def test_row_55_a_clock_that_is_set_back_stops_no_requests_though_all_of_them_are_used_up(
    scene: Scenes, shifted_clock: Path
) -> None:
    one = paper(scene, REQUESTS_PER_MINUTE="60", MANAGE_INTERVAL_S="0.5")
    shift = one.folder / "shift"
    shift.write_text("0")
    one.environment |= {"LD_PRELOAD": str(shifted_clock), "CLOCK_SHIFT": str(shift)}
    with running(one):
        buy(one)
        one.until(lambda: "manage: still running when due" in one.alerts())  # it waits for its turn to ask
        one.until(lambda: is_protected(one))
        shift.write_text("-3600")
        resting = next(order["id"] for order in one.ours().values() if order["status"] == "new")
        assert one.session.delete(f"{one.url}/v2/orders/{resting}", timeout=20).status_code == 204
        one.until(lambda: is_protected(one), SOON_S)  # another one, and it takes several requests
    one.assert_universal(external=True)
