"""Shapes of the prediction log's files."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape, Whole


class PredictionSpan(Body):
    """A span of event time in milliseconds, its end not included."""

    start_ms: Whole = 0
    end_ms: Whole = 1 << 53


class PredictionFile(Shape):
    """A Parquet file of predictions: the SHA-256 of its bytes, its rows, and the batches and event times that it holds."""

    digest: str
    row_count: int
    size_bytes: int
    first_arrival: int
    last_arrival: int
    min_ms: int
    max_ms: int


class PredictionFileList(Shape):
    """Files in the order of arrival."""

    files: list[PredictionFile]
