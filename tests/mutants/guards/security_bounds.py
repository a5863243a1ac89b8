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
        "",
        "return self._stream.readinto(buffer)",
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
        "bounds: a head that trickles to the audit",
        "trader/bounded/adapter.py",
        "DeadlineAdapter.init_poolmanager",
        "self._make_timely(self.poolmanager)",
        "pass",
        (f"{COSTS}::test_the_audit_does_not_wait_for_ever",),
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
DOOR = "tests/exchange/api/test_door.py"


def door(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"door: {name}", "trader/exchange/api/door.py", "turned_away", old, new, (f"{DOOR}::{test}",))


PAGE = "test_a_page_from_elsewhere_is_turned_away"
IN_DOOR = (
    door("a rebound host", "not _is_here(hosts[0])", "False", PAGE),
    door("two hosts", "len(hosts) != 1 or", "not hosts or", "test_two_hosts_are_none"),
    door("another origin", 'any(origin.lower() != f"http://{hosts[0]}" for origin in origins)', "False", PAGE),
    door("a page's request without an origin", "not _OURS.issuperset(sites)", "False", PAGE),
    Mutant(
        "door: a page's websocket",
        "trader/exchange/api/routes.py",
        "Front.__call__",
        "why := turned_away(scope)",
        'scope["type"] == "http" and (why := turned_away(scope))',
        (f"{DOOR}::test_a_websocket_of_a_page_from_elsewhere_is_turned_away",),
    ),
    Mutant(
        "door: keys on /sim",
        "trader/exchange/api/simulation.py",
        "endpoint",
        "exchange.keeps_out(request.headers)",
        "None",
        (f"{DOOR}::test_where_keys_are_asked_for_they_are_for_sim_too",),
    ),
    Mutant(
        "door: the own exchange's keys",
        "trader/daemon/simulation.py",
        "_start",
        ", (key, secret)))",
        "))",
        ("tests/daemon/test_own_exchange.py",),
    ),
    Mutant(
        "alerts: a redirect",
        "trader/adapters/notify.py",
        "AlertSink.__init__",
        "urllib.request.build_opener(_NoRedirect)",
        "urllib.request.build_opener()",
        ("tests/adapters/test_alert_sink.py::test_a_redirect_is_no_delivery_and_is_not_followed",),
    ),
)
SHOWN = "tests/test_printable.py"


def shown(name: str, where: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"printable: {name}", where, function, old, new, (f"{SHOWN}::{test}",))


IN_SHOWN = (
    shown(
        "a text log's message",
        "trader/log.py",
        "_text_format",
        'printable(record["message"]), printable(shown)',
        'record["message"], shown',
        "test_a_log_line_is_one_line_whatever_is_in_it",
    ),
    shown(
        "an exception's text",
        "trader/log.py",
        "_below_each_other",
        "",
        "return text",
        "test_an_exceptions_text_can_not_look_like_a_record",
    ),
    shown(
        "a JSON log",
        "trader/log.py",
        "_writer",
        "if as_text else printable_json",
        "if as_text else str",
        "test_a_log_line_is_one_line_whatever_is_in_it",
    ),
    shown(
        "a table's cell",
        "trader/commands/show.py",
        "_table",
        "printable(str(cell))",
        "str(cell)",
        "test_status_orders_and_alerts_are_printable",
    ),
    shown(
        "the view",
        "trader/printable.py",
        "Printable._render_buffer",
        "map(_harmless, buffer)",
        "buffer",
        "test_the_view_shows_no_codes_but_its_own",
    ),
    shown(
        "an alert that leaves",
        "trader/adapters/notify.py",
        "_body",
        "printable(alert.detail)",
        "alert.detail",
        "test_an_alert_that_leaves_is_one_line",
    ),
    shown(
        "what a command says",
        "trader/commands/options.py",
        "say",
        "printable(line)",
        "line",
        "test_what_a_command_says_is_one_line",
    ),
    shown(
        "the standard streams",
        "trader/printable.py",
        "Guarded.write",
        "printable_lines(text[start:])",
        "text[start:]",
        "test_the_standard_streams_let_through_what_is_printable",
    ),
    shown(
        "the program's last line",
        "trader/__main__.py",
        "_command",
        "printable(clean(str(error)))",
        "clean(str(error))",
        "test_the_program_itself_writes_through_them",
    ),
)

MUTANTS = (*IN_ANSWERS, *IN_STREAM, *IN_REPLIES, *IN_TABLES, *IN_DOOR, *IN_SHOWN)
