"""A person's commands: to a running daemon, to one that was killed, and to none."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.e2e.books import problems_of
from tests.e2e.running import ask, daemon, exchange, until
from tests.waiting import GENEROUS_S

FAST = ("--speed", "7200")


def test_pause_reload_flatten_kill_and_resume_are_answered(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        running.says("books agree")
        until(lambda: int(str(running.status()["cycles"])) > 0, "a cycle")
        for command, answer in (
            (("pause", "--reason", "lunch"), "no new entries"),
            (("resume",), "entries are allowed"),
            (("reload",), "reloaded"),
            (("flatten", "BTC/USD"), "leaving BTC/USD"),
            (("kill", "--reason", "boom"), "kill: done"),
        ):
            done = ask(tmp_path, *command)
            assert (done.code, answer in done.out) == (0, True), (command, done)
        running.process.send_signal(signal.SIGHUP)
        running.says("reload: reloaded")
        until(lambda: running.status()["positions"] == 0 and running.status()["open_orders"] == 0, "everything left")
        assert running.status()["flags"] == {"killed": "boom", "paused": "", "halted": "", "flatten": ""}
        assert running.stop() == 0
    assert problems_of(tmp_path, waits=False) == []


def test_a_running_daemon_is_stopped_however_broken_its_settings_are_by_now(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        running.says("books agree")
        (tmp_path / ".env").write_text("KRONOS_SAMPLE_COUTN=3\nRISK__MAX_SYMBOL\n")
        (tmp_path / ".env.compile").write_bytes(b"KRONOS_COMPILE=perhaps\n\xff")
        done = ask(tmp_path, "kill", "--reason", "boom", HORIZON="soon")
        assert (done.code, "kill: done" in done.out) == (0, True), done
        assert "the settings are broken" in done.out
        until(lambda: "boom" in running.log.read_text(), "the daemon's word on it")
        assert running.stop() == 0
    again = ask(tmp_path, "pause")
    assert (again.code, "latched" in again.out) == (0, True), again
    assert ask(tmp_path, "status").code == 78


def test_a_slow_simulation_is_woken_by_a_command(tmp_path: Path) -> None:
    with daemon(tmp_path, "--speed", "1") as running:  # the next job is a quarter of an hour away
        running.says("warming up")
        assert ask(tmp_path, "pause").code == 0


def test_killed_stays_killed_over_restarts_until_resume(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        running.says("books agree")
        assert ask(tmp_path, "kill", "--reason", "boom").code == 0
        running.process.kill()
        running.process.wait(GENEROUS_S)
    for how in (signal.SIGTERM, None):
        with daemon(tmp_path, *FAST) as running:
            running.says("going on where the last run was")
            running.says("books agree")
            assert running.status()["flags"]["killed"] == "boom"  # type: ignore[index]
            if how is None:
                assert ask(tmp_path, "resume").code == 0
                assert running.status()["flags"]["killed"] == ""  # type: ignore[index]
            running.stop(signal.SIGTERM)  # in good order: the market of this run goes on for as long as it runs
            running.log.write_text("")
    assert problems_of(tmp_path, waits=False) == []


def test_a_kill_with_no_daemon_is_latched(tmp_path: Path) -> None:
    assert ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "2").code == 0
    done = ask(tmp_path, "kill", "--reason", "from\n  afar\x1b[31m" + "!" * 500)
    assert "latched. Its market ends with each run: the next `trader run` with the same options" in done.out
    assert (done.code == 0) == ("not done; held" not in done.out), done
    other = ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "2", "--seed", "99")
    assert other.code == 78
    assert "killed: from afar" in other.err
    assert len(other.err.strip().splitlines()) == 1
    assert "\x1b" not in other.err
    assert len(other.err) < 500
    again = ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "2")
    assert again.code == 0
    assert "killed: from afar" in ask(tmp_path, "status").out


def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        running.says("books agree")
        second = ask(tmp_path, "run", "--plain", *FAST)
        assert (second.code, str(running.process.pid) in second.err) == (73, True), second
        before = int(str(running.status()["cycles"]))
        until(lambda: int(str(running.status()["cycles"])) > before, "the first one's next cycle")


def test_one_daemon_for_an_account_at_a_venue(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue, daemon(tmp_path, **venue) as running:
        running.says("books agree")
        assert ask(tmp_path, "run", "--plain", **venue).code == 73


def test_flatten_with_no_daemon_leaves_the_venue_itself(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue:
        with daemon(tmp_path, **venue) as running:
            until(lambda: '"fill: buy' in running.log.read_text(), "a position")
            running.process.kill()
            running.process.wait(GENEROUS_S)
        done = ask(tmp_path, "flatten", **venue)
        assert (done.code, done.out.splitlines()[-1]) == (0, "flatten: done"), done
        assert ask(tmp_path, "positions", **venue).out == "flat\n"
        assert ask(tmp_path, "orders", "--open", **venue).out == "no orders\n"


def test_with_no_daemon_and_nothing_to_carry_out_that_is_what_is_said(tmp_path: Path) -> None:
    assert ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "1").code == 0
    assert "nothing to reload, each start reads the settings" in ask(tmp_path, "reload").out
    assert "nothing was paused, halted or killed" in ask(tmp_path, "resume").out
    assert ask(tmp_path, "pause").code == 0
    assert "lifted, the next start may enter" in ask(tmp_path, "resume").out


def test_what_is_left_is_what_was_meant_or_nothing(tmp_path: Path) -> None:
    """Whoever has misspelt a name must not believe that they are out of it."""
    assert ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "3").code == 0
    wrong = ask(tmp_path, "flatten", "BTC/USDT")
    assert (wrong.code, wrong.err.count("\n")) == (78, 1)
    assert "'BTC/USDT' is neither held nor traded; there is BTC/USD, ETH/USD" in wrong.err
    for spelling in ("btcusd", "ETH-USD", "ETH/USD"):
        done = ask(tmp_path, "flatten", spelling)
        assert "latched" in done.out
        assert (done.code == 0) == ("not done; held" not in done.out), done
    assert ask(tmp_path, "status", "--json").data["flags"]["flatten"] == "BTC/USD,ETH/USD"  # type: ignore[index,call-overload]


def test_leaving_one_symbol_with_no_daemon_does_not_wait_for_the_others(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue:
        with daemon(tmp_path, **venue) as running:
            until(lambda: '"fill: buy' in running.log.read_text(), "a position")
            running.process.kill()
            running.process.wait(GENEROUS_S)
        held = [row["symbol"] for row in ask(tmp_path, "positions", "--json", **venue).data]  # type: ignore[attr-defined]
        other = "ETH/USD" if held == ["BTC/USD"] else "BTC/USD"
        done = ask(tmp_path, "flatten", other, **venue)
        assert (done.code, done.out.splitlines()[-1]) == (0, "flatten: done"), done


def test_a_run_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        until(lambda: "order: entry" in running.log.read_text(), "an order")
        running.process.kill()
        running.process.wait(GENEROUS_S)
    before = running.log.read_text().count("order: entry")
    with daemon(tmp_path, *FAST) as running:
        running.says("going on where the last run was")
        until(lambda: running.log.read_text().count("order: entry") > before, "the next order")
        assert running.stop(signal.SIGINT) == 0
    assert problems_of(tmp_path, waits=False) == []


def test_a_kill_is_latched_and_obeyed_though_the_journal_is_gone(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        running.says("books agree")
        done = ask(tmp_path, "kill", "--reason", "boom", DATABASE_URL="postgresql://nobody@127.0.0.1:1/gone")
        assert (done.code, "latched in" in done.out, "Nothing is sold yet" in done.out) == (75, True, True), done
        until(lambda: str(running.status()["flags"]["killed"]).startswith("boom (latched"), "the daemon's obedience")  # type: ignore[index]
        until(lambda: running.status()["open_orders"] == 0 and running.status()["positions"] == 0, "everything left")
        assert ask(tmp_path, "resume").code == 0
        assert running.status()["flags"]["killed"] == ""  # type: ignore[index]
        assert list(tmp_path.glob("latch-*")) == []
        assert running.stop() == 0


def test_a_kill_waits_until_nothing_is_held_and_says_what_was_seen(tmp_path: Path) -> None:
    with daemon(tmp_path, *FAST) as running:
        until(lambda: '"fill: buy' in running.log.read_text(), "a position", within=60)
        done = ask(tmp_path, "kill")
        assert (done.code, "kill: done, nothing that could be sold is held (seen 20" in done.out) == (0, True), done
        assert running.status()["positions"] == 0
        assert running.stop() == 0


def test_a_kill_with_the_venue_away_is_not_done(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue, daemon(tmp_path, **venue) as running:
        until(lambda: '"fill: buy' in running.log.read_text(), "a position", within=60)
        running.process.kill()
        running.process.wait(10)
    done = ask(tmp_path, "kill", **venue)  # the exchange has ended
    assert done.code == 69, done
    assert "nothing was sold" in done.out
    assert len(list(tmp_path.glob("latch-sim.json"))) == 1


def test_a_second_daemon_with_another_state_folder_is_refused(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue, daemon(tmp_path / "one", **venue) as running:
        running.says("books agree")
        second = ask(tmp_path / "two", "run", "--plain", **venue)
        assert (second.code, f"process {running.process.pid} on this machine" in second.err) == (73, True), second
