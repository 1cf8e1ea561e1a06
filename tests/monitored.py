"""An installation in which monitoring has something to tell: drift, a data fault, quality, an endpoint that nobody watches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.datasets.profiling import profile_table
from flyball.monitoring.baselines import quality_baseline
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
    _register(platform, "elec")
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


def _register(platform: Platform, model: str) -> None:
    platform.registry.create_model(model, actor=OWNER)
    platform.registry.create_version(model, source="s3://elsewhere/model", actor=OWNER)
    learned = {name: np.random.default_rng(11).normal(0, 1, 3_000) for name in FEATURES}
    profile = platform.artifacts.put_json(profile_table(pa.table(learned)).to_json())
    baseline = quality_baseline(_reference(), block_ms=HOUR_MS)
    platform.registry.attach(model, 1, "profile", profile, actor=OWNER)
    platform.registry.attach(model, 1, "baseline", platform.artifacts.put_json(baseline), actor=OWNER)


def _reference() -> pa.Table:
    """Return ten days of answers with labels, whose scores are the chances to be right."""
    drawn, rows = np.random.default_rng(7), 10 * ROWS
    scores = drawn.uniform(0.8, 1.0, rows)
    return pa.table(
        {
            "time_ms": np.arange(rows, dtype=np.int64) * 24 * HOUR_MS // ROWS,
            **{f"feature.{name}": drawn.normal(0, 1, rows) for name in FEATURES},
            "prediction": np.ones(rows, dtype=np.int64),
            "score": scores,
            "label": (drawn.random(rows) < scores).astype(np.int64),
        }
    )


def _serve(platform: Platform, start_ms: int, *, hour: int, shift: float) -> list[Label]:
    drawn = np.random.default_rng(hour)
    values = {name: drawn.normal(0, 1, ROWS) for name in FEATURES}
    values["demand"] = values["demand"] + shift
    if hour >= 2:
        values["price"] = np.full(ROWS, 0.5)  # a sensor that stands still
    scores = drawn.uniform(0.8, 1.0, ROWS)
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
        "score": scores,
    }
    platform.predictions.accept("live", pa.table(table))
    wrong = drawn.random(ROWS) > scores
    return [
        Label(prediction_id=one, value=0 if missed else 1, time_ms=time_ms)
        for one, time_ms, missed in zip(ids, times, wrong, strict=True)
    ]
