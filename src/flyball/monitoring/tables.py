"""Tables of monitoring."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from flyball.kernel.db import metadata

prediction_streams = Table(
    "prediction_streams",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("watermark_ms", BigInteger, nullable=False),
    Column("arrivals", BigInteger, nullable=False),
    Column("captured_rows", BigInteger, nullable=False),
)

# Predictions that were answered and are in no segment, counted when they are reported.
prediction_losses = Table(
    "prediction_losses",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
)

prediction_segments = Table(
    "prediction_segments",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("arrival", BigInteger, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("min_ms", BigInteger, nullable=False),
    Column("max_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # Of a segment that was merged with others into the file `digest`: what it arrived as, when it was merged, and when the bytes
    # that it arrived as were removed.
    Column("arrived_as", String(64)),
    Column("merged_ms", BigInteger),
    Column("freed_ms", BigInteger),
)

# One row a prediction: labels for unknown ids are refused, windows are counted, and the segments of a span are found by it.
prediction_index = Table(
    "prediction_index",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("prediction_id", Text, primary_key=True),
    Column("answer", Text, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Index("ix_prediction_index_endpoint_time_ms", "endpoint", "time_ms", "arrival"),
    Index("ix_prediction_index_endpoint_arrival", "endpoint", "arrival"),
)

# Every revision stays; `newest` marks the one that counts. `event_ms` is the event time of the labelled prediction.
labels = Table(
    "labels",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("prediction_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("value", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("event_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("newest", Boolean, nullable=False),
    Index("ix_labels_endpoint_event_ms", "endpoint", "event_ms"),
    Index("ix_labels_endpoint_arrival", "endpoint", "arrival"),
)

monitors = Table(
    "monitors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("config", Text, nullable=False),
    Column("seen_arrival", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

monitor_windows = Table(
    "monitor_windows",
    metadata,
    Column("monitor", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    Column("end_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("labelled", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("ix_monitor_windows_monitor_state", "monitor", "state"),
)

# What a window's rows looked like, stretch of arrivals by stretch: made from the segments, and made again where it is gone.
traffic_stretches = Table(
    "traffic_stretches",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    Column("end_ms", BigInteger, primary_key=True),
    Column("after", BigInteger, primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

window_reports = Table(
    "window_reports",
    metadata,
    Column("monitor", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# Every calibration stays; the newest of a monitor and version counts.
monitor_calibrations = Table(
    "monitor_calibrations",
    metadata,
    Column("monitor", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# `active` is "<monitor>/<kind>" until the alert is resolved, and then empty (NULL): the unique index allows one at a time.
alerts = Table(
    "alerts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("monitor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("active", Text, nullable=True, unique=True),
    Index("ix_alerts_monitor_kind_start_ms", "monitor", "kind", "start_ms"),
    Index("ix_alerts_state", "state"),
)
