"""Monitoring: what was predicted, what turned out to be true, and an alert with its cause where the two part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.monitoring.comparison.engine import compare as compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- what a module holds has no common type
    """Load `compare` when it is asked for: the rest of this room does without it, and starts sooner."""
    if name == "compare":
        from flyball.monitoring.comparison.engine import compare

        return compare
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
