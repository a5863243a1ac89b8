"""The log: one sink, whole lines, and no planted secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from settings.load import SettingsError, load
from settings.redaction import MASK, redactor
from trader import log

SECRET = 'planted/"Secret"\\+9é'
ENVIRON = {
    "HOME": "/h",
    "TRADING_MODE": "paper",
    "ALPACA_API_KEY_ID": "PKPLANTED",
    "ALPACA_API_SECRET_KEY": "planted+/9",
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The log is the process's: put back what pytest had."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    logger.remove()
    logger.configure(patcher=lambda _: None, extra={})
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


class Output(io.StringIO):
    """A sink that remembers."""

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines()]


def configured(format: log.Format = "json", level: str = "INFO", secrets: tuple[str, ...] = (SECRET,)) -> Output:
    output = Output()
    log.configure(level, format, secrets, output)
    return output


def spellings(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}


def assert_clean(text: str, secret: str = SECRET) -> None:
    assert [spelling for spelling in spellings(secret) if spelling in text] == []
    assert MASK in text


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_secret_is_masked_in_message_arguments_and_extra(format: log.Format) -> None:
    output = configured(format)
    logger.info(f"the key is {SECRET}")
    logger.info("the key is {}", SECRET)
    logger.bind(key=SECRET, nested={"a": [SECRET, {SECRET: 1}]}, thing=Path(f"/{SECRET}")).info("bound")
    with logger.contextualize(cycle=SECRET):
        logger.info("in context")
    assert len(output.lines()) == 4
    for line in output.lines():
        assert_clean(line)


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_secret_is_masked_in_an_exception_and_its_causes(format: log.Format) -> None:
    output = configured(format)
    try:
        try:
            raise ValueError({"key": SECRET})
        except ValueError as error:
            raise RuntimeError(f"because of {SECRET}") from error
    except RuntimeError:
        logger.exception("failed")
    assert_clean(output.getvalue())
    assert "RuntimeError" in output.getvalue()
    assert "direct cause" in output.getvalue()


def test_local_variables_are_never_shown() -> None:
    output = configured("text", secrets=())
    try:
        password = "not known to the log"
        _ = {}[len(password)]
    except KeyError:
        logger.exception("failed")
    assert "not known to the log" not in output.getvalue().replace('password = "not known to the log"', "")


@pytest.mark.parametrize("format", ["text", "json"])
def test_libraries_go_through_the_same_sink(format: log.Format) -> None:
    early = logging.getLogger("uvicorn.error")
    early.addHandler(logging.StreamHandler(io.StringIO()))
    early.propagate = False
    output = configured(format)
    early.error("with %s", SECRET)
    logging.getLogger("alpaca.trading.stream").warning("{braces} and %s", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("sqlalchemy").exception("failed")
    assert_clean(output.getvalue())
    assert "{braces} and" in output.getvalue()
    assert "alpaca.trading.stream" in output.getvalue()
    assert early.handlers == []


def test_chatty_libraries_are_quiet_unless_debugging() -> None:
    output = configured()
    logging.getLogger("apscheduler.executors.default").info("ran")
    logging.getLogger("apscheduler").info("ran")
    assert output.lines() == []


def test_levels_below_the_configured_one_are_not_written() -> None:
    output = configured(level="WARNING")
    logger.info("no")
    logging.getLogger("x").info("no")
    logger.warning("yes")
    assert [record["message"] for record in output.records()] == ["yes"]


def test_a_json_line_is_one_object_with_its_extras_beside_the_message() -> None:
    output = configured()
    logger.bind(cycle="c1", equity=Decimal("1.50"), ratio=float("nan"), level="mine").info("two\nlines")
    (record,) = output.records()
    assert (record["message"], record["cycle"], record["equity"]) == ("two\nlines", "c1", "1.50")
    assert (record["level"], record["level_"], record["ratio"]) == ("INFO", "mine", "nan")
    assert str(record["time"]).endswith("+00:00")


def test_a_text_line_shows_extras_and_leaves_braces_alone() -> None:
    output = configured("text")
    logger.bind(reason="{not a field} <red>").info("said {}", "{this}")
    (line,) = output.lines()
    assert "said {this} reason={not a field} <red>" in line


def test_auto_is_json_where_no_one_is_watching() -> None:
    output = configured("auto")
    logger.info("hello")
    assert output.records()[0]["message"] == "hello"


def test_configuring_again_replaces_the_sink() -> None:
    first, second = configured(), configured()
    logger.info("once")
    assert (len(first.lines()), len(second.lines())) == (0, 1)


def test_a_closed_output_does_not_stop_the_caller() -> None:
    output = configured()
    output.close()
    logger.error("nobody hears this")


def test_a_character_that_the_output_can_not_encode_costs_only_itself() -> None:
    raw = io.BytesIO()
    log.configure("INFO", "text", [SECRET], io.TextIOWrapper(raw, encoding="ascii"))
    logger.info("price in € of \ud800 and {}", SECRET)
    assert b"price in \\u20ac of \\ud800 and **********" in raw.getvalue()


def test_a_threads_end_is_logged_without_secrets() -> None:
    output = configured()

    def fail() -> None:
        raise RuntimeError(SECRET)

    thread = threading.Thread(target=fail, name="stream")
    thread.start()
    thread.join()
    assert "stream ended unexpectedly" in output.getvalue()
    assert_clean(output.getvalue())


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_uncaught_error_leaves_no_secret_on_any_stream(format: str) -> None:
    code = f"from trader import log; log.configure('INFO', {format!r}, ['planted-secret']); key = 'planted-secret'\n"
    code += "raise RuntimeError('key ' + key)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "RuntimeError" in run.stdout
    assert "planted-secret" not in (run.stdout + run.stderr).replace("key = 'planted-secret'", "")


def test_what_settings_call_secret_is_what_the_log_masks(tmp_path: Path) -> None:
    settings = load(environ=ENVIRON, folder=tmp_path).settings
    output = configured("text", secrets=settings.secrets())
    venue = settings.venue
    logger.info(
        "{} {} {}", settings, venue.alpaca_api_key_id.get_secret_value(), venue.alpaca_api_secret_key.get_secret_value()
    )
    with pytest.raises(SettingsError) as caught:
        load(environ=ENVIRON | {"LOG_LEVEL": "planted+/9"}, folder=tmp_path)
    logger.opt(exception=caught.value).error("not reloaded")
    assert "PKPLANTED" not in output.getvalue()
    assert "planted+/9" not in output.getvalue()


@given(st.text(min_size=4, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_whatever_the_secret_no_json_line_holds_it(secret: str, before: str, after: str) -> None:
    redact = redactor([secret])
    assert secret not in redact(before + secret + after) or secret in MASK
    line = json.dumps({"message": redact(before + secret + after)}, ensure_ascii=False)
    assert json.loads(line)["message"].count(MASK) >= 1


def test_a_secret_is_masked_however_it_is_spelt() -> None:
    redact = redactor([SECRET])
    for spelling in (SECRET, json.dumps(SECRET), repr(SECRET), quote(SECRET, safe=""), quote(SECRET)):
        assert "planted" not in redact(f"said: {spelling}")


def test_a_secret_that_begins_like_another_is_masked_whole() -> None:
    for secrets in (["planted", "planted-and-more"], ["planted-and-more", "planted"]):
        assert redactor(secrets)("planted-and-more, planted") == f"{MASK}, {MASK}"


# ---- each place by itself: the last look at the whole line would hide that an earlier one is gone ----


def test_another_sink_gets_no_secret_in_message_or_extra() -> None:
    configured()
    seen: list[tuple[str, object]] = []
    logger.add(lambda message: seen.append((message.record["message"], message.record["extra"]["about"])))
    logger.bind(about={"key": [SECRET]}).info("the key is {}", SECRET)
    assert seen == [(f"the key is {MASK}", {"key": [MASK]})]


def test_an_exceptions_text_is_clean_before_it_is_json() -> None:
    configured()
    records: list[str] = []
    logger.add(lambda message: records.append(log._json_line(message.record, redactor((SECRET,)))))
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("failed")
    [line] = records
    assert json.loads(line)["exception"].rstrip().endswith(f"ValueError: {MASK}")


def test_a_secret_as_json_spells_it_goes_whole() -> None:
    assert redactor((SECRET,))(json.dumps({"key": SECRET})) == json.dumps({"key": MASK}, ensure_ascii=False)
