"""The page: whole, well-formed, self-contained, and safe to show whatever a run says of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.research.report.scene import BTC, history, run
from trader.research.backtest.figures import figures_of
from trader.research.intervals import Interval
from trader.research.report.report import render, verdict

SECTIONS = ("equity", "summary", "months", "exposure", "costs", "symbols", "candles", "trades", "about")
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Checker(HTMLParser):
    """Notes what does not close, the sections, and every attribute that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.loads += [f"{tag} {name}" for name in given if name in ("src", "href", "srcset", "data", "xlink:href")]
        self.loads += [f"{tag} {name}" for name in given if name.startswith("on")]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.problems == []
    assert checker.stack == []
    return checker


def test_every_part_is_there_once_and_everything_that_opens_closes() -> None:
    page = render(run())
    checker = checked(page)
    assert checker.ids == list(SECTIONS)
    assert page.startswith("<!DOCTYPE html>")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_loads_nothing() -> None:
    page = render(run())
    checker = checked(page)
    assert checker.loads == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & checker.tags
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", page)
    assert "default-src 'none'" in page


HOSTILE = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>&amp;'"


def test_what_a_run_says_of_itself_is_text_and_never_markup() -> None:
    plain = run()
    symbols = tuple(replace(each, symbol=HOSTILE) for each in plain.figures.symbols)
    evil = replace(
        plain,
        title=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        notes=[HOSTILE],
        figures=replace(plain.figures, symbols=symbols),
    )
    page = render(evil)
    checker = checked(page)
    assert not {"script", "img"} & checker.tags
    assert checker.loads == []
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_a_symbol_of_the_venue_can_not_carry_markup_at_all() -> None:
    with pytest.raises(ValueError, match="not a symbol"):
        replace(BTC, text="<B>/USD")


def test_a_run_without_trades_bars_or_forecasts_is_a_page_too() -> None:
    quiet = history(fills=())
    bare = replace(quiet, bars={}, symbols=())
    for events in (quiet, bare):
        page = render(run(history=events, figures=figures_of(events), trades=[], fans={}))
        checked(page)
        assert "It never traded." in page
        assert "There is no trade to show" in page
        assert "No fee was charged." in page
    short = history(fills=(), count=1)
    checked(render(run(history=short, figures=figures_of(short), trades=[])))


def test_the_same_run_is_the_same_bytes() -> None:
    assert render(run()) == render(run())


def test_closes_without_candles_are_a_line() -> None:
    assert 'class="body up"' in render(run())
    assert 'class="body up"' not in render(run(closes_only=True))


def test_the_verdict_says_it_plainly() -> None:
    plain = run()
    account = replace(plain.figures.account, total_return=-0.032, sharpe=-0.4, sharpe_interval=Interval(low=-2, high=1))
    hold = plain.figures.buy_and_hold
    assert hold is not None
    lost = replace(plain.figures, account=account, buy_and_hold=replace(hold, total_return=0.41))
    said = verdict(plain.history, lost)
    assert said.startswith(
        "In 17 days it lost 3.20% after all costs; holding the same symbols would have brought +41.0%"
    )
    assert "can't be told from zero (−2.0 to 1.0 with 95% confidence)" in said
    good = replace(
        lost, account=replace(account, total_return=0.1, sharpe=2.0, sharpe_interval=Interval(low=1, high=3))
    )
    assert "is above zero" in verdict(plain.history, good)
    bad = replace(lost, account=replace(account, sharpe=-2.0, sharpe_interval=Interval(low=-3, high=-1)))
    assert "is below zero" in verdict(plain.history, bad)
    young = replace(lost, account=replace(account, sharpe=None, sharpe_interval=None))
    assert "too short a run" in verdict(plain.history, young)


def test_a_long_run_stays_a_small_file() -> None:
    events = history(count=6_000)
    page = render(run(history=events, figures=figures_of(events)))
    assert len(page) < 250_000
