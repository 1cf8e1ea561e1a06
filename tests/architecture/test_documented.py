"""What a user can meet is written down: settings, events, errors, extension points."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.architecture.source import MODULES, REFERENCE, ROOT, import_all, tree_of

from flyball.kernel.errors import ErrorCode
from flyball.kernel.events import EventKind
from flyball.kernel.settings import Settings
from flyball.server.errors import TABLE


def words_of(page: str) -> set[str]:
    """Return what stands in backticks at the start of a table row, or in a heading."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return set(re.findall(r"^(?:\| |## )`([^`]+)`", text, re.MULTILINE))


def _rooms() -> list[type[EventKind]]:
    """Return the enumerations of the package; tests in the same process may have made some of their own."""
    return [room for room in EventKind.__subclasses__() if room.__module__.startswith("flyball.")]


def event_kinds() -> dict[str, str]:
    import_all()
    return {member.value: room.__name__ for room in _rooms() for member in room}


def test_every_setting_is_documented() -> None:
    assert words_of("settings.md") == {field.name for field in dataclasses.fields(Settings)}


def test_every_error_code_has_a_status_and_is_documented() -> None:
    assert set(TABLE) == set(ErrorCode)
    assert words_of("errors.md") == {code.value for code in ErrorCode}


def test_every_event_kind_is_documented_and_every_documented_one_exists() -> None:
    kinds = event_kinds()
    assert len(kinds) > 30
    documented = words_of("events.md")
    assert not set(kinds) - documented, "add a row to docs/reference/events.md"
    assert not documented - set(kinds), "docs/reference/events.md names kinds that no room records"


def test_an_event_kind_has_one_room_and_the_form_noun_dot_verb() -> None:
    values = [member.value for room in _rooms() for member in room]
    assert len(values) == len(set(values))
    assert [value for value in values if not re.fullmatch(r"[a-z][a-z_-]*\.[a-z][a-z_-]*", value)] == []


def test_the_written_reference_is_current() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"]
    answer = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def groups_in_source() -> set[str]:
    """Return the entry-point groups that the code asks for."""
    groups: set[str] = set()
    for path in MODULES:
        constants = _text_constants(path)
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_plugin":
                first = node.args[0]
                name = constants.get(first.id, first.id) if isinstance(first, ast.Name) else ast.literal_eval(first)
                groups.add(f"flyball.{name}")
    return groups


def _text_constants(path: Path) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree_of(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_every_entry_point_group_is_documented_and_used_by_ourselves() -> None:
    groups = groups_in_source()
    assert groups
    assert words_of("extension-points.md") >= groups
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = {group for group in project.get("entry-points", {}) if group.startswith("flyball.")}
    assert ours == groups, "our own implementations use the same door: declare them in pyproject.toml"


def test_every_room_has_a_page_beside_its_code() -> None:
    rooms = [path.parent for path in MODULES if path.name == "service.py" and "kernel" not in path.parts]
    assert [str(room.relative_to(ROOT)) for room in rooms if not (room / "README.md").exists()] == []


@pytest.mark.parametrize("page", ["settings.md", "errors.md", "events.md", "extension-points.md"])
def test_a_reference_page_leaves_no_cell_empty(page: str) -> None:
    rows = [line for line in (REFERENCE / page).read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [row for row in rows if any(not cell.strip() for cell in row.strip("|").split("|"))] == []
