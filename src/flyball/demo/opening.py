"""Before the curtain: data, policy, monitor, loop, and the first version on its way through the gates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from flyball.demo.electricity import TIME
from flyball.demo.recipe import is_held_out, training_plan, written
from flyball.demo.replay import NAME, PATIENCE_S
from flyball.demo.stage import LOOK_S, People, wait_for
from flyball.kernel.errors import FlyballError
from flyball.wire.v1 import datasets, loops, models, monitors, pipelines

SOURCE = "M. Harries, Splice-2 comparative evaluation: Electricity pricing, UNSW, 1999"
ENDED = frozenset({"succeeded", "failed", "lost", "cancelled"})


def open_loop(people: People, history: pa.Table, folder: Path, *, announce: Callable[[str], None]) -> None:
    """Bring the first version into production; the engineer asks, the approver approves."""
    held_out = is_held_out(history.column(TIME).to_numpy(), training_plan())
    add_dataset(people, "elec2-history", history, folder)
    training = add_dataset(people, "elec2-training", history.filter(pa.array(~held_out)), folder)
    holdout = add_dataset(people, "elec2-holdout", history.filter(pa.array(held_out)), folder)
    announce(f"datasets {training} and {holdout}: content-addressed, with schema and profile")
    _set_rules(people)
    version = _train(people, training)
    announce(f"the training pipeline logged and registered version {version} with the MLflow client")
    body = loops.NewPromotion(version=version, training=training, holdout=holdout)
    asked = people.engineer.call("POST", f"/api/v1/loops/{NAME}/promotions", body=body, response=loops.RequestInfo)
    _see_through(people, asked.id)
    announce("gate passed; a person other than the requester approved; the endpoint is up")


def add_dataset(people: People, name: str, table: pa.Table, folder: Path) -> str:
    """Upload rows as a dataset version, and return its name as `<name>/<n>`."""
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    query = {"source": SOURCE, "format": "parquet"}
    made = people.engineer.upload(f"/api/v1/datasets/{name}", path, query=query, response=datasets.Dataset)
    return f"{made.name}/{made.version}"


def _set_rules(people: People) -> None:
    policy = models.NewPolicy(document=written("policy.yaml"))
    people.approver.call("POST", "/api/v1/policies", body=policy, response=models.PolicyInfo)
    monitor = monitors.MonitorDocument(document=written("monitor.yaml"))
    people.engineer.call("POST", "/api/v1/monitors", body=monitor, response=monitors.MonitorInfo)
    loop = loops.LoopDocument(document=written("loop.yaml"))
    people.engineer.call("POST", "/api/v1/loops", body=loop, response=loops.LoopInfo)


def _train(people: People, training: str) -> int:
    parameters = {"training": {"dataset": training}, "model": NAME, "dataset": training}
    body = pipelines.NewPipelineRun(
        pipeline="flyball.demo.training:train",
        parameters={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in parameters.items()},
    )
    run = people.engineer.call("POST", "/api/v1/pipeline-runs", body=body, response=pipelines.PipelineRunInfo)
    while run.state not in ENDED:
        time.sleep(LOOK_S)
        run = people.engineer.call("GET", f"/api/v1/pipeline-runs/{run.id}", response=pipelines.PipelineRunInfo)
    if run.state != "succeeded":
        raise FlyballError(f"the first training {run.state}: {run.error}")
    return int(msgspec.json.decode(run.result)["version"])


def _see_through(people: People, request: str) -> None:
    """Approve when it is time, and wait until the request has ended in production."""

    def promoted() -> bool:
        found = people.engineer.call("GET", f"/api/v1/requests/{request}", response=loops.RequestInfo)
        if found.state in {"refused", "failed"}:
            raise FlyballError(f"the first version was {found.state}: {found.reason}")
        if found.state == "awaiting_approval":
            _approve(people, found.approval_id)
        return found.state == "promoted"

    wait_for(promoted, limit_s=PATIENCE_S, what="the first version to go into production")


def _approve(people: People, approval_id: str) -> None:
    found = people.approver.call("GET", "/api/v1/approvals", response=loops.ApprovalList)
    for approval in found.approvals:
        if approval.id == approval_id and approval.state == "pending":
            path = f"/api/v1/approvals/{approval_id}/approve"
            people.approver.call("POST", path, body=loops.Approve(digest=approval.digest), response=loops.ApprovalInfo)
