"""Runs of the MLflow protocol, and what they log."""

from __future__ import annotations

import msgspec

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import RUN_STATUSES, metrics, one_of, pairs, required, run_id_of, view_of
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.tracking.entities import DatasetInput, LoggedDataset, ModelId, ModelOutput
from flyball.tracking.runs import DEFAULT_RESULTS
from flyball.wire.mlflow import runs as shapes
from flyball.wire.mlflow.message import Empty


def create(call: Call[shapes.CreateRun]) -> shapes.RunAnswer:
    """Start a run."""
    body = call.body
    made = call.platform.tracking.runs.create(
        required(body.experiment_id, "experiment_id"),
        name=body.run_name or "",
        user_id=body.user_id or "",
        start_ms=body.start_time,
        tags=pairs(body.tags, field="tags"),
        actor=call.actor,
    )
    return shapes.RunAnswer(run=rendering.new_run(made))


def get(call: Call[shapes.RunById]) -> shapes.RunAnswer:
    """Return a run."""
    return shapes.RunAnswer(run=rendering.run(call.platform.tracking.runs.get(run_id_of(call.body))))


def update(call: Call[shapes.UpdateRun]) -> shapes.RunInfoAnswer:
    """Change status, end or name of a run."""
    body = call.body
    info = call.platform.tracking.runs.update(
        run_id_of(body),
        status=None if body.status is None else one_of(body.status, RUN_STATUSES, field="status"),
        end_ms=body.end_time,
        name=body.run_name or "",
        actor=call.actor,
    )
    return shapes.RunInfoAnswer(run_info=rendering.run_info(info))


def search(call: Call[shapes.SearchRuns]) -> shapes.Runs:
    """Search runs."""
    body = call.body
    page = call.platform.tracking.runs.search(
        body.experiment_ids or (),
        filter_text=body.filter or "",
        view=view_of(body.run_view_type, field="run_view_type"),
        order_by=body.order_by or (),
        max_results=DEFAULT_RESULTS if body.max_results is None else body.max_results,
        page_token=body.page_token,
    )
    return shapes.Runs(runs=tuple(rendering.run(item) for item in page.items), next_page_token=page.next_token)


def delete(call: Call[shapes.RunById]) -> Empty:
    """Put a run into the bin."""
    call.platform.tracking.runs.delete(run_id_of(call.body), actor=call.actor)
    return Empty()


def restore(call: Call[shapes.RunById]) -> Empty:
    """Bring a run back."""
    call.platform.tracking.runs.restore(run_id_of(call.body), actor=call.actor)
    return Empty()


def log_param(call: Call[shapes.RunText]) -> Empty:
    """Log a param."""
    call.platform.tracking.log.log_param(
        run_id_of(call.body), required(call.body.key, "key"), call.body.value or "", actor=call.actor
    )
    return Empty()


def set_tag(call: Call[shapes.RunText]) -> Empty:
    """Set a tag."""
    call.platform.tracking.log.set_tag(
        run_id_of(call.body), required(call.body.key, "key"), call.body.value or "", actor=call.actor
    )
    return Empty()


def delete_tag(call: Call[shapes.RunText]) -> Empty:
    """Delete a tag."""
    call.platform.tracking.log.delete_tag(run_id_of(call.body), required(call.body.key, "key"), actor=call.actor)
    return Empty()


def log_batch(call: Call[shapes.LogBatch]) -> Empty:
    """Log params, metrics and tags at once, all or nothing."""
    call.platform.tracking.log.log_batch(
        required(call.body.run_id, "run_id"),
        metrics=metrics(call.body.metrics),
        params=pairs(call.body.params, field="params"),
        tags=pairs(call.body.tags, field="tags"),
        actor=call.actor,
    )
    return Empty()


def log_inputs(call: Call[shapes.LogInputs]) -> Empty:
    """Name the datasets and models that a run read."""
    call.platform.tracking.lineage.log_inputs(
        required(call.body.run_id, "run_id"),
        datasets=[_dataset_input(item) for item in call.body.datasets or ()],
        model_ids=[ModelId(required(item.model_id, "models.model_id")) for item in call.body.models or ()],
        actor=call.actor,
    )
    return Empty()


def log_outputs(call: Call[shapes.LogOutputs]) -> Empty:
    """Name the models that a run made."""
    outputs = [
        ModelOutput(model_id=ModelId(required(item.model_id, "models.model_id")), step=item.step or 0)
        for item in required(call.body.models, "models")
    ]
    call.platform.tracking.lineage.log_outputs(required(call.body.run_id, "run_id"), outputs, actor=call.actor)
    return Empty()


def log_model(call: Call[shapes.LogModel]) -> Empty:
    """Add a model to the history that clients before 3.0 keep in a tag of the run."""
    run_id, text = required(call.body.run_id, "run_id"), required(call.body.model_json, "model_json")
    try:
        description = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(
            f"Malformed model info. \n {text[:1_000]} \n is not a valid JSON.", field="model_json"
        ) from error
    if not isinstance(description, dict):
        raise InvalidInput("Malformed model info: it is no JSON object.", field="model_json")
    call.platform.tracking.lineage.record_model(run_id, description, actor=call.actor)
    return Empty()


def search_datasets(call: Call[shapes.SearchDatasets]) -> shapes.DatasetSummaries:
    """Return the datasets that runs of experiments read."""
    found = call.platform.tracking.lineage.datasets_of(call.body.experiment_ids or ())
    return shapes.DatasetSummaries(dataset_summaries=tuple(rendering.dataset_summary(item) for item in found))


def _dataset_input(item: shapes.DatasetInput) -> DatasetInput:
    dataset = required(item.dataset, "datasets.dataset")
    return DatasetInput(
        tags=dict(pairs(item.tags, field="datasets.tags")),
        dataset=LoggedDataset(
            name=required(dataset.name, "datasets.dataset.name"),
            digest=required(dataset.digest, "datasets.dataset.digest"),
            source_type=required(dataset.source_type, "datasets.dataset.source_type"),
            source=required(dataset.source, "datasets.dataset.source"),
            schema=dataset.schema or "",
            profile=dataset.profile or "",
        ),
    )


_READ, _WRITE = Permission.TRACKING_READ, Permission.TRACKING_WRITE
_ID, _TEXT, _ONE = shapes.RunById, shapes.RunText, shapes.RunAnswer
_INFO = shapes.RunInfoAnswer

ROUTES = (
    row("POST", "runs/create", permission=_WRITE, handler=create, request=shapes.CreateRun, response=_ONE),
    row("GET", "runs/get", permission=_READ, handler=get, request=_ID, response=_ONE),
    row("POST", "runs/update", permission=_WRITE, handler=update, request=shapes.UpdateRun, response=_INFO),
    row("POST", "runs/search", permission=_READ, handler=search, request=shapes.SearchRuns, response=shapes.Runs),
    row("POST", "runs/delete", permission=_WRITE, handler=delete, request=_ID, response=Empty),
    row("POST", "runs/restore", permission=_WRITE, handler=restore, request=_ID, response=Empty),
    row("POST", "runs/log-parameter", permission=_WRITE, handler=log_param, request=_TEXT, response=Empty),
    row("POST", "runs/set-tag", permission=_WRITE, handler=set_tag, request=_TEXT, response=Empty),
    row("POST", "runs/delete-tag", permission=_WRITE, handler=delete_tag, request=_TEXT, response=Empty),
    row("POST", "runs/log-batch", permission=_WRITE, handler=log_batch, request=shapes.LogBatch, response=Empty),
    row("POST", "runs/log-inputs", permission=_WRITE, handler=log_inputs, request=shapes.LogInputs, response=Empty),
    row("POST", "runs/outputs", permission=_WRITE, handler=log_outputs, request=shapes.LogOutputs, response=Empty),
    row("POST", "runs/log-model", permission=_WRITE, handler=log_model, request=shapes.LogModel, response=Empty),
    row(
        "POST",
        "experiments/search-datasets",
        permission=_READ,
        handler=search_datasets,
        request=shapes.SearchDatasets,
        response=shapes.DatasetSummaries,
    ),
    # The protocol's descriptor has this path with a slash missing, and clients made from it ask for it.
    row(
        "POST",
        "/api/2.0mlflow/experiments/search-datasets",
        permission=_READ,
        handler=search_datasets,
        request=shapes.SearchDatasets,
        response=shapes.DatasetSummaries,
    ),
)
