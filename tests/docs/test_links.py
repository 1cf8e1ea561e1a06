"""Links lead somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import PAGES, ROOM_PAGES, ROOT, anchors, links

RELATIVE = [
    (page, link)
    for page in (*PAGES, *ROOM_PAGES)
    for link in links(page)
    if not urlsplit(link).scheme and not link.startswith("//")
]


@pytest.mark.parametrize(("page", "link"), RELATIVE, ids=lambda each: str(each).removeprefix(f"{ROOT}/"))
def test_a_relative_link_leads_to_a_page_and_a_heading(page: Path, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (page.parent / unquote(target)).resolve() if target else page
    assert path.is_relative_to(ROOT), f"{link} leaves the repository"
    assert path.exists(), f"{link} leads nowhere"
    if anchor and path.suffix == ".md":
        assert anchor in anchors(path), f"{target or page.name} has no heading #{anchor}"


def test_every_page_of_the_guide_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    open_pages = [ROOT / "README.md"]
    while open_pages:
        page = open_pages.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        for link in links(page):
            if not urlsplit(link).scheme:
                path = (page.parent / unquote(link.partition("#")[0])).resolve()
                open_pages += sorted(path.glob("*.md")) if path.is_dir() else [path]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []
