"""The page in a real browser: it fits a phone, and it prints. Skipped, with the reason, where there is none."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.research.report.scene import run
from trader.research.report.report import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here (looked for {', '.join(NAMES)})")
    return found


def ask(browser: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
            "--hide-scrollbars", "--virtual-time-budget=3000", *arguments,
        ],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout


# The report must not run scripts, so a page around it measures it: how wide it is, how wide its widest parts are.
MEASURE = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="phone" style="width:390px;height:3000px;border:0" srcdoc="PAGE"></iframe>
<iframe id="desk" style="width:1280px;height:3000px;border:0" srcdoc="PAGE"></iframe>
<pre id="out"></pre><script>
window.onload = () => {
  const said = ["phone", "desk"].map(id => {
    const page = document.getElementById(id).contentDocument, width = page.documentElement.clientWidth;
    const over = [...page.querySelectorAll("main *")].filter(
      each => !each.closest(".scroll") && each.getBoundingClientRect().right > width + 1);
    const low = [...page.querySelectorAll(".plot")].filter(each => each.getBoundingClientRect().width < 200);
    return `${id}: wide ${page.documentElement.scrollWidth} of ${width}, over ${over.length}, small ${low.length}`;
  });
  document.getElementById("out").textContent = said.join("; ");
};
</script></body>"""


def test_it_fits_a_phone_and_a_desk_without_scrolling_sideways(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "measure.html"
    page.write_text(MEASURE.replace("PAGE", html.escape(render(run()), quote=True)), encoding="utf-8")
    shown = ask(browser, tmp_path, "--dump-dom", page.as_uri())
    said = re.search(r'<pre id="out">([^<]*)</pre>', shown)
    assert said is not None
    assert said[1] == "phone: wide 390 of 390, over 0, small 0; desk: wide 1280 of 1280, over 0, small 0"


def test_it_prints(browser: str, tmp_path: Path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(render(run()), encoding="utf-8")
    ask(browser, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    printed = paper.read_bytes()
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) <= 8
