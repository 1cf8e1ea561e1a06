"""No test waits by a library's own idea of how long an answer may take: urllib3's is three seconds, a busy machine takes more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, name_of

ASKING = sorted(
    path
    for folder in ("src", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "urllib3.request(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", ASKING, ids=name_of)
def test_every_request_says_how_long_it_waits(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    silent = [
        call.lineno
        for call in calls
        if ast.unparse(call.func) == "urllib3.request" and "timeout" not in {one.arg for one in call.keywords}
    ]
    assert not silent, f"give `timeout` in lines {silent}"
