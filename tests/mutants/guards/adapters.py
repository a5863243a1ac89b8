"""The world's edge: the journal, the latch, the locks, the log and the alerts, the venue's answers, the settings."""

from __future__ import annotations

from tests.mutants.source import Mutant

JOURNAL, ALPACA = "trader/adapters/journal", "trader/adapters/alpaca"
TABLES = ("tests/adapters/test_journal_tables.py",)
KNOWN = ("tests/adapters/test_known_books.py",)
LATCH = ("tests/adapters/test_latch.py",)
LOG = ("tests/test_log_redaction.py",)
SINK = ("tests/adapters/test_alert_sink.py",)
WIRE = ("tests/adapters/test_alpaca_wire.py",)
CONVERT = ("tests/adapters/test_alpaca_convert.py",)
CONTRADICTIONS = ("tests/settings/test_settings_refusals.py::test_contradictions_are_refused",)
ONE_WRITER = "tests/adapters/test_one_writer.py"


def latch(name: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(f"latch: {name}", "trader/adapters/latch.py", function, old, new, LATCH)


IN_LATCH = (
    latch(
        "unreadable is killed",
        "_content",
        'return {"killed": f"the latch {path} can\'t be read: {type(error).__name__}"}',
        "return {}",
    ),
    latch(
        "unknown is killed",
        "_content",
        "not latched or not all(isinstance(reason, str) for reason in latched.values())",
        "False",
    ),
    latch(
        "out of sight is killed",
        "Latch.read",
        'return {"killed": f"the latch {self.path} can\'t be looked at: {error.strerror}"}',
        "return {}",
    ),
    latch("what is latched stays", "Latch.set", "**self.read(),", ""),
    latch("read again once it is another", "Latch.read", "if stamp != self._stamp:", "if not self._read:"),
    latch("no link is followed", "Latch.set", "| os.O_NOFOLLOW", ""),
    latch("its owner's alone", "Latch.set", "0o600", "0o666"),
)
IN_LOCKS = (
    Mutant(
        "lock: one daemon on a machine",
        "trader/adapters/machine_lock.py",
        "MachineLock.acquire",
        "listener.bind(self._name)",
        "pass",
        (f"{ONE_WRITER}::test_an_account_has_one_daemon_on_a_machine_whatever_the_folders",),
    ),
    Mutant(
        "lock: one daemon for an account",
        "trader/adapters/lock.py",
        "AccountLock.acquire",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ("tests/adapters/test_account_lock.py",),
    ),
    Mutant(
        "lock: one writer of a journal",
        JOURNAL,
        "_beside",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        (f"{ONE_WRITER}::test_a_journal_has_one_writer",),
    ),
)
IN_JOURNAL = (
    Mutant(
        "journal: a fill counts once",
        JOURNAL,
        "_put_executions",
        "if execution.id not in stored_executions",
        "",
        TABLES,
    ),
    Mutant(
        "journal: a fill that is told twice at once",
        JOURNAL,
        "_put_executions",
        "for execution in by_id.values() if execution.id not in stored_executions",
        "for execution in executions if execution.id not in stored_executions",
        TABLES,
    ),
    Mutant(
        "journal: a terminal order never opens again",
        JOURNAL,
        "_put_orders",
        'if row["order_id"] not in closed_ids',
        "",
        TABLES,
    ),
    Mutant(
        "journal: a posted fee is not replaced",
        JOURNAL,
        "_put_executions",
        "before.fee_estimated and not after.fee_estimated",
        "not after.fee_estimated",
        TABLES,
    ),
    Mutant("journal: what is not there can't be changed", JOURNAL, "_require_row", "", "pass", TABLES),
    Mutant(
        "journal: a write that failed is not remembered",
        "trader/trading",
        "Known.add_intent",
        "live, self._live = self._live, None",
        "live = self._live",
        KNOWN,
    ),
    Mutant(
        "journal: a state that failed is not remembered",
        "trader/trading",
        "Known.set_intent",
        "live, self._live = self._live, None",
        "live = self._live",
        KNOWN,
    ),
)
IN_LOG = (
    Mutant(
        "log: a message's secrets", "trader/log.py", "_patcher", 'redact(record["message"])', 'record["message"]', LOG
    ),
    Mutant("log: an exception's secrets", "trader/log.py", "_writer", "redact(line)", "line", LOG),
    Mutant(
        "log: an exception's secrets in JSON",
        "trader/log.py",
        "_json_line",
        'redact("".join(lines))',
        '"".join(lines)',
        LOG,
    ),
    Mutant(
        "log: secrets in a record's extra",
        "trader/log.py",
        "_clean",
        "return redact(str(value))",
        "return str(value)",
        LOG,
    ),
    Mutant("log: local variables", "trader/log.py", "configure", "diagnose=False", "diagnose=True", LOG),
    Mutant("log: a secret within JSON", "settings/redaction.py", "_spellings", "json.dumps(secret)[1:-1],", "", LOG),
    Mutant(
        "log: a secret in an address",
        "settings/redaction.py",
        "_spellings",
        'quote(secret, safe=""), quote(secret)',
        "",
        LOG,
    ),
    Mutant("log: the longest secret first", "settings/redaction.py", "redactor", "reverse=True", "reverse=False", LOG),
    Mutant(
        "alert: no address in a failure",
        "trader/adapters/notify.py",
        "AlertSink._attempt",
        "{type(error).__name__}",
        "{error} {self._url}",
        SINK,
    ),
    Mutant(
        "alert: an address that is none",
        "trader/adapters/notify.py",
        "AlertSink.__init__",
        'url is not None and not url.startswith(("https://", "http://"))',
        "False",
        SINK,
    ),
    Mutant(
        "alert: the newest are kept",
        "trader/adapters/notify.py",
        "AlertSink.post",
        "len(self._waiting) >= self._capacity",
        "False",
        SINK,
    ),
)
IN_ALPACA = (
    Mutant(
        "venue: a fill that is told twice",
        ALPACA,
        "activities_of",
        "fills[fill.id] = fill",
        "fills[fill.id + str(len(fills))] = fill",
        CONVERT,
    ),
    Mutant(
        "venue: an activity that was taken back",
        ALPACA,
        "_posting_of",
        'body.get("status") == "canceled"',
        "False",
        CONVERT,
    ),
    Mutant("venue: a dividend moves no units", ALPACA, "_posting_of", "kind in _WITH_UNITS and", "", CONVERT),
)


ANSWERS = ("tests/adapters/test_alpaca_answers.py",)
IN_ANSWERS = (
    Mutant(
        "keys: one refusal is not the end",
        ALPACA,
        "Keys.refused",
        "now - self._since >= self._confirm_s",
        "True",
        ANSWERS,
    ),
    Mutant(
        "keys: they are good after any other answer",
        ALPACA,
        "Keys.taken",
        "self._since, self._refusals = None, 0",
        "pass",
        ANSWERS,
    ),
    Mutant(
        "answer: a Retry-After has a bound",
        ALPACA,
        "retry_after_s",
        "min(float(text), LONGEST_HOLD_S)",
        "float(text)",
        ANSWERS,
    ),
    Mutant("answer: an order of this name is there", ALPACA, "_is_duplicate", "", "return False", ANSWERS),
)


def setting(name: str, function: str, old: str) -> Mutant:
    return Mutant(
        f"settings: {name}",
        "settings/schema.py",
        function,
        old,
        "False and" if old.endswith(" and") else "False",
        CONTRADICTIONS,
    )


IN_SETTINGS = (
    setting("live names its account", "_mode_rules", "live and not trading.live_account"),
    setting("live needs real quotes", "_mode_rules", "live and not trading.add_latest"),
    setting("an old name that contradicts", "_mode_rules", "trading.paper is not None and trading.paper is live"),
    setting("a paper key in live", "_key_rules", 'mode == "live" and key.startswith("PK")'),
    setting("a live key in paper", "_key_rules", 'mode == "paper" and key.startswith("AK")'),
    setting("another mode's address", "_url_rules", "host == wrong_host"),
    setting(
        "the real venue in a simulation", "_url_rules", 'mode == "sim" and is_alpacas(getattr(settings.venue, field))'
    ),
    setting("keys in the clear", "_url_rules", 'mode != "sim" and parts.scheme in ("http", "ws") and'),
)
MUTANTS = (*IN_LATCH, *IN_LOCKS, *IN_JOURNAL, *IN_LOG, *IN_ALPACA, *IN_ANSWERS, *IN_SETTINGS)
