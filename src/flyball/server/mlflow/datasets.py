"""Evaluation datasets of the MLflow protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow.deletions import deletion
from flyball.server.mlflow.reading import required
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.tracking.evaluation import EvaluationDataset, EvaluationDatasets, EvaluationRecord
from flyball.wire.mlflow import evaluation as shapes
from flyball.wire.mlflow.message import Empty


def create(call: Call[shapes.CreateDataset]) -> shapes.DatasetAnswer:
    """Make an evaluation dataset."""
    body = call.body
    experiment_ids = tuple(body.experiment_ids or ())
    made = _verbs(call).create(
        required(body.name, "name"),
        experiment_ids=experiment_ids,
        tags=_tags(body.tags) if body.tags else {},
        actor=call.actor,
    )
    return shapes.DatasetAnswer(dataset=_dataset(made, experiment_ids))


def get(call: Call[None]) -> shapes.DatasetAnswer:
    """Return an evaluation dataset."""
    return shapes.DatasetAnswer(dataset=_dataset(_verbs(call).get(_id(call))))


def delete(call: Call[None]) -> Empty:
    """Remove an evaluation dataset."""
    _verbs(call).delete(_id(call), actor=call.actor)
    return Empty()


def search(call: Call[shapes.SearchEvaluationDatasets]) -> shapes.EvaluationDatasets:
    """Search evaluation datasets."""
    body = call.body
    page = _verbs(call).search(
        body.filter_string or "",
        experiment_ids=body.experiment_ids or (),
        order_by=body.order_by or (),
        limit=body.max_results,
        page_token=body.page_token or "",
    )
    return shapes.EvaluationDatasets(
        datasets=tuple(_dataset(each) for each in page.items), next_page_token=page.next_token
    )


def set_tags(call: Call[shapes.DatasetTags]) -> Empty:
    """Set tags of an evaluation dataset."""
    _verbs(call).set_tags(_id(call), _tags(required(call.body.tags, "tags")), actor=call.actor)
    return Empty()


def delete_tag(call: Call[None]) -> Empty:
    """Delete a tag of an evaluation dataset."""
    _verbs(call).delete_tag(_id(call), call.path["key"], actor=call.actor)
    return Empty()


def upsert_records(call: Call[shapes.UpsertRecords]) -> shapes.Upserted:
    """Write records of an evaluation dataset; equal inputs are one record."""
    inserted, updated = _verbs(call).upsert(_id(call), required(call.body.records, "records"), actor=call.actor)
    return shapes.Upserted(inserted_count=inserted, updated_count=updated)


def get_records(call: Call[shapes.GetRecords]) -> shapes.Records:
    """Return a page of an evaluation dataset's records."""
    found, token = _verbs(call).records(_id(call), limit=call.body.max_results, page_token=call.body.page_token or "")
    return shapes.Records(records=json.dumps([_record(each) for each in found]), next_page_token=token)


def delete_records(call: Call[None]) -> shapes.Deleted:
    """Remove records of an evaluation dataset."""
    body = deletion(call, shapes.DeleteRecords)
    deleted = _verbs(call).delete_records(_id(call), body.dataset_record_ids or (), actor=call.actor)
    return shapes.Deleted(deleted_count=deleted)


def experiment_ids(call: Call[None]) -> shapes.ExperimentIds:
    """Return the experiments of an evaluation dataset."""
    return shapes.ExperimentIds(experiment_ids=tuple(_verbs(call).experiments(_id(call))))


def add_experiments(call: Call[shapes.DatasetExperiments]) -> shapes.DatasetAnswer:
    """Add an evaluation dataset to experiments."""
    changed = _verbs(call).link(_id(call), call.body.experiment_ids or (), actor=call.actor)
    return shapes.DatasetAnswer(dataset=_dataset(changed))


def remove_experiments(call: Call[shapes.DatasetExperiments]) -> shapes.DatasetAnswer:
    """Remove an evaluation dataset from experiments."""
    changed = _verbs(call).unlink(_id(call), call.body.experiment_ids or (), actor=call.actor)
    return shapes.DatasetAnswer(dataset=_dataset(changed))


def _verbs(call: Call[Any]) -> EvaluationDatasets:
    return call.platform.tracking.evaluation


def _id(call: Call[Any]) -> str:
    return call.path["dataset_id"]


def _tags(text: str) -> Mapping[str, JsonValue]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"'tags' is no JSON: {error}", field="tags") from error
    if not isinstance(value, dict):
        raise InvalidInput("'tags' must be a JSON object", field="tags")
    return value


def _dataset(found: EvaluationDataset, linked: tuple[str, ...] = ()) -> shapes.EvaluationDataset:
    return shapes.EvaluationDataset(
        dataset_id=found.id,
        name=found.name,
        tags=json.dumps(dict(found.tags)),
        schema=found.schema or None,
        profile=found.profile or None,
        digest=found.digest,
        created_time=found.created_ms,
        last_update_time=found.updated_ms,
        created_by=found.created_by or None,
        last_updated_by=found.updated_by or None,
        experiment_ids=linked,
    )


def _record(found: EvaluationRecord) -> dict[str, JsonValue]:
    source = found.source or {}
    data = source.get("source_data")
    place = data if isinstance(data, dict) else {}
    of_trace = source.get("source_type") == "TRACE"
    optional: dict[str, JsonValue] = {
        "outputs": found.outputs,
        "expectations": dict(found.expectations) if found.expectations is not None else None,
        "source": dict(source) or None,
        "source_id": place.get("trace_id" if of_trace else "source_id"),
        "source_type": source.get("source_type"),
        "created_by": found.created_by or None,
        "last_updated_by": found.updated_by or None,
    }
    return {
        "dataset_record_id": found.id,
        "dataset_id": found.dataset_id,
        "inputs": dict(found.inputs),
        "tags": dict(found.tags),
        "created_time": found.created_ms,
        "last_update_time": found.updated_ms,
        **{key: value for key, value in optional.items() if value is not None},
    }


_READ, _WRITE = Permission.TRACKING_READ, Permission.TRACKING_WRITE
_ALL = "/api/3.0/mlflow/datasets/"
_ONE = _ALL + "{dataset_id}"

ROUTES = (
    row("POST", f"{_ALL}create", permission=_WRITE, handler=create, request=shapes.CreateDataset,
        response=shapes.DatasetAnswer),
    row("POST", f"{_ALL}search", permission=_READ, handler=search, request=shapes.SearchEvaluationDatasets,
        response=shapes.EvaluationDatasets),
    row("GET", f"{_ALL}search", permission=_READ, handler=search, request=shapes.SearchEvaluationDatasets,
        response=shapes.EvaluationDatasets),
    row("GET", _ONE, permission=_READ, handler=get, response=shapes.DatasetAnswer),
    row("DELETE", _ONE, permission=_WRITE, handler=delete, response=Empty),
    row("PATCH", f"{_ONE}/tags", permission=_WRITE, handler=set_tags, request=shapes.DatasetTags, response=Empty),
    row("DELETE", _ONE + "/tags/{key}", permission=_WRITE, handler=delete_tag, response=Empty),
    row("POST", f"{_ONE}/records", permission=_WRITE, handler=upsert_records, request=shapes.UpsertRecords,
        response=shapes.Upserted),
    row("GET", f"{_ONE}/records", permission=_READ, handler=get_records, request=shapes.GetRecords,
        response=shapes.Records),
    row("DELETE", f"{_ONE}/records", permission=_WRITE, handler=delete_records, response=shapes.Deleted),
    row("GET", f"{_ONE}/experiment-ids", permission=_READ, handler=experiment_ids, response=shapes.ExperimentIds),
    row("POST", f"{_ONE}/add-experiments", permission=_WRITE, handler=add_experiments,
        request=shapes.DatasetExperiments, response=shapes.DatasetAnswer),
    row("POST", f"{_ONE}/remove-experiments", permission=_WRITE, handler=remove_experiments,
        request=shapes.DatasetExperiments, response=shapes.DatasetAnswer),
)  # fmt: skip
