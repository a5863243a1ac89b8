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
REPLIES = "tests/forecasters/worker/test_bounded_replies.py"
IN_REPLIES = (
    Mutant(
        "bounds: a worker's answer",
        "forecasters/worker/session.py",
        "_exchange",
        "wire.receive(connection, deadline, most)",
        "wire.receive(connection, deadline)",
        (f"{REPLIES}::test_a_hostile_reply_costs_little_and_one_forecast",),
    ),
    Mutant(
        "bounds: a nest as a notice",
        "forecasters/worker/wire.py",
        "_told",
        "except RecursionError",
        "except KeyError",
        (f"{REPLIES}::test_a_hostile_reply_costs_little_and_one_forecast",),
    ),
    Mutant(
        "bounds: a notice's length",
        "forecasters/worker/wire.py",
        "unpack_notices",
        "text[:LONGEST_TEXT]",
        "text",
        (f"{REPLIES}::test_what_is_kept_of_notices_is_bounded",),
    ),
    Mutant(
        "bounds: how many notices",
        "forecasters/worker/wire.py",
        "unpack_notices",
        "[-MOST_NOTICES:]",
        "",
        (f"{REPLIES}::test_what_is_kept_of_notices_is_bounded",),
    ),
)


def table(name: str, function: str, old: str, new: str) -> Mutant:
    tests = ("tests/exchange/market/test_hostile_tables.py::test_a_hostile_file_costs_little_and_is_refused",)
    return Mutant(f"tables: {name}", "trader/exchange/market/tables.py", function, old, new, tests)


IN_TABLES = (
    table(
        "rows of one figure", "read_parquet", "_refuse_bytes(max(told.num_rows * widths, sum(groups)), budget)", "pass"
    ),
    table("long texts", "read_parquet", "read_dictionary=texts", ""),
    table("lists", "read_parquet", "nested is not None", "False"),
    table("columns", "_refuse_columns", "count > MOST_COLUMNS", "False"),
    table("a line without an end", "read_csv", "len(lines) == 1 and len(head) == _LONGEST_HEAD", "False"),
)

MUTANTS = (*IN_ANSWERS, *IN_STREAM, *IN_REPLIES, *IN_TABLES)
