"""The page of an evaluation in a real browser. Skipped, with the reason, where there is none."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.research.evaluate.test_evaluation import found
from tests.research.report.test_report_browser import MEASURE, ask, browser
from trader.research.evaluate.evaluate import Evaluation
from trader.research.evaluate.html import page

__all__ = ["browser", "found"]


def test_it_fits_a_phone_and_a_desk_without_scrolling_sideways(
    browser: str,
    found: Evaluation,
    tmp_path: Path,
) -> None:
    pytest.importorskip("matplotlib")
    around = tmp_path / "measure.html"
    around.write_text(MEASURE.replace("PAGE", html.escape(page(found), quote=True)), encoding="utf-8")
    said = re.search(r'<pre id="out">([^<]*)</pre>', ask(browser, tmp_path, "--dump-dom", around.as_uri()))
    assert said is not None
    assert said[1] == "phone: wide 390 of 390, over 0, small 0; desk: wide 1280 of 1280, over 0, small 0"
