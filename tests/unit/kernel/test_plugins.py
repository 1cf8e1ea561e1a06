from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from flyball.kernel.errors import MissingExtra, NotFound
from flyball.kernel.plugins import load_plugin


@pytest.fixture(autouse=True)
def offers(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "flyball.shapes"
    offered = EntryPoints(
        [
            EntryPoint(name="fraction", value="fractions:Fraction", group=group),
            EntryPoint(name="broken", value="no_such_library.inside:Thing", group=group),
        ]
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: offered.select(group=group))


def test_a_plugin_is_loaded_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fractions", raising=False)
    loaded = load_plugin("shapes", "fraction")
    assert loaded is sys.modules["fractions"].Fraction


def test_an_unknown_plugin_names_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"no 'circle' in flyball\.shapes; installed: broken, fraction"):
        load_plugin("shapes", "circle")


def test_a_group_that_nobody_offers_says_so() -> None:
    with pytest.raises(NotFound, match="installed: none"):
        load_plugin("sounds", "beep")


def test_a_plugin_whose_library_is_missing_names_it() -> None:
    with pytest.raises(MissingExtra, match="no_such_library is not installed"):
        load_plugin("shapes", "broken")
