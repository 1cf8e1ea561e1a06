"""Experiments of the MLflow protocol."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import pairs, required, view_of
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.tracking.experiments import DEFAULT_RESULTS
from flyball.wire.mlflow import experiments as shapes
from flyball.wire.mlflow.message import Empty


def create(call: Call[shapes.CreateExperiment]) -> shapes.ExperimentCreated:
    """Make an experiment."""
    made = call.platform.tracking.experiments.create(
        required(call.body.name, "name"),
        artifact_location=call.body.artifact_location or "",
        tags=pairs(call.body.tags, field="tags"),
        actor=call.actor,
    )
    return shapes.ExperimentCreated(experiment_id=made.experiment_id)


def get(call: Call[shapes.ExperimentById]) -> shapes.ExperimentAnswer:
    """Return an experiment."""
    found = call.platform.tracking.experiments.get(required(call.body.experiment_id, "experiment_id"))
    return shapes.ExperimentAnswer(experiment=rendering.experiment(found))


def get_by_name(call: Call[shapes.ExperimentByName]) -> shapes.ExperimentAnswer:
    """Return the experiment of a name."""
    found = call.platform.tracking.experiments.get_by_name(required(call.body.experiment_name, "experiment_name"))
    return shapes.ExperimentAnswer(experiment=rendering.experiment(found))


def search(call: Call[shapes.SearchExperiments]) -> shapes.Experiments:
    """Search experiments."""
    body = call.body
    page = call.platform.tracking.experiments.search(
        filter_text=body.filter or "",
        view=view_of(body.view_type, field="view_type"),
        order_by=body.order_by or (),
        max_results=DEFAULT_RESULTS if body.max_results is None else body.max_results,
        page_token=body.page_token,
    )
    return shapes.Experiments(
        experiments=tuple(rendering.experiment(item) for item in page.items), next_page_token=page.next_token
    )


def update(call: Call[shapes.UpdateExperiment]) -> Empty:
    """Rename an experiment."""
    call.platform.tracking.experiments.rename(
        required(call.body.experiment_id, "experiment_id"), required(call.body.new_name, "new_name"), actor=call.actor
    )
    return Empty()


def delete(call: Call[shapes.ExperimentById]) -> Empty:
    """Put an experiment and its runs into the bin."""
    call.platform.tracking.experiments.delete(required(call.body.experiment_id, "experiment_id"), actor=call.actor)
    return Empty()


def restore(call: Call[shapes.ExperimentById]) -> Empty:
    """Bring an experiment back."""
    call.platform.tracking.experiments.restore(required(call.body.experiment_id, "experiment_id"), actor=call.actor)
    return Empty()


def set_tag(call: Call[shapes.ExperimentTag]) -> Empty:
    """Set a tag of an experiment."""
    call.platform.tracking.experiments.set_tag(
        required(call.body.experiment_id, "experiment_id"),
        required(call.body.key, "key"),
        call.body.value or "",
        actor=call.actor,
    )
    return Empty()


def delete_tag(call: Call[shapes.ExperimentTag]) -> Empty:
    """Delete a tag of an experiment."""
    call.platform.tracking.experiments.delete_tag(
        required(call.body.experiment_id, "experiment_id"), required(call.body.key, "key"), actor=call.actor
    )
    return Empty()


_READ, _WRITE = Permission.TRACKING_READ, Permission.TRACKING_WRITE
_ID, _TAG, _SEARCH = shapes.ExperimentById, shapes.ExperimentTag, shapes.SearchExperiments
_ONE, _MANY = shapes.ExperimentAnswer, shapes.Experiments

ROUTES = (
    row(
        "POST",
        "experiments/create",
        permission=_WRITE,
        handler=create,
        request=shapes.CreateExperiment,
        response=shapes.ExperimentCreated,
    ),
    row("GET", "experiments/get", permission=_READ, handler=get, request=_ID, response=_ONE),
    row(
        "GET",
        "experiments/get-by-name",
        permission=_READ,
        handler=get_by_name,
        request=shapes.ExperimentByName,
        response=_ONE,
    ),
    row("POST", "experiments/search", permission=_READ, handler=search, request=_SEARCH, response=_MANY),
    row("GET", "experiments/search", permission=_READ, handler=search, request=_SEARCH, response=_MANY),
    row(
        "POST",
        "experiments/update",
        permission=_WRITE,
        handler=update,
        request=shapes.UpdateExperiment,
        response=Empty,
    ),
    row("POST", "experiments/delete", permission=_WRITE, handler=delete, request=_ID, response=Empty),
    row("POST", "experiments/restore", permission=_WRITE, handler=restore, request=_ID, response=Empty),
    row("POST", "experiments/set-experiment-tag", permission=_WRITE, handler=set_tag, request=_TAG, response=Empty),
    row(
        "POST",
        "experiments/delete-experiment-tag",
        permission=_WRITE,
        handler=delete_tag,
        request=_TAG,
        response=Empty,
    ),
)
