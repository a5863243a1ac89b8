"""The pages that people read, taken apart: code blocks with their marks, headings as anchors, links.

The parser comes with rich, which the program needs anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
# A mark stands in a comment of its own, right before the block that it speaks of.
MARK = re.compile(r"<!--\s*(not run|file|exit):\s*(.+?)\s*-->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block. `mark` is what the comment before it says: ("not run", why), ("file", name), ("exit", code)."""

    language: str
    text: str
    line: int
    mark: tuple[str, str] | None


def pages() -> list[Path]:
    """README, what stands beside it, and every page of docs/ and of its examples."""
    beside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [page for page in beside if page.is_file()] + sorted((ROOT / "docs").rglob("*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> Iterator[Block]:
    """In the page's order."""
    previous: Token | None = None
    for token in tokens_of(page):
        if token.type in ("fence", "code_block"):
            found = MARK.search(previous.content) if previous is not None and previous.type == "html_block" else None
            words = token.info.split()
            yield Block(
                language=words[0] if words else "",
                text=token.content,
                line=(token.map or [0])[0] + 1,
                mark=(found[1], found[2]) if found else None,
            )
        previous = token


def anchors(page: Path) -> set[str]:
    """What `#...` can name on a page, made as GitHub makes it: small letters, dashes for blanks, no punctuation."""
    found: set[str] = set()
    tokens = tokens_of(page)
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            bare = re.sub(r"[^\w\- ]", "", text.content.replace("`", "").lower())
            anchor = bare.strip().replace(" ", "-")
            found.add(anchor)
    return found


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of every link and picture."""
    for token in tokens_of(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if isinstance(target, str):
                yield (token.map or [0])[0] + 1, target


def prose(page: Path) -> str:
    return page.read_text(encoding="utf-8")
