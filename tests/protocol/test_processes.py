"""Many training processes at once, each with the genuine client: what was acknowledged is there, and races end in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict

from mlflow import MlflowClient
from tests.protocol.serving import TrackingServer

PROCESSES = 32
SINGLE, BATCH = 10, 100
PATIENCE_S = 240

# One process imports the client and forks the others, which is thirty times cheaper than thirty imports; from the fork on each
# is a process with connections of its own. All wait at the read until the parent closes the pipe, so that they begin at once.
# Each says what was acknowledged by one write a line, which lines of others cannot come into.
FORKING = """
import json, os, sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

def say(**said):
    os.write(1, (json.dumps(said) + "\\n").encode())

def work(number):
{work}

reading, writing = os.pipe()
children = []
for number in range({processes}):
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        code = 1
        try:
            work(number)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    children.append(child)
os.close(reading)
os.close(writing)
ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(0 if not any(ended) else f"ended: {{ended}}")
"""
TRAINING = f"""
    with mlflow.start_run(run_name=f"worker {{number}}") as run:
        say(number=number, run_id=run.info.run_id)
        mlflow.log_param("number", number)
        for step in range({SINGLE}):
            mlflow.log_metric("loss", number + step / 100, step=step)
            say(number=number, metric="loss", step=step, value=number + step / 100)
        points = [Metric("batch", number * 1000.0 + step, 1, step) for step in range({BATCH})]
        MlflowClient().log_batch(run.info.run_id, metrics=points)
        for point in points:
            say(number=number, metric="batch", step=point.step, value=point.value)
        mlflow.log_text(f"written by {{number}}", "note.txt")
        mlflow.set_tag("done", number)
"""
RACING = """
    experiment = mlflow.set_experiment("same")
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}", "model/MLmodel")
        version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "same", await_registration_for=0)
    say(experiment_id=experiment.experiment_id, run_id=run.info.run_id, version=version.version)
"""


def acknowledged(server: TrackingServer, work: str, processes: int) -> list[dict[str, object]]:
    """Run the work in that many processes at once, and return what they said."""
    environ = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_TRACKING_TOKEN": server.token,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # no error hides behind a second try
    }
    environ.pop("MLFLOW_EXPERIMENT_ID")
    program = FORKING.format(work=work, processes=processes)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_every_point_that_32_processes_had_acknowledged_is_there(tracking_server: TrackingServer) -> None:
    said = acknowledged(tracking_server, TRAINING, PROCESSES)
    runs = {entry["number"]: str(entry["run_id"]) for entry in said if "run_id" in entry}
    points: dict[tuple[str, str], list[tuple[object, object]]] = defaultdict(list)
    for entry in said:
        if "metric" in entry:
            points[runs[entry["number"]], str(entry["metric"])].append((entry["step"], entry["value"]))
    assert len(runs) == PROCESSES
    assert sum(map(len, points.values())) == PROCESSES * (SINGLE + BATCH)
    client = MlflowClient(tracking_server.url)
    for (run_id, key), expected in points.items():
        assert [(point.step, point.value) for point in client.get_metric_history(run_id, key)] == expected
    for number, run_id in runs.items():
        found = client.get_run(run_id)
        assert (found.info.status, found.info.run_name) == ("FINISHED", f"worker {number}")
        assert (found.data.params["number"], found.data.tags["done"]) == (str(number), str(number))
        assert [entry.path for entry in client.list_artifacts(run_id)] == ["note.txt"]
    assert tracking_server.platform.events.verify().intact


def test_processes_that_race_for_a_name_share_one_experiment_and_count_versions_up(
    tracking_server: TrackingServer,
) -> None:
    said = acknowledged(tracking_server, RACING, 8)
    assert len({entry["experiment_id"] for entry in said}) == 1
    assert sorted(str(entry["version"]) for entry in said) == [str(number) for number in range(1, 9)]
    client = MlflowClient(tracking_server.url)
    kept = {each.version: each.run_id for each in client.search_model_versions("name = 'same'")}
    assert kept == {str(entry["version"]): entry["run_id"] for entry in said}
    assert tracking_server.platform.events.verify().intact
