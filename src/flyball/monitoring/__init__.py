"""Monitoring: what was predicted, what turned out to be true, and an alert with its cause where the two part."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.monitoring.comparison.engine import compare as compare
    from flyball.monitoring.evidence import describe as describe
    from flyball.monitoring.monitor import Monitor as Monitor

_HOMES = {"Monitor": "monitor", "compare": "comparison.engine", "describe": "evidence"}

__all__ = ["Monitor", "compare", "describe"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- what a module holds has no common type
    """Load a name when it is asked for: the rest of this room does without the others, and starts sooner."""
    if name in _HOMES:
        return getattr(import_module(f"flyball.monitoring.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
