"""Every code block of every page runs, or says why it does not."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, name_of, pages
from tests.docs.running import checkout, run

RUN = ("sh", "python")
SHOWN = ("text", "mermaid", "json", "toml", "ini")  # nothing that could be run


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_names_its_language_and_a_mark_says_why(page: Path) -> None:
    wrong = [f"{name_of(page)}:{block.line}: {fault}" for block in blocks(page) if (fault := _fault(block))]
    assert not wrong


def _fault(block: Block) -> str:
    if block.language not in (*RUN, *SHOWN):
        return f"write one of {', '.join((*RUN, *SHOWN))} after the ```"
    if block.mark and block.language not in RUN and block.mark[0] != "file":
        return f"what is {block.language} is never run: it needs no mark"
    return ""


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_json_that_is_shown_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)


def runnable(page: Path) -> list[Block]:
    """What has to be done for a page: blocks to run, and files that they need."""
    marked = [block for block in blocks(page) if block.mark is None or block.mark[0] != "not run"]
    return [block for block in marked if block.mark is not None or block.language in RUN]


# The examples' own pages are run in their own folders, by the examples' tests.
RUN_HERE = [page for page in pages() if "examples" not in page.parts and runnable(page)]


@pytest.mark.timeout(900)  # whole commands one after the other: on a busy machine that is no sign of anything
@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_the_blocks_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    for block in runnable(page):
        kind, said = block.mark or ("exit", "0")
        if kind == "file":
            (folder / said).parent.mkdir(parents=True, exist_ok=True)
            (folder / said).write_text(block.text)
            continue
        done = run(block, folder)
        where = f"{name_of(page)}:{block.line} ended with {done.returncode}"
        if find_spec("torch") is None and "kronos can't run here" in done.stderr:
            pytest.skip("Kronos needs torch: make models")
        assert done.returncode == int(said), f"{where}\n{block.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
