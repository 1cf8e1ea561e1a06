"""The source tree as the architecture tests see it."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import flyball

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "flyball"
REFERENCE = ROOT / "docs" / "reference"
MODULES = sorted(path for path in SRC.rglob("*.py") if "static" not in path.parts)


def name_of(path: Path) -> str:
    """Return the path as it is written in reports."""
    return str(path.relative_to(ROOT))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def import_all() -> tuple[ModuleType, ...]:
    """Import every module of the package except those that run when imported."""
    found = pkgutil.walk_packages(flyball.__path__, "flyball.")
    skipped = ("__main__", "migrations.env", "migrations.versions")
    return tuple(importlib.import_module(each.name) for each in found if not any(part in each.name for part in skipped))


def imports_of(path: Path) -> set[str]:
    """Return the top-level names of the packages that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names
