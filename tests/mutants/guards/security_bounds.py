"""What others send: bounded, printable, and asked for by this machine's programs only."""

from __future__ import annotations

from tests.mutants.source import Mutant

ANSWERS = "trader/bounded/answers.py"
COSTS = "tests/adapters/test_bounded_answers.py"
STREAM = "tests/adapters/test_hostile_stream.py"


def answer(name: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"bounds: {name}", ANSWERS, function, old, new, (f"{COSTS}::{test}",))


TRICKLE = "test_a_head_that_trickles_ends_at_the_deadline"
HOSTILE = "test_a_hostile_answer_costs_the_daemon_little_and_is_a_failed_read"
IN_ANSWERS = (
    answer("bytes of an answer", "gathered", "len(whole) > most", "False", HOSTILE),
    answer("bytes after unpacking", "unpacked", "body, most + 1", "body", HOSTILE),
    answer("an encoding not asked for", "unpacked", 'encoding != "gzip"', "False", HOSTILE),
    answer("lists and objects", "read_json", 'text.count("{") + text.count("[") > MOST_CONTAINERS', "False", HOSTILE),
    answer("values", "read_json", 'text.count(",") + text.count(":") > MOST_VALUES', "False", HOSTILE),
    answer("nesting", "read_json", "_is_deep(found)", "False", HOSTILE),
    answer("half a character", "read_json", "json.dumps(found, ensure_ascii=False).encode()", "pass", HOSTILE),
    answer(
        "a head that trickles",
        "_Timely.readinto",
        "left_s <= 0",
        "False",
        TRICKLE,
    ),
    Mutant(
        "bounds: a refusal of any size",
        "trader/bounded/adapter.py",
        "most_bytes",
        "MOST_BYTES if status < 400 else MOST_ERROR_BYTES",
        "MOST_BYTES",
        (f"{COSTS}::test_a_refusal_that_is_no_refusal_is_trouble",),
    ),
    Mutant(
        "bounds: a kept connection's time",
        "trader/adapters/alpaca/direct.py",
        "DirectSession._connect",
        "connection.sock.settimeout(self._read_s)  # the last answer's deadline has shortened it",
        "pass",
        (f"{COSTS}::test_a_connection_that_was_kept_has_its_whole_time_again",),
    ),
)
IN_STREAM = (
    Mutant(
        "stream: a message of any size",
        "trader/adapters/alpaca/stream.py",
        "TradeUpdates._listen",
        "max_size=_MOST_BYTES,",
        "",
        (f"{STREAM}::test_a_message_of_megabytes_ends_the_connection_and_another_is_made",),
    ),
    Mutant(
        "stream: it outlives what an update brings about",
        "trader/adapters/alpaca/stream.py",
        "TradeUpdates._run",
        "except Exception:",
        "except _Refused:",
        (f"{STREAM}::test_whatever_an_update_brings_about_the_next_are_heard",),
    ),
)

MUTANTS = (*IN_ANSWERS, *IN_STREAM)
