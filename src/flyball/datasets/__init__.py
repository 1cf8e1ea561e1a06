"""Dataset versions by content: rows as Parquet, their schema, and a profile that later data is compared with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.datasets.entities import Column as Column
    from flyball.datasets.entities import DatasetEvent as DatasetEvent
    from flyball.datasets.entities import DatasetVersion as DatasetVersion
    from flyball.datasets.ports import DatasetStore as DatasetStore
    from flyball.datasets.profile import ColumnKind as ColumnKind
    from flyball.datasets.profile import ColumnProfile as ColumnProfile
    from flyball.datasets.profile import Profile as Profile
    from flyball.datasets.profiling import profile_table as profile_table
    from flyball.datasets.service import Datasets as Datasets

_HOMES = {
    "Column": "entities",
    "ColumnKind": "profile",
    "ColumnProfile": "profile",
    "DatasetEvent": "entities",
    "DatasetStore": "ports",
    "DatasetVersion": "entities",
    "Datasets": "service",
    "Profile": "profile",
    "profile_table": "profiling",
}

__all__ = [
    "Column",
    "ColumnKind",
    "ColumnProfile",
    "DatasetEvent",
    "DatasetStore",
    "DatasetVersion",
    "Datasets",
    "Profile",
    "profile_table",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- what a module holds has no common type
    """Load a name when it is asked for: whoever compares tables needs profiles, and no database."""
    if name in _HOMES:
        return getattr(import_module(f"flyball.datasets.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
