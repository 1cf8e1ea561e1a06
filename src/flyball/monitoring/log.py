"""The prediction log: what was answered, when and by which version, and what turned out to be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import Digest, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import NotFound, Unavailable
from flyball.kernel.events import EventLog, ref
from flyball.kernel.logs import get_logger
from flyball.monitoring.entities import (
    Accepted,
    Label,
    LabelReceipt,
    MonitoringEvent,
    Outcomes,
    PredictionKey,
    Role,
    Segment,
    StoredLabel,
    Stream,
)
from flyball.monitoring.label_columns import LabelColumns
from flyball.monitoring.labels import Repeat, captured_labels, plan_labels
from flyball.monitoring.monitor import check_name
from flyball.monitoring.ports import LabelStore, PredictionStore
from flyball.monitoring.schema import (
    FEATURE_PREFIX,
    LABEL,
    PREDICTION,
    check_predictions,
    feature_names,
    is_judged,
    prediction_keys,
)
from flyball.monitoring.segments import (
    join_labels,
    read_arrivals,
    read_span,
    rows_within,
    segment_bytes,
    sort_by_time,
    stack,
)

# Another process may bring the same predictions at the same moment; after the first retry there is nothing left to race for.
ATTEMPTS = 5
_OUTCOME_COLUMNS = ("prediction_id", "time_ms", "version", "role", PREDICTION)


class PredictionLog:
    """The log as the rooms use it; it is the sink that model servers ship to. Every verb may be called from any thread."""

    def __init__(
        self,
        predictions: PredictionStore,
        labels: LabelStore,
        *,
        artifacts: Artifacts,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._predictions = predictions
        self._labels = labels
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._database = database

    @property
    def predictions(self) -> PredictionStore:
        """The index of predictions, for monitors."""
        return self._predictions

    @property
    def labels(self) -> LabelStore:
        """The labels, for monitors."""
        return self._labels

    def accept(self, endpoint: str, table: pa.Table) -> None:
        """Keep a batch of predictions, as `add` does: the verb by which model servers ship."""
        self.add(endpoint, table)

    def add(self, endpoint: str, table: pa.Table) -> Accepted:
        """Keep a batch of predictions; when this returns, it is durable.

        A prediction whose id is known stays as it was first kept, so a batch may be shipped again after a crash.

        Raises:
            UnknownKey: a column that no prediction has.
            InvalidInput: a column is missing, of a wrong type, or holds an impossible value; nothing was kept.
            StoreFull: there is no room; nothing was kept.
        """
        check_name(endpoint, field="endpoint")
        check_predictions(table)
        for _ in range(ATTEMPTS):
            fresh, keys = self._without_known(endpoint, table)
            if not keys or self._add(endpoint, fresh, keys):
                return self._accepted(endpoint, rows=len(keys), duplicates=table.num_rows - len(keys))
        raise Unavailable(f"predictions of '{endpoint}' arrive from too many places at once; send the batch again")

    def add_labels(
        self, endpoint: str, labels: Sequence[Label], *, revise: bool, actor: str, share: float = 1.0
    ) -> LabelReceipt:
        """Take a batch of labels, all or none. The same label again changes nothing; another value needs `revise`.

        Where an endpoint captures a `share` of its predictions, labels of those that were not drawn are left out and counted.

        Raises:
            InvalidInput: a label for an unknown prediction, of another type than the prediction, NaN, or two different
                labels for one prediction in the batch.
            Conflict: a label differs from the one there is, and `revise` was not given.
        """
        check_name(endpoint, field="endpoint")
        names = {label.prediction_id for label in labels}
        with self._database.transaction():
            arrival = self._predictions.arrive(endpoint, watermark_ms=None)
            keys = self._predictions.find_keys(endpoint, names)
            captured = captured_labels(labels, {key.prediction_id for key in keys}, share=share)
            plan = plan_labels(
                captured,
                keys=keys,
                stored=self._labels.find(endpoint, names),
                repeat=Repeat.REVISE if revise else Repeat.REFUSE,
            )
            kept = [replace(label, arrival=arrival) for label in plan.labels]
            if kept:
                self._labels.add(endpoint, kept)
                self._record_labels(endpoint, kept, plan.receipt, actor=actor)
        return replace(plan.receipt, not_captured=len(labels) - len(captured))

    def read(self, endpoint: str, start_ms: int, end_ms: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return what callers got in a span of event time (end not included), ordered by time, with its labels.

        Columns: those of the batches, `label` (null where there is none, else of the prediction's type) and
        `label_time_ms`. `columns` limits what is read; id, time, version, role and prediction always come along.
        """
        table = self.read_all(endpoint, start_ms, end_ms, columns=columns)
        return _answered(table)

    def read_all(self, endpoint: str, start_ms: int, end_ms: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return what `read` does, and the answers of shadows too: the same request may then stand there twice."""
        wanted = None if columns is None else list(dict.fromkeys([*_OUTCOME_COLUMNS, *columns]))
        parts = []
        # Of segments that were merged, all lie in one file, which is read once.
        for digest in dict.fromkeys(segment.digest for segment in self.segments(endpoint, start_ms, end_ms)):
            with self._artifacts.blobs.fetch(digest) as path:
                parts.append(read_span(path, start_ms=start_ms, end_ms=end_ms, columns=wanted))
        labels = self._labels.within(endpoint, start_ms=start_ms, end_ms=end_ms)
        return join_labels(sort_by_time(stack(parts)), labels)

    def arrived(self, endpoint: str, start_ms: int, end_ms: int, *, after: int, through: int) -> pa.Table:
        """Return what callers got in a span, of the batches after..through: inputs and answers, each row with its `arrival`."""
        mine = [one for one in self.segments(endpoint, start_ms, end_ms) if after < one.arrival <= through]
        files: dict[Digest, list[Segment]] = {}
        for segment in self._predictions.in_files(endpoint, {one.digest for one in mine}):
            files.setdefault(segment.digest, []).append(segment)
        wanted, parts = {one.arrival for one in mine}, []
        for digest, segments in files.items():
            with self._artifacts.blobs.fetch(digest) as path:
                parts.append(read_arrivals(path, segments, wanted=wanted, columns=is_judged))
        return _answered(rows_within(stack(parts), start_ms=start_ms, end_ms=end_ms))

    def segments(self, endpoint: str, start_ms: int, end_ms: int) -> list[Segment]:
        """Return the segments that hold a row of a span, in order of arrival."""
        return self._predictions.segments(endpoint, start_ms=start_ms, end_ms=end_ms)

    def outcomes(self, endpoint: str, version: int, start_ms: int, end_ms: int) -> Outcomes:
        """Count the labelled rows of one version in a span of event time, and its hits; whatever its role was."""
        table = self.read_all(endpoint, start_ms, end_ms, columns=_OUTCOME_COLUMNS)
        mine = table.filter((pc.field("version") == version) & pc.field(LABEL).is_valid())
        hits = pc.sum(pc.equal(mine.column(PREDICTION), mine.column(LABEL))).as_py()
        return Outcomes(rows=mine.num_rows, hits=hits or 0)

    def get(self, endpoint: str, prediction_id: str) -> pa.Table:
        """Return the one row that the caller got under an id, with its label.

        Raises:
            NotFound: no such prediction was made here.
        """
        segment = self._predictions.find_segment(endpoint, prediction_id)
        if segment is None:
            raise NotFound(f"endpoint '{endpoint}' has made no prediction '{prediction_id}'", field="prediction_id")
        with self._artifacts.blobs.fetch(segment.digest) as path:
            table = read_span(path, start_ms=segment.min_ms, end_ms=segment.max_ms + 1, columns=None)
        mine = table.filter((pc.field("prediction_id") == prediction_id) & (pc.field("role") != Role.SHADOW))
        return join_labels(mine, LabelColumns.of(self._labels.find(endpoint, [prediction_id]).values()))

    def label_history(self, endpoint: str, prediction_id: str) -> list[StoredLabel]:
        """Return all revisions of a prediction's label, oldest first."""
        return self._labels.history(endpoint, prediction_id)

    def find_stream(self, endpoint: str) -> Stream | None:
        """Return how far an endpoint's traffic has come, None before its first batch."""
        return self._predictions.find_stream(endpoint)

    def feature_types(self, endpoint: str) -> dict[str, pa.DataType]:
        """Return the features of the newest predictions with their types; nothing before the first prediction."""
        stream = self.find_stream(endpoint)
        if stream is None or stream.watermark_ms < 0:
            return {}
        newest = self.read_all(endpoint, stream.watermark_ms, stream.watermark_ms + 1)
        return {name: newest.schema.field(FEATURE_PREFIX + name).type for name in feature_names(newest)}

    def _without_known(self, endpoint: str, table: pa.Table) -> tuple[pa.Table, list[PredictionKey]]:
        keys = prediction_keys(table)
        seen = self._known(endpoint, keys)
        places: list[int] = []
        for place, key in enumerate(keys):
            if (key.prediction_id, key.answer) not in seen:
                seen.add((key.prediction_id, key.answer))
                places.append(place)
        return table.take(pa.array(places, type=pa.int64())), [keys[place] for place in places]

    def _known(self, endpoint: str, keys: Sequence[PredictionKey]) -> set[tuple[str, str]]:
        found = self._predictions.find_keys(endpoint, {key.prediction_id for key in keys})
        return {(key.prediction_id, key.answer) for key in found}

    def _add(self, endpoint: str, table: pa.Table, keys: Sequence[PredictionKey]) -> bool:
        """Store a batch of unknown predictions; return False when somebody else stored one of them meanwhile."""
        blob = self._artifacts.blobs.put([segment_bytes(table)])
        times = [key.time_ms for key in keys]
        with self._database.transaction():
            arrival = self._predictions.arrive(endpoint, watermark_ms=max(times))
            if self._known(endpoint, keys) & {(key.prediction_id, key.answer) for key in keys}:
                return False
            self._artifacts.bind(f"predictions/{endpoint}", f"{arrival:012d}.parquet", blob=blob)
            segment = Segment(
                endpoint=endpoint,
                arrival=arrival,
                digest=blob.digest,
                row_count=len(keys),
                min_ms=min(times),
                max_ms=max(times),
                created_ms=self._clock.now_ms(),
            )
            self._predictions.add_segment(segment, keys)
        return True

    @staticmethod
    def _accepted(endpoint: str, *, rows: int, duplicates: int) -> Accepted:
        if duplicates:
            get_logger("monitoring").warning("predictions_known_already", endpoint=endpoint, count=duplicates)
        return Accepted(rows=rows, duplicates=duplicates)

    def _record_labels(self, endpoint: str, kept: Sequence[StoredLabel], receipt: LabelReceipt, *, actor: str) -> None:
        content = sorted([label.prediction_id, label.revision, label.value, label.time_ms] for label in kept)
        self._events.record(
            MonitoringEvent.LABELS_ADDED,
            actor=actor,
            subject=ref("endpoint", endpoint),
            payload={
                "endpoint": endpoint,
                "added": receipt.added,
                "revised": receipt.revised,
                "arrival": kept[0].arrival,
                "digest": digest_json(content),
            },
        )


def _answered(table: pa.Table) -> pa.Table:
    """Return the rows whose answer reached the caller; the table itself where all did."""
    answered = pc.not_equal(table.column("role"), pa.scalar(str(Role.SHADOW)))
    return table if pc.all(answered).as_py() in {True, None} else table.filter(answered)
