"""What people do: wrong settings, reloads, kill while the venue is away."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime

from tests.faults.harness import Scene
from tests.faults.paper import buy, is_protected, paper, running
from tests.faults.script import OUTAGE, flat, held, locked_journal
from tests.faults.universal import LIVE

Scenes = Callable[..., Scene]


def test_row_37_a_reload_with_bad_settings_goes_on_with_the_old_ones(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    (one.folder / ".env").write_text("RISK__MIN_EDGE_BPS=6\n")
    daemon = one.start()
    one.until(lambda: "agree" in daemon.said())
    (one.folder / ".env").write_text("RISK__MIN_EDGE_BPS=much\n")
    daemon.send(signal.SIGHUP)
    one.until(lambda: "not reloaded" in one.alerts())
    cycles = _trades(one)
    one.until(lambda: _trades(one) > cycles + 1)
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    (one.folder / ".env").unlink()
    one.leave_the_market()
    one.assert_universal()


def test_row_38_paper_with_a_live_address_or_key_is_refused(scene: Scenes) -> None:
    one = scene(mode="paper", ALPACA_API_KEY_ID="PKTEST", ALPACA_API_SECRET_KEY="secret")
    for name, value in (
        ("ALPACA_TRADING_URL", "https://api.alpaca.markets"),
        ("ALPACA_TRADE_STREAM_URL", "wss://api.alpaca.markets/stream"),
        ("ALPACA_API_KEY_ID", "AKLIVE"),
    ):
        refused = one.run(1, expect=78, **{name: value})
        assert name in refused.said()
        assert "paper" in refused.said()
    assert not one.ledger()["orders"]


def test_row_39_a_kill_during_an_outage_is_latched_across_restarts_and_done_when_the_venue_is_back(
    scene: Scenes,
) -> None:
    one = scene(seed=2, speed="3600")
    daemon = one.start()
    one.until(lambda: one.ledger()["holdings"])
    one.faults(OUTAGE)
    killed = one.trader("kill", "--reason", "enough")
    one.until(lambda: one.flag("killed") == "enough")
    daemon.kill()
    killed.kill()
    one.run(1, expect=69)  # still away
    assert one.flag("killed") == "enough"
    one.faults()
    entries = len(one.entries())
    one.run(2)
    assert flat(one)
    assert not [order for order in one.ledger()["orders"].values() if order["status"] in LIVE]
    assert len(one.entries()) == entries
    assert one.flag("killed") == "enough"
    one.assert_universal()


def test_row_39_a_kill_command_survives_the_death_of_the_daemon_that_obeys_it(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    assert one.ledger()["holdings"]
    with one.journal() as journal:
        journal.enqueue("kill", {"reason": "enough"}, datetime.now(UTC))
    one.advance(0.1)  # a sale at the very moment of a decision would be booked as before it
    one.run(1, "amid_command", expect=-signal.SIGKILL)
    one.run(1)
    assert flat(one)
    assert one.flag("killed") == "enough"
    one.assert_universal()


def test_row_75_a_kill_with_the_venue_away_says_so_and_is_done_when_it_is_back(scene: Scenes) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(OUTAGE)
    killed = one.trader("kill", "--reason", "enough")
    assert killed.wait() == 69, killed.said()
    assert "the venue can't be reached" in killed.said()
    assert "nothing was sold" in killed.said()
    one.faults()
    one.run(1)
    assert flat(one)
    one.assert_universal()


def test_row_75_a_daemon_that_is_killed_while_the_venue_is_away_sells_when_it_is_back(scene: Scenes) -> None:
    one = paper(scene)
    with running(one, None):
        buy(one)
        one.until(lambda: is_protected(one))
        one.faults(OUTAGE)
        killed = one.trader("kill", "--reason", "enough", "--no-wait")
        assert killed.wait() == 1, killed.said()
        assert not flat(one)
        one.faults()
        one.until(lambda: flat(one))
    one.assert_universal(external=True)


def test_row_76_a_kill_with_the_journal_locked_is_latched_and_obeyed(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    daemon = one.start()
    one.until(lambda: one.ledger()["holdings"])
    with locked_journal(one):
        killed = one.trader("kill", "--reason", "enough")
        assert killed.wait() == 75, killed.said()
        assert "killed is latched in" in killed.said()
        assert (one.folder / "latch-sim.json").exists()
        entries = len(one.entries())
    one.until(lambda: flat(one))
    one.until(lambda: one.flag("killed").startswith("enough"))
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    assert len(one.entries()) == entries
    one.assert_universal()


def test_row_77_a_kill_cancels_a_persons_order_that_holds_the_quantity(scene: Scenes) -> None:
    one = scene(seed=2, STRATEGY="flat")
    assert one.order(qty="0.05").status_code == 200
    one.advance(0.1)
    units = one.ledger()["holdings"]["BTC/USD"]
    theirs = one.order(qty=units, side="sell", type="limit", limit_price="90000", client_order_id="theirs")
    assert theirs.status_code == 200, theirs.text
    one.run(1)
    assert one.ledger()["orders"]["theirs"]["status"] in LIVE
    assert one.trader("kill").wait() == 0
    one.run(1)
    assert one.ledger()["orders"]["theirs"]["status"] == "canceled"
    assert flat(one)


def test_row_78_a_second_daemon_with_a_folder_of_its_own_is_refused(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    first = one.start()
    one.until(lambda: "agree" in first.said())
    other = one.folder / "other"
    other.mkdir()
    second = one.run(2, expect=73, STATE_DIR=str(other))
    assert str(first.pid) in second.said()
    assert first.poll() is None
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    one.leave_the_market()
    one.assert_universal()


def _trades(one: Scene) -> int:
    with one.journal() as journal:
        return len([cycle for cycle in journal.cycles(500) if cycle.kind == "trade"])
