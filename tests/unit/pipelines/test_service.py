from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.unit.pipelines.building import Project, build_project

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, Conflict, InvalidInput, LimitExceeded, NotFound
from flyball.kernel.events.entities import Edge, ref
from flyball.kernel.ids import new_id
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.pipelines.entities import MOVES, RunState
from flyball.pipelines.limits import Limits
from flyball.pipelines.sql import SqlPipelineStore

ONE_STEP = "@step\ndef one() -> int:\n    return 1\n\n@pipeline\ndef main():\n    return one()\n"


def test_a_submitted_run_waits_with_its_parameters_and_its_edges(project: Project) -> None:
    run_id = new_id()
    edge = Edge(subject=ref("pipeline-run", run_id), relation="for", object=ref("request", "r1"))

    run = project.pipelines.submit("shop:main", {"n": 1}, actor="service:loop", edges=[edge], run_id=run_id)

    assert (run.id, run.state, run.actor, run.parameters) == (run_id, RunState.QUEUED, "service:loop", {"n": 1})
    assert project.pipelines.list(state=RunState.QUEUED) == [run]
    assert project.events.history(run.ref)[0].edges == (edge,)


def test_a_run_id_is_used_once(project: Project) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")

    with pytest.raises(AlreadyExists):
        project.pipelines.submit("shop:main", {}, actor="user:owner", run_id=run.id)
    assert project.kinds(run) == ["submitted"]


@pytest.mark.parametrize("path", ["", "shop", "shop:", ":main", "../shop:main", "shop:main:x", "shop.py:main()", "1:x"])
def test_a_path_that_is_no_module_and_function_is_refused(project: Project, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        project.pipelines.submit(path, {}, actor="user:owner")
    assert caught.value.field == "pipeline"


def test_parameters_that_are_no_json_are_refused(project: Project) -> None:
    with pytest.raises(InvalidInput):
        project.pipelines.submit("shop:main", {"x": float("nan")}, actor="user:owner")
    assert project.pipelines.list() == []


def test_huge_parameters_are_refused(project: Project) -> None:
    with pytest.raises(LimitExceeded, match="pass large data as a dataset"):
        project.pipelines.submit("shop:main", {"x": "y" * 2_000_000}, actor="user:owner")


def test_an_unknown_run_is_not_found(project: Project) -> None:
    with pytest.raises(NotFound):
        project.pipelines.get("0" * 32)
    with pytest.raises(NotFound):
        project.pipelines.execute("0" * 32, environment={}, holder="test")


def test_a_run_is_executed_once(project: Project) -> None:
    project.write(ONE_STEP)
    run = project.run()

    with pytest.raises(Conflict, match="is succeeded, and cannot become running"):
        project.pipelines.execute(run.id, environment=project.environment, holder="test")


def test_a_run_that_somebody_executes_is_left_alone(project: Project, sqlite: Database, clock: ManualClock) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    SqlLeaseStore(sqlite, clock).acquire(f"pipeline-run/{run.id}", holder="another", ttl_ms=1000)

    with pytest.raises(Conflict, match="held by another"):
        project.pipelines.execute(run.id, environment=project.environment, holder="test")
    assert project.pipelines.get(run.id) == run


def test_a_cancelled_run_is_not_executed(project: Project) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")

    cancelled = project.pipelines.cancel(run.id, actor="user:owner")

    assert cancelled.state is RunState.CANCELLED
    assert project.kinds(run) == ["submitted", "cancelled"]
    with pytest.raises(Conflict):
        project.pipelines.execute(run.id, environment=project.environment, holder="test")


@pytest.mark.parametrize("state", list(RunState))
def test_only_failed_and_lost_runs_are_resumed_and_only_unfinished_ones_cancelled(
    project: Project, sqlite: Database, state: RunState
) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    SqlPipelineStore(sqlite).change(dataclasses.replace(run, state=state), expected=RunState.QUEUED)

    for verb, target in ((project.pipelines.resume, RunState.QUEUED), (project.pipelines.cancel, RunState.CANCELLED)):
        SqlPipelineStore(sqlite).change(
            dataclasses.replace(run, state=state), expected=project.pipelines.get(run.id).state
        )
        if target in MOVES[state]:
            assert verb(run.id, actor="user:owner").state is target
        else:
            with pytest.raises(Conflict, match=f"is {state}, and cannot become {target}"):
                verb(run.id, actor="user:owner")


def test_a_running_run_without_a_living_lease_is_swept_once(
    project: Project, sqlite: Database, clock: ManualClock
) -> None:
    leases = SqlLeaseStore(sqlite, clock)
    runs = [project.pipelines.submit("shop:main", {}, actor="user:owner") for _ in range(3)]
    for run in runs[:2]:
        SqlPipelineStore(sqlite).change(dataclasses.replace(run, state=RunState.RUNNING), expected=RunState.QUEUED)
    leases.acquire(f"pipeline-run/{runs[0].id}", holder="alive", ttl_ms=1000)

    swept = project.pipelines.sweep_lost()

    assert [(run.id, run.state) for run in swept] == [(runs[1].id, RunState.LOST)]
    assert project.kinds(runs[1]) == ["submitted", "lost"]
    assert project.pipelines.sweep_lost() == []
    clock.advance(1001)
    assert [run.id for run in project.pipelines.sweep_lost()] == [runs[0].id]


def test_a_resumed_run_keeps_its_id_and_counts_its_attempts(project: Project) -> None:
    project.write("@pipeline\ndef main():\n    pass\n")
    run = project.run()
    assert run.error == "the plan: the pipeline called no step; decorate its functions with @step"
    project.write(ONE_STEP)

    again = project.again(run)

    assert (again.id, again.state, again.attempt, again.error) == (run.id, RunState.SUCCEEDED, 2, None)
    assert project.kinds(run) == ["submitted", "started", "failed", "resumed", "started", "step_finished", "succeeded"]


def test_files_of_running_steps_are_gone_afterwards(tmp_path: Path, sqlite: Database, clock: ManualClock) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    project = build_project(tmp_path, sqlite, clock, limits=Limits(scratch=scratch))
    project.write(ONE_STEP)

    assert project.run().state is RunState.SUCCEEDED
    assert list(scratch.iterdir()) == []
