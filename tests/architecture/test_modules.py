"""What every module keeps to: size, a first line that says what it is for, a name that says something."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest
from tests.architecture.source import MODULES, SRC, imports_of, name_of, tree_of

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers", "stuff"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|NotImplemented)\b")
# Where SQL may be spoken; everything else goes through a port.
SQL_FILES = {"sql.py", "tables.py"}
# The kernel's database layer: the connection, the two dialects' writers and the translation of their faults.
SQL_KERNEL = {"kernel/db.py", "kernel/faults.py", "kernel/group_commit.py"}

each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 50


@each_module
def test_a_module_is_one_thought(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{name_of(path)} has {lines} lines; split it by noun, at most {MOST_LINES}"


@each_module
def test_a_function_fits_on_a_page(path: Path) -> None:
    if path.parent.name == "versions":
        return  # a revision of the schema is one list of tables, read against the tables of the rooms
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: _code_lines(node) for node in functions if _code_lines(node) > MOST_FUNCTION_LINES}
    assert not long, f"{name_of(path)}: split {long}; at most {MOST_FUNCTION_LINES} lines"


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    text = ast.get_docstring(node, clean=False)
    return (node.end_lineno or node.lineno) - node.lineno + 1 - (len(text.splitlines()) if text else 0)


@each_module
def test_a_module_says_first_what_it_is_for(path: Path) -> None:
    text = ast.get_docstring(tree_of(path))
    assert text, f"{name_of(path)} has no docstring"
    assert text.splitlines()[0].strip().endswith((".", ":", "?")), f"{name_of(path)}: the first line is no sentence"


@each_module
def test_a_module_has_a_name_that_says_something(path: Path) -> None:
    parts = {part.removesuffix(".py") for part in path.relative_to(SRC).parts}
    assert not parts & FORBIDDEN_NAMES, f"{name_of(path)}: name it after a noun of the domain"


@each_module
def test_sql_is_spoken_in_stores_only(path: Path) -> None:
    relative = path.relative_to(SRC)
    allowed = (
        relative.name in SQL_FILES
        or "sql" in relative.parts
        or str(relative) in SQL_KERNEL
        or relative.parts[:2] == ("server", "migrations")
    )
    if not allowed:
        found = {name for name in imports_of(path) if name.split(".")[0] in {"sqlalchemy", "alembic"}}
        assert not found, f"{name_of(path)} imports {found}: put the statements into sql.py behind a port"


@each_module
def test_nothing_is_left_unfinished(path: Path) -> None:
    words: set[str] = set()
    with path.open("rb") as source:
        for token in tokenize.tokenize(io.BytesIO(source.read()).readline):
            if token.type in {tokenize.COMMENT, tokenize.NAME, tokenize.STRING}:
                words |= set(UNFINISHED.findall(token.string))
    assert not words, f"{name_of(path)} says {words}: finish it, or leave it out"


@each_module
def test_no_function_is_an_empty_shell(path: Path) -> None:
    """Only the verbs of a port may have `...` for a body."""
    shells: list[str] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef) and not any("Protocol" in ast.unparse(base) for base in node.bases):
            shells += [item.name for item in node.body if isinstance(item, ast.FunctionDef) and _is_shell(item)]
    assert not shells, f"{name_of(path)}: {shells} do nothing"


def _is_shell(node: ast.FunctionDef) -> bool:
    body = [item for item in node.body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
    overload = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
    return not body and not overload
