"""Shapes of datasets."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from flyball.wire.v1 import Body, DatasetVersionName, Shape


class ColumnShape(Shape):
    """A column of a dataset."""

    name: str
    type: str
    nullable: bool


class Dataset(Shape):
    """A version of a dataset."""

    name: str
    version: int
    digest: str
    row_count: int
    columns: list[ColumnShape]
    source: str
    created_ms: int


class DatasetList(Shape):
    """Versions of datasets, newest first."""

    datasets: list[Dataset]


class UploadQuery(Body):
    """What the bytes of an upload are, and where they come from."""

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    format: Literal["csv", "parquet"]


class UseDataset(Body):
    """Which dataset version a run used, and for what."""

    dataset: DatasetVersionName
    context: str = "training"
