"""Where the rows of a backtest come from: a table with times, or the prediction log; both in the schema of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from flyball.datasets.profiling import profile_table
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.baselines import Baseline, quality_baseline
from flyball.monitoring.entities import Role
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.multivariate.evidence import sample_for_evidence
from flyball.monitoring.quality_rules import QualityRules
from flyball.monitoring.reference_columns import table_summary_of
from flyball.monitoring.references import Reference, References
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, PREDICTION, SCORE
from flyball.registry.entities import EvidenceKind

NO_LABELS = "the history has no predictions with labels"
ONLY_VERSION = 1
"""The version that a table without versions is said to have come from."""


class History(Protocol):
    """Rows by time, and what their version is held against."""

    def span(self) -> tuple[int, int]:
        """Return the first moment with a row and the one after the last."""
        ...

    def read(self, start_ms: int, end_ms: int) -> pa.Table:
        """Return the rows of a span, ordered by time, in the schema of the prediction log with labels."""
        ...

    def labelled(self) -> bool:
        """Tell whether quality can be judged at all."""
        ...

    def reference(self, monitor: Monitor, version: int) -> Reference:
        """Return what a version is held against."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which column of a table is what; all others are features. `score` is the probability of the prediction."""

    time: str
    prediction: str = ""
    label: str = ""
    score: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableHistory:
    """A table in the schema of the log, ordered by time, and other rows that were normal."""

    table: pa.Table
    normal: pa.Table
    has_labels: bool

    def span(self) -> tuple[int, int]:
        times = self.table.column("time_ms")
        return times[0].as_py(), times[-1].as_py() + 1

    def read(self, start_ms: int, end_ms: int) -> pa.Table:
        times = self.table.column("time_ms").to_numpy()
        first, last = times.searchsorted([start_ms, end_ms])
        return self.table.slice(first, last - first)

    def labelled(self) -> bool:
        return self.has_labels

    def reference(self, monitor: Monitor, version: int) -> Reference:  # noqa: ARG002 -- one table, one version
        found = reference_of(self.normal, monitor.quality, block_ms=monitor.block_ms, slices=monitor.slices.named)
        if monitor.multivariate is None:
            return found
        bare = _bare(self.normal)
        return replace(found, rows=sample_for_evidence(bare, bare.column_names))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogHistory:
    """An endpoint's prediction log."""

    log: PredictionLog
    references: References
    endpoint: str

    def span(self) -> tuple[int, int]:
        stream = self.log.find_stream(self.endpoint)
        segments = self.log.segments(self.endpoint, 0, stream.watermark_ms + 1) if stream else []
        if stream is None or not segments:
            raise InvalidInput(f"endpoint '{self.endpoint}' has served nothing to replay", field="document")
        return min(segment.min_ms for segment in segments), stream.watermark_ms + 1

    def read(self, start_ms: int, end_ms: int) -> pa.Table:
        return self.log.read(self.endpoint, start_ms, end_ms)

    def labelled(self) -> bool:
        return True

    def reference(self, monitor: Monitor, version: int) -> Reference:
        return self.references.of(monitor.model, version)


def log_table(table: pa.Table, roles: Roles) -> pa.Table:
    """Return a table in the schema of the prediction log, ordered by time.

    Raises:
        InvalidInput: a column is not there, or the times are none.
    """
    for name in (roles.time, roles.prediction, roles.label, roles.score):
        if name and name not in table.column_names:
            raise InvalidInput(
                f"the history has no column '{name}'; it has: {', '.join(table.column_names)}", field=name
            )
    rows = table.num_rows
    nothing = pa.nulls(rows, pa.float64())
    prediction = table.column(roles.prediction) if roles.prediction else nothing
    columns = {
        "prediction_id": pa.array([str(row) for row in range(rows)], pa.string()),
        "time_ms": _times(table.column(roles.time), roles.time),
        "version": pa.array([ONLY_VERSION] * rows, pa.int32()),
        "role": pa.array([str(Role.CHAMPION)] * rows, pa.string()),
        **{FEATURE_PREFIX + name: column for name, column in _features(table, roles)},
        **({SCORE: table.column(roles.score).cast(pa.float64())} if roles.score else {}),
        PREDICTION: prediction,
        LABEL: _like(table.column(roles.label), prediction) if roles.label else pa.nulls(rows, prediction.type),
    }
    return pa.table(columns).sort_by("time_ms")


def reference_of(
    table: pa.Table, rules: QualityRules, *, block_ms: int, slices: Mapping[str, str] | None = None
) -> Reference:
    """Return what a stretch of history (in the schema of the log) is the measure of: its profile and its own quality.

    `slices` are predicates by name; each gets a baseline of its own.
    """
    profile = profile_table(_bare(table))
    known_inputs = Reference(profile=profile, inputs=table_summary_of(profile))
    known = table.filter(pc.field(LABEL).is_valid() & pc.field(PREDICTION).is_valid())
    if not known.num_rows:
        return replace(known_inputs, missing={EvidenceKind.BASELINE: NO_LABELS})
    try:
        shown = quality_baseline(known, metric=rules.metric, positive=rules.positive, block_ms=block_ms, slices=slices)
    except InvalidInput as error:
        return replace(known_inputs, missing={EvidenceKind.BASELINE: error.message})
    return replace(known_inputs, baseline=Baseline.from_json(shown))


def _bare(table: pa.Table) -> pa.Table:
    names = [name for name in table.column_names if name.startswith(FEATURE_PREFIX)]
    return table.select(names).rename_columns([name.removeprefix(FEATURE_PREFIX) for name in names])


def _features(table: pa.Table, roles: Roles) -> Iterator[tuple[str, pa.ChunkedArray]]:
    for name in table.column_names:
        if name in {roles.time, roles.prediction, roles.label, roles.score}:
            continue
        column = table.column(name)
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        if pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        yield name, column


def _times(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if column.null_count:
        raise InvalidInput(f"column '{name}' has rows without a time", field=name)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    raise InvalidInput(
        f"column '{name}' is {column.type}: a time is a timestamp or milliseconds since 1970", field=name
    )


def _like(labels: pa.ChunkedArray, prediction: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return labels.cast(prediction.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"labels are {labels.type}, predictions {prediction.type}: {error}", field="label"
        ) from error
