"""The second opinion, side by side with a world that is wrong in one place each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trader.audit.opinion import Anchor, Caps, Confirmed, Finding, JournalSays, opinion
from trader.audit.venue import Holding, Movement, OpenOrder, Report
from trader.audit.watch import AnchorFile, Watch
from trader.errors import Transient

D = Decimal
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CAPS = Caps(symbol=D("0.2"), gross=D("0.8"))
ANCHOR = Anchor(cash=D(100_000), units={}, seen=frozenset({"old"}))
BUY = Movement(id="1", kind="FILL", symbol="BTCUSD", cash=D(-10_000), qty=D("0.1"))
FEE = Movement(id="2", kind="CFEE", symbol="BTCUSD", cash=D(0), qty=D("-0.00025"))
OLD = Movement(id="old", kind="FILL", symbol="BTCUSD", cash=D(-500), qty=D("0.005"))
STOP = OpenOrder(
    id="s", client_order_id="trd-aaaaaaaa-x", symbol="BTCUSD", side="sell", type="stop_limit",
    rests_a_stop=True, remaining=D("0.09975"), price=D(97_000),
)  # fmt: skip
SOUND = Report(
    account_id="a",
    cash=D(90_000),
    equity=D(99_975),
    holdings=[Holding(symbol="BTCUSD", qty=D("0.09975"), mark=D(100_000))],
    orders=[STOP],
    movements=[OLD, BUY, FEE],
    unread=[],
)
JOURNAL = JournalSays(units={"BTC/USD": D("0.09975")}, client_ids=frozenset({"trd-aaaaaaaa-x"}), tag="trd-aaaaaaaa-")


def keys(report: Report, journal: JournalSays | None = JOURNAL) -> list[str]:
    return [finding.key for finding in opinion(report, ANCHOR, journal, CAPS)]


def test_a_sound_account_gives_no_finding() -> None:
    assert keys(SOUND) == []
    assert keys(SOUND, None) == []


def test_fees_of_the_day_that_are_not_posted_yet_are_no_finding() -> None:
    assert keys(replace(SOUND, movements=[BUY])) == []


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (replace(SOUND, cash=D(91_000)), "cash"),
        (replace(SOUND, cash=D(-90_000)), "cash"),
        (replace(SOUND, movements=[FEE]), "cash"),
        (replace(SOUND, holdings=[replace(SOUND.holdings[0], qty=D("0.9975"))]), "units BTCUSD"),
        (replace(SOUND, holdings=[]), "units BTCUSD"),
        (replace(SOUND, holdings=[*SOUND.holdings, Holding(symbol="ETHUSD", qty=D(1), mark=D(9))]), "units ETHUSD"),
        (replace(SOUND, holdings=[replace(SOUND.holdings[0], mark=D(1_000_000))]), "cap BTCUSD"),
        (replace(SOUND, holdings=[replace(SOUND.holdings[0], mark=None)]), "marks"),
        (replace(SOUND, orders=[]), "unprotected BTCUSD"),
        (replace(SOUND, orders=[replace(STOP, side="buy")]), "unprotected BTCUSD"),
        (replace(SOUND, orders=[STOP, replace(STOP, id="t", client_order_id="trd-aaaaaaaa-y")]), "order t"),
        (replace(SOUND, unread=["a position in X without a quantity"]), "unread a position in X without a quantity"),
    ],
)
def test_the_venue_wrong_in_one_place_is_noticed(wrong: Report, key: str) -> None:
    assert key in keys(wrong)


@pytest.mark.parametrize(
    ("journal", "key"),
    [
        (replace(JOURNAL, units={}), "journal BTCUSD"),
        (replace(JOURNAL, units={"BTC/USD": D("0.1995")}), "journal BTCUSD"),
        (replace(JOURNAL, units={**JOURNAL.units, "ETH/USD": D(1)}), "journal ETHUSD"),
        (replace(JOURNAL, client_ids=frozenset()), "order s"),
    ],
)
def test_the_journal_wrong_in_one_place_is_noticed(journal: JournalSays, key: str) -> None:
    assert keys(SOUND, journal) == [key]


def test_a_persons_order_is_no_finding() -> None:
    theirs = replace(STOP, id="p", client_order_id="by hand", side="buy")
    assert keys(replace(SOUND, orders=[STOP, theirs])) == []


def test_a_deposit_explains_its_cash() -> None:
    paid = Movement(id="3", kind="CSD", symbol="", cash=D(5_000), qty=D(0))
    assert keys(replace(SOUND, cash=D(95_000), movements=[BUY, FEE, paid])) == []


def test_a_finding_is_told_once_it_stood_in_looks_in_a_row_and_again_when_it_is_over() -> None:
    confirmed, finding = Confirmed(looks=2), Finding(key="cash", text="1")
    assert confirmed.take([finding]) == ([], [])
    assert confirmed.take([]) == ([], [])
    assert confirmed.take([finding]) == ([], [])
    later = replace(finding, text="2")
    assert confirmed.take([later]) == ([later], [])
    assert confirmed.take([finding]) == ([], [])  # told already
    assert confirmed.take([]) == ([], ["cash"])


class Scripted:
    """A venue that says what a test wants, look by look."""

    def __init__(self, *reports: Report | None) -> None:
        self.reports = list(reports)

    def now(self) -> datetime:
        return NOON

    def report(self, since: datetime) -> Report:
        said = self.reports.pop(0)
        if said is None:
            raise Transient("/v2/account: 502")
        return said


def watch(folder: Path, venue: Scripted, journal: JournalSays | None = JOURNAL) -> tuple[Watch, list[str], list[str]]:
    alerts, latched = list[str](), list[str]()
    made = Watch(
        venue=venue,
        journal=lambda: journal,
        anchors=AnchorFile(folder / "audit.json"),
        caps=CAPS,
        latching="halt",
        latch=lambda flag, reason, at: latched.append(f"{flag}: {reason}"),
        alert=lambda kind, severity, text: alerts.append(f"{severity}: {text}"),
    )
    return made, alerts, latched


def test_the_anchor_outlives_a_restart_and_a_confirmed_difference_latches_a_halt(tmp_path: Path) -> None:
    first, alerts, latched = watch(tmp_path, Scripted(SOUND))
    assert first.look(NOON) == []
    wrong = replace(SOUND, cash=D(80_000))
    again, alerts, latched = watch(tmp_path, Scripted(wrong, None, wrong))
    assert again.look(NOON + timedelta(minutes=3)) == []
    assert again.look(NOON + timedelta(minutes=6)) is None  # a look in vain is no look without the difference
    assert [finding.key for finding in again.look(NOON + timedelta(minutes=9)) or []] == ["cash"]
    assert alerts == ["error: the venue's activities make a cash of 90000.00, it says 80000.00"]
    assert latched == ["halted: audit: the venue's activities make a cash of 90000.00, it says 80000.00"]


def test_a_venue_that_stays_away_is_told_and_latches_nothing(tmp_path: Path) -> None:
    made, alerts, latched = watch(tmp_path, Scripted(*[None] * 5))
    for minute in range(5):
        assert made.look(NOON + timedelta(minutes=minute)) is None
    assert alerts == ["warning: the venue could not be audited 3 times: /v2/account: 502"]
    assert latched == []
