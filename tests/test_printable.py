"""Whatever comes from outside, what a person sees of it is printable, and can't be taken for a line of ours."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loguru import logger

from settings.load import Loaded, load
from tests.adapters import samples
from tests.test_log_redaction import as_it_was, configured
from tests.waiting import GENEROUS_S
from trader.adapters.journal import Journal
from trader.adapters.notify import _Alert, _body
from trader.commands import show
from trader.commands.options import say
from trader.printable import Guarded, console, printable, printable_json, printable_lines
from trader.terminal.view import render
from trader.trading.status import Board

__all__ = ["as_it_was"]

AT = datetime(2026, 3, 1, tzinfo=UTC)
# clears the screen, in two ways; forges a line; goes back to its start; turns text round; half a letter
ODDITIES = "\x1b[2J", "\x9b2J", "\n2026-01-01 ERROR forged", "\rforged", "\u202e\u2066", "\u2028", "\x00\x7f", "\ud800"
HOSTILE = "".join(ODDITIES)
texts = st.lists(st.one_of(st.sampled_from(ODDITIES), st.text(max_size=5)), max_size=6).map("".join)
kept = texts.map(lambda text: text.encode("utf-8", "replace").decode())  # a database takes no half letters


def assert_harmless(text: str, also: str = "\n") -> None:
    assert [letter for letter in text if not letter.isprintable() and letter not in also] == []


@given(texts)
@example(HOSTILE)
def test_a_line_is_printable_and_json_keeps_its_content(text: str) -> None:
    assert_harmless(printable(text), also="")
    assert_harmless(printable_lines(text), also="\n\t")
    assert printable(printable(text)) == printable(text)
    line = printable_json(json.dumps({"message": text}, ensure_ascii=False))
    assert_harmless(line, also="")
    assert json.loads(line) == {"message": text}


@given(texts)
@example(HOSTILE)
@pytest.mark.usefixtures("as_it_was")
@settings(max_examples=60)
def test_a_log_line_is_one_line_whatever_is_in_it(text: str) -> None:
    for format in ("text", "json"):
        output = configured(format)  # type: ignore[arg-type]
        logger.bind(order=text, nested={text: [text]}).warning("the venue says {}", text)
        written = output.getvalue()
        assert written.count("\n") == 1
        assert_harmless(written)


@given(texts)
@example(HOSTILE)
@settings(max_examples=60)
@pytest.mark.usefixtures("as_it_was")
def test_an_exceptions_text_can_not_look_like_a_record(text: str) -> None:
    for format in ("text", "json"):
        output = configured(format)  # type: ignore[arg-type]
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("failed")
        assert_harmless(output.getvalue(), also="\n")
        first, *others = output.getvalue().removesuffix("\n").split("\n")
        assert "failed" in first
        assert all(line.startswith("    ") for line in others)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    folder = Path(tempfile.mkdtemp(prefix="printable-"))
    return load({"state_dir": str(folder), "trading_mode": "sim"}, environ={}, folder=folder)


@given(kept)
@example("".join(ODDITIES[:-1]))
@settings(max_examples=15, deadline=None)
def test_status_orders_and_alerts_are_printable(loaded: Loaded, text: str) -> None:
    with Journal.open(loaded.settings.database_url) as journal:
        order = replace(samples.order(1), id=f"o{text}", client_order_id=f"c{text}")
        journal.save_sync(samples.portfolio(order), (), ())
        journal.alert("refused", "warning", f"the venue says {text}", AT)
        journal.set_flag("paused", f"a {text}", AT)
        journal.put_status({"phase": f"p{text}", "account": "a", "why": text}, AT)
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", shown)
        for as_json in (False, True):
            show.status(loaded, as_json)
            show.orders(loaded, 50, False, as_json)
    assert_harmless(shown.getvalue())
    assert not any(line.startswith(("2026-01-01 ERROR", "forged")) for line in shown.getvalue().splitlines())


@given(texts)
@example(HOSTILE)
@settings(max_examples=30, deadline=None)
def test_the_view_shows_no_codes_but_its_own(text: str) -> None:
    board = Board(mode="sim", backend=f"b{text}", strategy="s", timeframe="1Hour", symbols=(samples.BTC,))
    board.say("alert", f"the venue says {text}")
    board.reasons[samples.BTC] = text
    board.flags["paused"] = text
    order = replace(samples.order(1), client_order_id=text)
    board.saw_portfolio(samples.portfolio(order))
    file = io.StringIO()
    console(file, force_terminal=True, width=100, height=40).print(render(board, 100, 40))
    assert_harmless(re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()))  # colours
    assert "\x1b[2J" not in file.getvalue()


@given(texts)
@example(HOSTILE)
def test_an_alert_that_leaves_is_one_line(text: str) -> None:
    body = json.loads(_body(_Alert(kind="order", severity="error", detail=text, at=AT), "trader@paper", 0))
    assert_harmless(body["text"], also="")


@given(texts)
@example(HOSTILE)
def test_what_a_command_says_is_one_line(text: str) -> None:
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        say(text)
    assert_harmless(output.getvalue())
    assert output.getvalue().count("\n") == 1


@given(texts)
@example(HOSTILE)
def test_the_standard_streams_let_through_what_is_printable(text: str) -> None:
    stream = io.StringIO()
    print(f"x{text}", file=Guarded(stream))
    assert_harmless(stream.getvalue(), also="\n\t")


def test_the_program_itself_writes_through_them(tmp_path: Path) -> None:
    """An argument, a file's name: the error that quotes it is one harmless line."""
    name = f"{tmp_path}/no\x1b[2J\nforged\u202e.xyz"
    Path(name).touch()
    command = [sys.executable, "-m", "trader", "data", "import", name, "--symbol", "BTC/USD"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=GENEROUS_S, check=False)
    assert done.returncode == 78
    assert_harmless(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert r"no\x1b[2J\nforged\u202e.xyz" in done.stderr
    refused = subprocess.run([*command[:3], "\x1b[2J"], capture_output=True, text=True, timeout=GENEROUS_S, check=False)
    assert_harmless(refused.stderr)
