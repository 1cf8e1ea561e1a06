"""A decision says where it stands, why it was needed, what it is and what follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import DECISIONS

STATUSES = ("proposed", "accepted", "superseded by", "withdrawn")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_has_its_four_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    status = re.search(r"^(?:Status:|## Status\n+)\s*(?P<status>.+)$", text, re.MULTILINE)
    assert status, "it needs a line 'Status: accepted, <date>'"
    assert status["status"].lower().startswith(STATUSES)
    for part in ("Context", "Decision", "Consequences"):
        found = re.search(rf"^## {part}\n+(?P<text>.+?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found, f"it needs the heading '## {part}'"
        assert len(found["text"].split()) >= 5, f"'{part}' says nothing"


def test_no_two_decisions_share_a_number() -> None:
    """A gap is allowed: a number is taken when a change begins, and changes do not end in the order they began in."""
    numbers = [page.name[:4] for page in DECISIONS]
    assert sorted(set(numbers)) == numbers


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_the_title_carries_the_number(page: Path) -> None:
    first = page.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"# {int(page.name[:4])}\. \S", first), first
