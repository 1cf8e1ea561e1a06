"""Captured predictions to test with."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from flyball.kernel.errors import Unavailable
from flyball.serving.capture import PredictionBatch
from flyball.serving.capture_queue import LossKind
from flyball.serving.entities import Prediction


def a_batch(*names: str, label: object = 1, version: int = 3) -> PredictionBatch:
    """Return a batch with a row for each prediction id."""
    rows = len(names)
    return PredictionBatch(
        request_id=f"request-{names[0]}",
        prediction_ids=names,
        times_ms=tuple(range(rows)),
        served_ms=1_700_000_000_000,
        version=version,
        version_digest="d" * 64,
        role="champion",
        latency_ms=1.5,
        caller="user:owner",
        columns={"price": np.linspace(0, 1, rows), "hour": np.arange(rows)},
        prediction=Prediction(labels=np.array([label] * rows), scores=np.full(rows, 0.75)),
    )


class ListSink:
    """A sink that keeps tables, and can be away."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, pa.Table]] = []
        self.away = False
        self.calls = 0
        self.came = threading.Event()
        self.losses: list[dict[str, int]] = []

    def accept(self, endpoint: str, table: pa.Table) -> None:
        self.calls += 1
        if self.away:
            raise Unavailable("the log is away")
        self.tables.append((endpoint, table))
        self.came.set()

    def lost(self, endpoint: str, rows: Mapping[LossKind, int]) -> None:
        if self.away:
            raise Unavailable("the log is away")
        self.losses.append({kind.value: count for kind, count in rows.items()})

    @property
    def ids(self) -> list[str]:
        return [name for _, table in self.tables for name in table.column("prediction_id").to_pylist()]
