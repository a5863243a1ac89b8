"""How pages are taken apart, and that a block which fails is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, anchors, blocks, links
from tests.docs.running import run

PAGE = """\
# A page

<!-- not run: it needs keys -->
```sh
trader run --mode paper
```

Text, and [a link](other.md#part-two).

## What `config show` says

```python
print(1)
```

    trader status
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_mark_is_of_the_block_right_after_it(page: Path) -> None:
    found = [(block.language, block.mark, block.line) for block in blocks(page)]
    assert found == [("sh", ("not run", "it needs keys"), 4), ("python", None, 12), ("", None, 16)]


def test_anchors_are_those_that_a_host_makes(page: Path) -> None:
    assert anchors(page) == {"a-page", "what-config-show-says"}
    assert list(links(page)) == [(8, "other.md#part-two")]


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [("sh", "false\ntrue", 1), ("sh", "false | true", 1), ("sh", "exit 78", 78), ("python", "raise SystemExit(3)", 3)],
)
def test_a_block_that_fails_in_any_line_is_noticed(language: str, text: str, code: int, tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    assert run(Block(language=language, text=text, line=1, mark=None), tmp_path).returncode == code


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100
