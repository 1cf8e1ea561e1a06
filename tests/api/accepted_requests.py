"""One request for each route of the MLflow protocol that a server with one of everything accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyball.server.routing import Route

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to send; `<run_id>` and its like are filled in, in the path too."""

    query: Fields = field(default_factory=dict)
    body: Fields | bytes | None = None
    status: int = 200
    """Some routes only ever refuse: the refusal is what they are for."""
    path: str = ""
    """In place of the route's template, where its holes are filled by something else than their names."""


def recipe_of(route: Route) -> Recipe:
    """Return the recipe of a route or of the route that it doubles."""
    path = route.path.replace("/ajax-api/", "/api/", 1)
    for prefix in ("/api/2.0/mlflow-artifacts/", "/api/2.0/mlflow/", "/api/2.0mlflow/", "/api/2.11/mlflow/"):
        path = path.removeprefix(prefix)
    return _RECIPES[f"{route.method} {path}"]


def _query(**fields: Any) -> Recipe:
    return Recipe(query=fields)


def _body(**fields: Any) -> Recipe:
    return Recipe(body=fields)


_RUN, _EXPERIMENT, _MODEL, _NAME = "<run_id>", "<experiment_id>", "<model_id>", "<name>"
_VERSION = {"name": _NAME, "version": "<version>"}
_DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "s"}
_EVENTS = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
_EVALUATION = "/api/3.0/mlflow/datasets/"
_LOGGED = "logged-models/{model_id}"
_MODEL_JSON = json.dumps(
    {"run_id": _RUN, "artifact_path": "m", "flavors": {"python_function": {}}, "utc_time_created": "x"}
)

_TRACKING: Mapping[str, Recipe] = {
    "GET /health": Recipe(),
    "GET /version": Recipe(),
    "GET /api/3.0/mlflow/server-info": Recipe(),
    "POST experiments/create": _body(name="made-<name>", tags=[{"key": "a", "value": "b"}]),
    "GET experiments/get": _query(experiment_id=_EXPERIMENT),
    "GET experiments/get-by-name": _query(experiment_name=_NAME),
    "POST experiments/search": _body(max_results=5, filter="name = '<name>'", view_type="ALL"),
    "GET experiments/search": _query(max_results=5, filter="name = '<name>'", order_by=["name ASC"]),
    "POST experiments/update": _body(experiment_id=_EXPERIMENT, new_name="renamed-<name>"),
    "POST experiments/delete": _body(experiment_id=_EXPERIMENT),
    "POST experiments/restore": _body(experiment_id="<deleted_experiment_id>"),
    "POST experiments/set-experiment-tag": _body(experiment_id=_EXPERIMENT, key="a", value="b"),
    "POST experiments/delete-experiment-tag": _body(experiment_id=_EXPERIMENT, key="team"),
    "POST experiments/search-datasets": _body(experiment_ids=[_EXPERIMENT]),
    "POST runs/create": _body(experiment_id=_EXPERIMENT, run_name="r", start_time=5, tags=[{"key": "a", "value": "b"}]),
    "GET runs/get": _query(run_id=_RUN),
    "POST runs/update": _body(run_id=_RUN, status="FINISHED", end_time=7, run_name="renamed"),
    "POST runs/search": _body(
        experiment_ids=[_EXPERIMENT], filter="metrics.loss > 0.1", order_by=["params.depth DESC"]
    ),
    "POST runs/delete": _body(run_id=_RUN),
    "POST runs/restore": _body(run_id="<deleted_run_id>"),
    "POST runs/log-parameter": _body(run_id=_RUN, key="new", value="1"),
    "POST runs/set-tag": _body(run_id=_RUN, key="a", value="b"),
    "POST runs/delete-tag": _body(run_id=_RUN, key="team"),
    "POST runs/log-batch": _body(
        run_id=_RUN,
        metrics=[{"key": "loss", "value": 0.25, "timestamp": 2, "step": 2}],
        params=[{"key": "width", "value": "4"}],
        tags=[{"key": "a", "value": "b"}],
    ),
    "POST runs/log-inputs": _body(run_id=_RUN, datasets=[{"dataset": _DATASET, "tags": [{"key": "a", "value": "b"}]}]),
    "POST runs/outputs": _body(run_id=_RUN, models=[{"model_id": _MODEL, "step": 1}]),
    "POST runs/log-model": _body(run_id=_RUN, model_json=_MODEL_JSON),
    "POST runs/log-metric": _body(run_id=_RUN, key="loss", value=0.25, timestamp=3, step=3, model_id=_MODEL),
    "GET metrics/get-history": _query(run_id=_RUN, metric_key="loss", max_results=5),
    "GET metrics/get-history-bulk": _query(run_id=[_RUN], metric_key="loss"),
    "GET metrics/get-history-bulk-interval": _query(run_ids=[_RUN], metric_key="loss", start_step=0, end_step=5),
}
_MODELS: Mapping[str, Recipe] = {
    "POST logged-models": _body(experiment_id=_EXPERIMENT, name="n", params=[{"key": "a", "value": "b"}]),
    "POST logged-models/search": _body(experiment_ids=[_EXPERIMENT], order_by=[{"field_name": "name"}], max_results=5),
    f"GET {_LOGGED}": Recipe(),
    f"PATCH {_LOGGED}": _body(model_id=_MODEL, status="LOGGED_MODEL_READY"),
    f"DELETE {_LOGGED}": Recipe(),
    f"PATCH {_LOGGED}/tags": _body(tags=[{"key": "a", "value": "b"}]),
    f"DELETE {_LOGGED}/tags/{{tag_key:path}}": Recipe(),
    f"POST {_LOGGED}/params": _body(params=[{"key": "depth", "value": "3"}]),
    f"GET {_LOGGED}/artifacts/directories": Recipe(),
    f"GET {_LOGGED}/artifacts/files": _query(artifact_file_path="MLmodel"),
}
_ARTIFACTS: Mapping[str, Recipe] = {
    "GET artifacts": _query(path="<experiment_id>"),
    "GET artifacts/{path:path}": Recipe(),
    "PUT artifacts/{path:path}": Recipe(body=b"bytes"),
    "DELETE artifacts/{path:path}": Recipe(),
    "GET artifacts/list": _query(run_id=_RUN),
    "GET /get-artifact": _query(run_uuid=_RUN, path="a.txt"),
    "POST upload-artifact": Recipe(query={"run_uuid": _RUN, "path": "b.txt"}, body=b"bytes"),
    "GET /model-versions/get-artifact": _query(**_VERSION, path="MLmodel"),
    "GET //model-versions/get-artifact": _query(**_VERSION, path="MLmodel"),
    "POST mpu/create/{path:path}": Recipe(body={"path": "big.bin", "num_parts": 2}),
    "PUT mpu/parts/{upload_id}/{number}": Recipe(body=b"part"),
    "POST mpu/complete/{path:path}": Recipe(
        path="/api/2.0/mlflow-artifacts/mpu/complete/<run_root>",
        body={
            "path": "big.bin",
            "upload_id": "<upload_id>",
            "parts": [{"part_number": 1, "etag": "<etag>", "url": "x"}],
        },
    ),
    "POST mpu/abort/{path:path}": Recipe(
        path="/api/2.0/mlflow-artifacts/mpu/abort/<run_root>", body={"path": "big.bin", "upload_id": "<upload_id>"}
    ),
    "GET presigned/{path:path}": Recipe(status=501),
    "POST artifacts/presigned-upload-url": Recipe(body={"run_id": _RUN, "path": "a"}, status=400),
    "POST artifacts/presigned-download-url": Recipe(body={"run_id": _RUN, "path": "a"}, status=400),
}
_REGISTRY: Mapping[str, Recipe] = {
    "POST registered-models/create": _body(name="made-<name>", tags=[{"key": "a", "value": "b"}], description="d"),
    "GET registered-models/get": _query(name=_NAME),
    "GET registered-models/search": _query(filter="name = '<name>'", max_results=5, order_by=["name ASC"]),
    "PATCH registered-models/update": _body(name=_NAME, description="d"),
    "POST registered-models/rename": _body(name=_NAME, new_name="renamed-<name>"),
    "DELETE registered-models/delete": _body(name=_NAME),
    "GET registered-models/get-latest-versions": _query(name=_NAME, stages=["None"]),
    "POST registered-models/get-latest-versions": _body(name=_NAME, stages=["None"]),
    "POST registered-models/set-tag": _body(name=_NAME, key="a", value="b"),
    "DELETE registered-models/delete-tag": _body(name=_NAME, key="a"),
    "POST registered-models/alias": _body(**_VERSION, alias="other"),
    "GET registered-models/alias": _query(name=_NAME, alias="<alias>"),
    "DELETE registered-models/alias": _body(name=_NAME, alias="<alias>"),
    "POST model-versions/create": _body(name=_NAME, source="models:/<model_id>", model_id=_MODEL, description="d"),
    "GET model-versions/get": _query(**_VERSION),
    "GET model-versions/search": _query(filter="name = '<name>' AND version_number >= 1", max_results=5),
    "PATCH model-versions/update": _body(**_VERSION, description="d"),
    "DELETE model-versions/delete": _body(**_VERSION),
    "GET model-versions/get-download-uri": _query(**_VERSION),
    "POST model-versions/transition-stage": _body(**_VERSION, stage="Staging", archive_existing_versions=True),
    "POST model-versions/set-tag": _body(**_VERSION, key="a", value="b"),
    "DELETE model-versions/delete-tag": _body(**_VERSION, key="a"),
    "POST webhooks": _body(name="hook", url="https://hooks.invalid/x", events=_EVENTS, secret="s"),
    "GET webhooks": _query(max_results=5),
    "GET webhooks/{webhook_id}": Recipe(),
    "PATCH webhooks/{webhook_id}": _body(description="d", status="DISABLED"),
    "DELETE webhooks/{webhook_id}": Recipe(),
    "POST webhooks/{webhook_id}/test": _body(event=_EVENTS[0]),
}
_DATASETS: Mapping[str, Recipe] = {
    f"POST {_EVALUATION}create": _body(name="made-<name>", experiment_ids=[_EXPERIMENT], tags='{"a": "b"}'),
    f"POST {_EVALUATION}search": _body(experiment_ids=[_EXPERIMENT], filter_string="name = '<name>'", max_results=5),
    f"GET {_EVALUATION}search": _query(experiment_ids=[_EXPERIMENT], max_results=5),
    f"GET {_EVALUATION}{{dataset_id}}": Recipe(),
    f"DELETE {_EVALUATION}{{dataset_id}}": Recipe(),
    f"PATCH {_EVALUATION}{{dataset_id}}/tags": _body(tags='{"a": "b"}'),
    f"DELETE {_EVALUATION}{{dataset_id}}/tags/{{key}}": Recipe(),
    f"POST {_EVALUATION}{{dataset_id}}/records": _body(records='[{"inputs": {"q": "x"}, "expectations": {"a": 1}}]'),
    f"GET {_EVALUATION}{{dataset_id}}/records": _query(max_results=5),
    f"DELETE {_EVALUATION}{{dataset_id}}/records": _body(dataset_record_ids=["<record_id>"]),
    f"GET {_EVALUATION}{{dataset_id}}/experiment-ids": Recipe(),
    f"POST {_EVALUATION}{{dataset_id}}/add-experiments": _body(experiment_ids=["0"]),
    f"POST {_EVALUATION}{{dataset_id}}/remove-experiments": _body(experiment_ids=[_EXPERIMENT]),
}
_RECIPES: Mapping[str, Recipe] = {**_TRACKING, **_MODELS, **_ARTIFACTS, **_REGISTRY, **_DATASETS}
