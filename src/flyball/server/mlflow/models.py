"""Logged models of the MLflow protocol."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import MODEL_STATUSES, one_of, pairs, required
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.tracking.models import DEFAULT_RESULTS
from flyball.tracking.search import MODELS, Field, Ordering
from flyball.wire.mlflow import models as shapes
from flyball.wire.mlflow.message import Empty


def create(call: Call[shapes.CreateLoggedModel]) -> shapes.LoggedModelAnswer:
    """Make a logged model whose files follow."""
    body = call.body
    made = call.platform.tracking.models.create(
        required(body.experiment_id, "experiment_id"),
        name=body.name or "",
        model_type=body.model_type or "",
        source_run_id=body.source_run_id or "",
        params=pairs(body.params, field="params"),
        tags=pairs(body.tags, field="tags"),
        actor=call.actor,
    )
    return shapes.LoggedModelAnswer(model=rendering.logged_model(made))


def get(call: Call[shapes.GetLoggedModel]) -> shapes.LoggedModelAnswer:
    """Return a logged model."""
    deleted = str(call.body.allow_deleted).lower() == "true"
    found = call.platform.tracking.models.get(call.path["model_id"], deleted=deleted)
    return shapes.LoggedModelAnswer(model=rendering.logged_model(found))


def finalize(call: Call[shapes.FinalizeLoggedModel]) -> shapes.LoggedModelAnswer:
    """Say how the upload of a logged model ended."""
    status = one_of(call.body.status, MODEL_STATUSES, field="status")
    model = call.platform.tracking.models.finalize(call.path["model_id"], status, actor=call.actor)
    return shapes.LoggedModelAnswer(model=rendering.logged_model(model))


def delete(call: Call[None]) -> Empty:
    """Put a logged model into the bin."""
    call.platform.tracking.models.delete(call.path["model_id"], actor=call.actor)
    return Empty()


def set_tags(call: Call[shapes.LoggedModelTags]) -> Empty:
    """Set tags of a logged model; the protocol's descriptor promises the model back, its server sends nothing."""
    tags = pairs(call.body.tags, field="tags")
    call.platform.tracking.models.set_tags(call.path["model_id"], tags, actor=call.actor)
    return Empty()


def delete_tag(call: Call[None]) -> Empty:
    """Delete a tag of a logged model."""
    call.platform.tracking.models.delete_tag(call.path["model_id"], call.path["tag_key"], actor=call.actor)
    return Empty()


def log_params(call: Call[shapes.LoggedModelParams]) -> Empty:
    """Log params of a logged model."""
    params = pairs(call.body.params, field="params")
    call.platform.tracking.models.log_params(call.path["model_id"], params, actor=call.actor)
    return Empty()


def search(call: Call[shapes.SearchLoggedModels]) -> shapes.LoggedModels:
    """Search logged models."""
    body = call.body
    page = call.platform.tracking.models.search(
        required(body.experiment_ids, "experiment_ids"),
        filter_text=body.filter or "",
        datasets=[_dataset(item) for item in body.datasets or ()],
        order_by=[_ordering(item) for item in body.order_by or ()],
        max_results=body.max_results or DEFAULT_RESULTS,
        page_token=body.page_token,
    )
    return shapes.LoggedModels(
        models=tuple(rendering.logged_model(item) for item in page.items), next_page_token=page.next_token
    )


def _dataset(item: shapes.DatasetFilter) -> tuple[str, str | None]:
    if not item.dataset_name:
        raise InvalidInput("`dataset_name` in the `datasets` clause must be specified.", field="datasets.dataset_name")
    return item.dataset_name, item.dataset_digest or None


def _ordering(item: shapes.OrderBy) -> Ordering:
    name = required(item.field_name, "order_by.field_name")
    prefix, dot, key = name.partition(".")
    if dot and prefix != "metrics":
        raise InvalidInput(f"Invalid order by field name: {name}. Only metrics are supported.", field="order_by")
    try:
        field, resolved = MODELS.resolve(*((Field.METRIC.value, key) if dot else (Field.ATTRIBUTE.value, name)))
    except InvalidInput as error:
        raise InvalidInput(f"Invalid order by field name: {name[:100]}. {error.message}", field="order_by") from error
    named = (item.dataset_name or None, item.dataset_digest or None)
    dataset = named if any(named) else None
    return Ordering(field=field, key=resolved, ascending=item.ascending is not False, dataset=dataset)


_READ, _WRITE, _ANSWER = Permission.TRACKING_READ, Permission.TRACKING_WRITE, shapes.LoggedModelAnswer
_ONE = "logged-models/{model_id}"

ROUTES = (
    row("POST", "logged-models", permission=_WRITE, handler=create, request=shapes.CreateLoggedModel, response=_ANSWER),
    row(
        "POST",
        "logged-models/search",
        permission=_READ,
        handler=search,
        request=shapes.SearchLoggedModels,
        response=shapes.LoggedModels,
    ),
    row("GET", _ONE, permission=_READ, handler=get, request=shapes.GetLoggedModel, response=_ANSWER),
    row("PATCH", _ONE, permission=_WRITE, handler=finalize, request=shapes.FinalizeLoggedModel, response=_ANSWER),
    row("DELETE", _ONE, permission=_WRITE, handler=delete, response=Empty),
    row(
        "PATCH",
        f"{_ONE}/tags",
        permission=_WRITE,
        handler=set_tags,
        request=shapes.LoggedModelTags,
        response=Empty,
    ),
    row("DELETE", f"{_ONE}/tags/{{tag_key:path}}", permission=_WRITE, handler=delete_tag, response=Empty),
    row(
        "POST",
        f"{_ONE}/params",
        permission=_WRITE,
        handler=log_params,
        request=shapes.LoggedModelParams,
        response=Empty,
    ),
)
