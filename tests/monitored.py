"""An installation in which monitoring has something to tell: drift, a data fault, quality, an endpoint that nobody watches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.datasets.profiling import profile_table
from flyball.kernel.canonical import JsonValue
from flyball.monitoring.entities import Label
from flyball.server.platform import Platform

HOUR_MS = 3_600_000
ROWS = 240
OWNER = "user:owner"
# A name as people give them to columns: everything that a text format could trip over.
ODD = 'a "quoted" \\ feature\nin two lines'
FEATURES = ("price", "demand", "load", ODD)


def furnish(platform: Platform, *, now_ms: int, shift: float = 3.0) -> None:
    """Watch endpoint "live" in windows of an hour over the last four, of which the last two are drifted by `shift` deviations."""
    _register(platform, "elec", now_ms)
    platform.deployments.create("live", "elec", 1, actor=OWNER)
    platform.deployments.create("unwatched", "elec", 1, actor=OWNER)
    platform.monitors.put(
        {"monitor": "elec-production", "endpoint": "live", "model": "elec", "window": "1h", "label_maturity": "1h"},
        actor=OWNER,
    )
    start_ms = now_ms - now_ms % HOUR_MS - 4 * HOUR_MS
    for hour in range(4):
        labels = _serve(platform, start_ms + hour * HOUR_MS, hour=hour, shift=shift if hour >= 2 else 0.0)
        platform.predictions.add_labels("live", labels, revise=False, actor="service:feed")
    platform.monitors.evaluate("elec-production")
    platform.losses.report("live", "elec", {"queue_full": 3}, actor="service:endpoint")


def drift_more(platform: Platform, *, start_ms: int) -> None:
    """Serve an hour whose demand is far from what the model learned from, and let the monitor look at it."""
    _serve(platform, start_ms, hour=8, shift=9.0)
    _serve(platform, start_ms + HOUR_MS, hour=9, shift=9.0)
    platform.monitors.evaluate("elec-production")


def _register(platform: Platform, model: str, seed: int) -> None:
    platform.registry.create_model(model, actor=OWNER)
    platform.registry.create_version(model, source="s3://elsewhere/model", actor=OWNER)
    learned = {name: np.random.default_rng(seed % 1000).normal(0, 1, 3_000) for name in FEATURES}
    profile = platform.artifacts.put_json(profile_table(pa.table(learned)).to_json())
    figures: dict[str, JsonValue] = {"metric": "accuracy", "value": 0.9, "lower": 0.88, "upper": 0.92, "rows": 1_000}
    platform.registry.attach(model, 1, "profile", profile, actor=OWNER)
    platform.registry.attach(model, 1, "baseline", platform.artifacts.put_json(figures), actor=OWNER)


def _serve(platform: Platform, start_ms: int, *, hour: int, shift: float) -> list[Label]:
    drawn = np.random.default_rng(hour)
    values = {name: drawn.normal(0, 1, ROWS) for name in FEATURES}
    values["demand"] = values["demand"] + shift
    if hour >= 2:
        values["price"] = np.full(ROWS, 0.5)  # a sensor that stands still
    ids = [f"{start_ms}-{row}" for row in range(ROWS)]
    times = [start_ms + row * HOUR_MS // ROWS for row in range(ROWS)]
    table = {
        "prediction_id": ids,
        "request_id": ids,
        "time_ms": pa.array(times, pa.int64()),
        "served_ms": pa.array(times, pa.int64()),
        "version": pa.array([1] * ROWS, pa.int32()),
        "version_digest": ["0" * 64] * ROWS,
        "role": ["champion"] * ROWS,
        "latency_ms": [1.0] * ROWS,
        "caller": ["user:tester"] * ROWS,
        **{f"feature.{name}": pa.array(column) for name, column in values.items()},
        "prediction": [1] * ROWS,
        "score": [0.5] * ROWS,
    }
    platform.predictions.accept("live", pa.table(table))
    wrong = drawn.random(ROWS) < 0.1
    return [
        Label(prediction_id=one, value=0 if missed else 1, time_ms=time_ms)
        for one, time_ms, missed in zip(ids, times, wrong, strict=True)
    ]
