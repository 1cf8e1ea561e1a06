"""What logging into the journal costs the training thread and its process, by CPU time and by wall clock.

Run as `python benchmarks/journal.py [POINTS]`. CPU time is what a busy machine does not spoil; the wall clock is shown beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

POINTS = 200_000
FLUENT_POINTS = 20_000


def measured(name: str, count: int, work: Callable[[], object]) -> None:
    """Run the work and print what one of `count` calls took, in the calling thread and in the whole process."""
    wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
    work()
    wall, thread, process = time.perf_counter() - wall, time.thread_time() - thread, time.process_time() - process
    print(
        f"{name:<44} {thread / count * 1e6:8.2f} µs/point in the thread  {wall / count * 1e6:8.2f} µs wall  "
        f"{count / process:10,.0f} points/s of process CPU  {count / wall:10,.0f} points/s wall"
    )


def main() -> None:
    """Measure the journal, the store and the fluent API."""
    points = int(sys.argv[1]) if len(sys.argv) > 1 else POINTS
    with tempfile.TemporaryDirectory(prefix="flyball-bench-") as folder:
        os.environ.update({"FLYBALL_HOME": folder, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})
        os.environ["MLFLOW_TRACKING_URI"] = f"flyball+file://{folder}/journals"
        import_time()
        journal(Path(folder) / "alone", points)
        client(points)


def import_time() -> None:
    """Measure what the plugin adds to `import mlflow`, and what it imports itself."""
    code = "import sys, time; t = time.process_time(); import {0}; print(f'{{time.process_time() - t:.4f}}', len(sys.modules))"
    for module in ("flyball.integrations.mlflow", "flyball.client.journal"):
        done = subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True)
        seconds, modules = done.stdout.split()
        print(f"import {module:<37} {float(seconds) * 1e3:8.2f} ms CPU, {modules} modules loaded")


def journal(root: Path, points: int) -> None:
    """Measure the journal without MLflow."""
    from flyball.client.journal.journal import Journal, Limits
    from flyball.wire.v1.journals import Batch, Measured, Point

    kept = Journal.start(root, server="", limits=Limits(max_bytes=10 << 30, sync_ms=200), connect=None)
    run_id = "a" * 32

    def singly() -> None:
        for step in range(points):
            kept.write(Point(run_id, "loss", 0.5, 1_700_000_000_000, step))

    def batches() -> None:
        for start in range(0, points, 100):
            rows = tuple(Measured("loss", 0.5, 1_700_000_000_000, step) for step in range(start, start + 100))
            kept.write(Batch(run_id, points=rows))

    measured("journal, one point a record", points, singly)
    measured("journal, 100 points a record", points, batches)
    kept.close(0)


def client(points: int) -> None:
    """Measure the store behind MLflow's client, and MLflow's client itself."""
    import mlflow

    mlflow.set_experiment("bench")
    with mlflow.start_run() as run:
        store(run.info.run_id, points)
        named = mlflow.MlflowClient()

        def through_client() -> None:
            for step in range(FLUENT_POINTS):
                named.log_metric(run.info.run_id, "loss", 0.5, 1_700_000_000_000, step)

        def fluent() -> None:
            for step in range(FLUENT_POINTS):
                mlflow.log_metric("loss", 0.5, step=step)

        measured("MlflowClient.log_metric", FLUENT_POINTS, through_client)
        measured("mlflow.log_metric", FLUENT_POINTS, fluent)
        # Without it MLflow looks for pyspark at every call, in vain.
        os.environ["MLFLOW_REGISTRY_URI"] = mlflow.get_tracking_uri()
        measured("mlflow.log_metric, MLFLOW_REGISTRY_URI set", FLUENT_POINTS, fluent)


def store(run_id: str, points: int) -> None:
    """Measure what is ours of a call."""
    from mlflow.entities import Metric
    from mlflow.tracking._tracking_service.utils import _get_store

    opened = _get_store()
    metrics = [Metric("loss", 0.5, 1_700_000_000_000, step) for step in range(points)]

    def singly() -> None:
        for metric in metrics:
            opened.log_metric(run_id, metric)

    def batches() -> None:
        for start in range(0, points, 1_000):
            opened.log_batch(run_id, metrics[start : start + 1_000], [], [])

    measured("store.log_metric", points, singly)
    measured("store.log_batch of 1,000", points, batches)


if __name__ == "__main__":
    main()
