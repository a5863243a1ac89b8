"""Every link of every page leads somewhere: files and anchors; pages elsewhere are not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, name_of, pages

ELSEWHERE = ("https://", "http://", "mailto:")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for line, target in links(page):
        if target.startswith(ELSEWHERE):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            broken.append(f"{name_of(page)}:{line}: {target}")
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [target.partition("#")[0] for _, target in links(page) if not target.startswith(ELSEWHERE)]
        waiting += [
            place for t in targets if (place := (page.parent / t).resolve()).suffix == ".md" and place.is_file()
        ]
    assert [name_of(page) for page in pages() if page not in reached] == []
