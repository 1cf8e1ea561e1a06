"""Captured predictions in memory: bounded by rows and bytes, and counted when they find no room."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Columns, Matrix


class LossKind(StrEnum):
    """Why predictions that were answered are not in the log."""

    QUEUE_FULL = "queue_full"
    """The disk did not keep up, or failed, and memory for waiting rows ran out."""
    SPOOL_FULL = "spool_full"
    """The log was away for so long that the files that wait for it have reached their limit."""
    UNWRITABLE = "unwritable"
    """The rows have no form in which they could be written."""
    REFUSED = "refused"
    """The log will never take them; their file lies in the spool as `*.refused`."""
    CLOSED = "closed"
    """They came after the end of capture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureCounters:
    """What capture has done since the process started. `waiting_rows`, `spooled_bytes` and `lag_s` are of this moment.

    `lag_s` is how long the oldest file has waited to be shipped, 0 when none waits.
    """

    offered_rows: int
    written_rows: int
    shipped_rows: int
    waiting_rows: int
    spooled_bytes: int
    lost_rows: Mapping[LossKind, int]
    lag_s: float = 0.0

    @property
    def dropped_rows(self) -> int:
        """Predictions that were answered and are lost."""
        return sum(self.lost_rows.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What waited, and who waits for it to be on disk; `promised_rows` are those that somebody waits for."""

    batches: list[PredictionBatch]
    rows: int
    promised_rows: int
    waiters: list[Receipt]


class Receipt:
    """What a request waits for that may not be answered before its predictions are safe."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self.safe = False

    def settle(self, *, safe: bool) -> None:
        """Say what became of the predictions."""
        self.safe = safe
        self._settled.set()

    def wait(self) -> bool:
        """Wait; tell whether the predictions are safe."""
        self._settled.wait()
        return self.safe


class CaptureQueue:
    """Batches on their way to the disk. Any number of threads may offer; one drains."""

    def __init__(self, *, most_rows: int, most_bytes: int) -> None:
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._guard = threading.Lock()
        self._batches: list[PredictionBatch] = []
        self._receipts: list[Receipt] = []
        self._rows = 0
        self._promised = 0
        self._bytes = 0
        self._offered = 0
        self._closed = False
        self._weighed: tuple[Columns | None, int] = (None, 0)
        self._lost: Counter[LossKind] = Counter()

    def offer(self, batches: Sequence[PredictionBatch], receipt: Receipt | None = None) -> bool:
        """Take batches if there is room for all of them; what is not taken is counted, unless somebody has a receipt for it."""
        rows = sum([len(batch.prediction_ids) for batch in batches])
        with self._guard:
            weight = sum([self._weight(batch) for batch in batches])
            self._offered += rows
            if self._closed or self._rows + rows > self._most_rows or self._bytes + weight > self._most_bytes:
                if receipt is None:
                    self._lost[LossKind.CLOSED if self._closed else LossKind.QUEUE_FULL] += rows
                return False
            self._batches.extend(batches)
            self._rows += rows
            self._bytes += weight
            if receipt is not None:
                self._receipts.append(receipt)
                self._promised += rows
            return True

    def drain(self) -> Drained:
        """Take out everything that waits."""
        with self._guard:
            drained = Drained(
                batches=self._batches, rows=self._rows, promised_rows=self._promised, waiters=self._receipts
            )
            self._batches, self._receipts = [], []
            self._rows = self._bytes = self._promised = 0
        return drained

    def put_back(self, drained: Drained) -> None:
        """Let what could not be written wait in front of what came since, if there is room; what is promised is refused instead."""
        if drained.promised_rows == drained.rows:
            return
        with self._guard:
            weight = sum(map(self._weight, drained.batches))
            if self._rows + drained.rows > self._most_rows or self._bytes + weight > self._most_bytes:
                self._lost[LossKind.QUEUE_FULL] += drained.rows
                return
            self._batches = drained.batches + self._batches
            self._rows += drained.rows
            self._bytes += weight

    def count_loss(self, kind: LossKind, rows: int) -> None:
        """Note that predictions are lost."""
        with self._guard:
            self._lost[kind] += rows

    def close(self) -> None:
        """Take nothing any more."""
        with self._guard:
            self._closed = True

    @property
    def state(self) -> tuple[int, int, Mapping[LossKind, int]]:
        """The rows that were offered, those that wait, and those that are lost."""
        with self._guard:
            return self._offered, self._rows, dict(self._lost)

    def _weight(self, batch: PredictionBatch) -> int:
        """Return about how many bytes a batch holds; arrays that several share are weighed once."""
        columns, weight = self._weighed
        if batch.columns is not columns:
            weight = weight_bytes(batch.columns) // max(1, len(batch.prediction.labels))
            self._weighed = (batch.columns, weight)
        return weight * len(batch.prediction_ids)


def weight_bytes(columns: Columns) -> int:
    """Return the bytes that columns hold, texts not counted."""
    if isinstance(columns, Matrix):
        return columns.values_by_row.nbytes
    return sum([values.nbytes for values in columns.values()])
