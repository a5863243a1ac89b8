"""`trader audit`: the account recomputed from the venue alone, held against the journal."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from settings.load import Loaded
from settings.schema import Settings
from trader.adapters.journal import Journal
from trader.adapters.notify import AlertSink
from trader.audit.opinion import Caps, Confirmed, Finding, JournalSays
from trader.audit.venue import VenueReader
from trader.audit.watch import AnchorFile, Watch, as_plain
from trader.core.ids import account_tag
from trader.daemon.account import endpoints_of, latch_of
from trader.errors import ConfigurationError, DatabaseUnusable, Transient


def run(loaded: Loaded, *, watch: bool, as_json: bool, say: Callable[[str], None]) -> int:
    """One opinion, or one after another until it is stopped. Returns 1 where the one opinion found something."""
    settings = loaded.settings
    endpoints = endpoints_of(settings)
    if endpoints is None:
        raise ConfigurationError("a simulation's own exchange has no address to audit; give ALPACA_TRADING_URL")
    key = settings.audit.key_id.get_secret_value() or endpoints.key
    secret = settings.audit.secret_key.get_secret_value() or endpoints.secret
    sink = AlertSink(settings.alerts.webhook_url.get_secret_value() or None, source="trader audit", on_failure=say)
    reader = VenueReader(endpoints.trading_url, key, secret)

    def alert(kind: str, severity: str, text: str) -> None:
        say(f"{severity}: {text}")
        sink.post(kind, severity, text, datetime.now(UTC))

    auditor = Watch(
        venue=reader,
        journal=lambda: _journal(settings),
        anchors=AnchorFile(settings.store.state_dir / f"audit-{settings.trading.trading_mode}.json"),
        caps=Caps(symbol=settings.risk.max_symbol, gross=settings.risk.max_gross),
        latching=settings.audit.latch if watch else "none",
        latch=latch_of(settings).set,
        alert=alert,
        confirmed=Confirmed(looks=settings.audit.looks if watch else 1),
    )
    try:
        if watch:
            return _until_stopped(auditor, settings.audit.every_s, say)
        return _once(auditor, as_json, say)
    finally:
        reader.close()
        sink.close()


def _once(auditor: Watch, as_json: bool, say: Callable[[str], None]) -> int:
    findings = auditor.look(datetime.now(UTC))
    if findings is None:
        raise Transient("the venue could not be read")
    if as_json:
        print(json.dumps(as_plain(findings)))
    elif not findings:
        say("nothing differs: the account adds up by itself, and the journal says the same")
    return 1 if findings else 0


def _until_stopped(auditor: Watch, every_s: float, say: Callable[[str], None]) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    say(f"auditing every {every_s:.0f} s")
    while not stop.is_set():
        found: list[Finding] | None = auditor.look(datetime.now(UTC))
        if found is None:
            say("the venue could not be read; tried again at the next look")
        stop.wait(every_s)
    return 0


def _journal(settings: Settings) -> JournalSays | None:
    try:
        with Journal.open(settings.database_url, create=False) as journal:
            account = journal.get_meta("account")
            if account is None:
                return None
            units = {str(symbol): qty for symbol, qty in journal.believed().positions.items()}
            ids = frozenset(record.intent.client_order_id for record in journal.intents())
    except (DatabaseUnusable, Transient):
        return None
    return JournalSays(units=units, client_ids=ids, tag=f"trd-{account_tag(account)}-")
