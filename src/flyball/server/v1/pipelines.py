"""Pipeline runs over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import JsonValue, parse_json
from flyball.pipelines.entities import PipelineRun
from flyball.server.routing import Call, Route
from flyball.server.v1.datasets import dataset_named
from flyball.wire.v1 import pipelines as shapes


def submit(call: Call[shapes.NewPipelineRun]) -> shapes.PipelineRunInfo:
    """Queue a pipeline; the worker takes it. A dataset named without its digest is pinned to the one it has now."""
    parameters = {name: _pinned(call, parse_json(bytes(raw))) for name, raw in call.body.parameters.items()}
    run = call.platform.pipelines.submit(call.body.pipeline, parameters, actor=call.actor)
    return _run(run)


def _pinned(call: Call[shapes.NewPipelineRun], value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping) and set(value) == {"dataset"}:
        found = dataset_named(call.platform.datasets, str(value["dataset"]), field="parameters")
        return {"dataset": f"{found.name}/{found.version}", "digest": found.digest}
    return value


def get(call: Call[None]) -> shapes.PipelineRunInfo:
    """Show a run."""
    return _run(call.platform.pipelines.get(call.path["run"]))


def listing(call: Call[None]) -> shapes.PipelineRunList:
    """List runs."""
    return shapes.PipelineRunList(runs=[_run(one) for one in call.platform.pipelines.list()])


def _run(found: PipelineRun) -> shapes.PipelineRunInfo:
    return shapes.PipelineRunInfo(
        id=found.id,
        pipeline=found.pipeline,
        state=found.state,
        steps=[
            shapes.StepInfo(name=one.name, state=one.state, cached=one.cached, error=one.error or "")
            for one in found.steps
        ],
        result=msgspec.Raw(msgspec.json.encode(found.result)),
        error=found.error or "",
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/pipeline-runs",
        permission=Permission.PIPELINES_RUN,
        handler=submit,
        request=shapes.NewPipelineRun,
        response=shapes.PipelineRunInfo,
        summary="Queue a pipeline",
    ),
    Route(
        method="GET",
        path="/api/v1/pipeline-runs",
        permission=Permission.PIPELINES_READ,
        handler=listing,
        response=shapes.PipelineRunList,
        summary="List pipeline runs",
    ),
    Route(
        method="GET",
        path="/api/v1/pipeline-runs/{run}",
        permission=Permission.PIPELINES_READ,
        handler=get,
        response=shapes.PipelineRunInfo,
        summary="Show a pipeline run",
    ),
)
