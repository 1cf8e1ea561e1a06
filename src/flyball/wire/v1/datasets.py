"""Shapes of datasets."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape


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
    """What the bytes of an upload are."""

    source: str
    format: str


class UseDataset(Body):
    """Which dataset version a run used, and for what."""

    dataset: str
    context: str = "training"
