"""Dataset versions by content: rows as Parquet, their schema, and a profile that later data is compared with."""

from flyball.datasets.entities import Column, DatasetEvent, DatasetVersion
from flyball.datasets.ports import DatasetStore
from flyball.datasets.profile import ColumnKind, ColumnProfile, Profile
from flyball.datasets.profiling import profile_table
from flyball.datasets.service import Datasets

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
