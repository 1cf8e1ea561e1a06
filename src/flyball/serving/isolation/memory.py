"""How much memory a model's process takes, as Linux tells it; elsewhere nothing is known, and nothing is limited.

This module runs in the model's environment too: nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

OUTGREW_STATUS: Final = 6
"""The exit status of a process that ends itself, because what it keeps leaves no room to answer in."""
_KIB = 1_024
_PROC = Path("/proc")


def tree_bytes(pid: int) -> int:
    """Return the memory that a process and everything that it has started have to themselves; files that are mapped do not count."""
    return sum(_status_bytes(each, "RssAnon") + _status_bytes(each, "RssShmem") for each in _tree(pid))


def data_bytes() -> int:
    """Return what this process has allocated: what `RLIMIT_DATA` counts."""
    return _status_bytes(None, "VmData")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))
    except OSError:  # it has ended meanwhile, and what it had started with it
        return


def _status_bytes(pid: int | None, key: str) -> int:
    try:
        lines = (_PROC / ("self" if pid is None else str(pid)) / "status").read_text().splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith(f"{key}:")), "")
    return int(found.split()[1]) * _KIB if found else 0
