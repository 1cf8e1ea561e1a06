"""Bring one more hour of traffic into running monitors, and print what that took of the processor, as JSON.

A home on SQLite and a folder, a monitor of windows of a day and one of windows of an hour, over one endpoint. An hour of 100,000
rows of 30 features arrives in batches and both look, hour after hour; then the next day begins, and both close their windows.
What it takes to keep the rows belongs to the prediction log, and is printed apart.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from flyball.kernel.db import open_database
from flyball.kernel.settings import load_settings
from flyball.monitoring import describe
from flyball.monitoring.entities import Label
from flyball.monitoring.service import Monitors
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform, open_platform

HOUR_MS = 3_600_000
FEATURES = 30
ROWS = 100_000
BATCHES = 60
ENDPOINT, MODEL = "live", "model"
WINDOWS = {"daily": "1d", "hourly": "1h"}
# An endpoint of its own, because windows of one endpoint share what was summarised of them. Labels come with their rows, and
# count an hour later: a look judges the hour before whole, with slices, groups and what the losses are due to.
LABELLED, LABELLED_ENDPOINT = "labelled", "live-with-labels"
ACTOR = "service:benchmark"


def main() -> None:
    """Fill windows, then measure an hour."""
    hours = int(sys.argv[1]) if sys.argv[1:] else 3
    with tempfile.TemporaryDirectory(prefix="flyball-bench-") as folder:
        settings = load_settings({"FLYBALL_HOME": folder, "FLYBALL_LOG_LEVEL": "error"})
        upgrade(open_database(settings.resolved_database_url))
        platform = open_platform(settings)
        monitors = _monitors(platform)
        took: dict[str, float] = {}
        for hour in range(hours):
            took["keep_s"] = _timed(partial(_serve, platform, ENDPOINT, hour))
            for name in WINDOWS:
                took[f"{name}_s"] = _timed(partial(monitors.evaluate, name))
            _serve(platform, LABELLED_ENDPOINT, hour)
            _label(platform, hour)
            took[f"{LABELLED}_s"] = _timed(partial(monitors.evaluate, LABELLED))
        platform.predictions.accept(ENDPOINT, _batch(24, 0, ROWS // BATCHES))
        for name in WINDOWS:
            took[f"{name}_close_s"] = _timed(partial(monitors.evaluate, name))
        reports = monitors.reports("daily")
        platform.close()
    took |= {"rows": reports[0].rows, "drifted": len(reports[0].drifted)}
    took["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(took))


def _monitors(platform: Platform) -> Monitors:
    """Return monitors of a version that carries the evidence of a training table."""
    platform.registry.create_model(MODEL, actor=ACTOR)
    platform.registry.create_version(MODEL, source="s3://elsewhere/model", actor=ACTOR)
    for kind, content in describe(_rows(np.random.default_rng(0), 200_000, shift=0.0)).items():
        platform.registry.attach(MODEL, 1, kind, platform.artifacts.put_json(content), actor=ACTOR)
    asked = {name: (ENDPOINT, window, "1d") for name, window in WINDOWS.items()}
    for name, (endpoint, window, maturity) in {**asked, LABELLED: (LABELLED_ENDPOINT, "1h", "1h")}.items():
        monitor = {"monitor": name, "endpoint": endpoint, "model": MODEL, "window": window, "label_maturity": maturity}
        platform.monitors.put(monitor, actor=ACTOR)
    return platform.monitors


def _serve(platform: Platform, endpoint: str, hour: int) -> None:
    for batch in range(BATCHES):
        platform.predictions.accept(endpoint, _batch(hour, batch, ROWS // BATCHES))


def _label(platform: Platform, hour: int) -> None:
    """Send a label for every row of an hour; what comes true has nothing to do with what was said."""
    for batch in range(BATCHES):
        table = _batch(hour, batch, ROWS // BATCHES)
        names, times = (table.column(name).to_pylist() for name in ("prediction_id", "time_ms"))
        values = np.random.default_rng(batch).integers(0, 2, len(names)).tolist()
        labels = [
            Label(prediction_id=name, value=value, time_ms=time_ms)
            for name, value, time_ms in zip(names, values, times, strict=True)
        ]
        platform.predictions.add_labels(LABELLED_ENDPOINT, labels, revise=False, actor=ACTOR)


def _rows(generator: np.random.Generator, rows: int, *, shift: float) -> pa.Table:
    numbers = {
        f"n{place}": generator.normal(shift if place % 5 == 0 else 0.0, 1.0, rows) for place in range(FEATURES - 5)
    }
    texts = {f"c{place}": generator.choice(list("abcdefgh"), rows) for place in range(5)}
    return pa.table({**numbers, **texts})


def _batch(hour: int, batch: int, rows: int) -> pa.Table:
    generator = np.random.default_rng(hour * BATCHES + batch + 1)
    features = _rows(generator, rows, shift=0.7)
    ids = [f"h{hour}-{batch}-{row}" for row in range(rows)]
    first, step = hour * HOUR_MS + batch * HOUR_MS // BATCHES, HOUR_MS // BATCHES // rows
    times = pa.array(first + step * np.arange(rows), type=pa.int64())
    score = generator.random(rows)
    return pa.table(
        {
            "prediction_id": ids,
            "request_id": ids,
            "time_ms": times,
            "served_ms": times,
            "version": pa.array([1] * rows, type=pa.int32()),
            "version_digest": ["0" * 64] * rows,
            "role": ["champion"] * rows,
            "latency_ms": generator.gamma(2.0, 1.0, rows),
            "caller": [ACTOR] * rows,
            **{f"feature.{name}": features[name] for name in features.column_names},
            "prediction": pa.array((score > 0.5).astype(np.int64)),
            "score": score,
        }
    )


def _timed(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


if __name__ == "__main__":
    main()
