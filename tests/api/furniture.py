"""One of everything that the MLflow protocol keeps, so that a request has something to meet."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from tests.protocol.serving import TrackingServer

_V2, _V3, _PROXY = "/api/2.0/mlflow/", "/api/3.0/mlflow/", "/api/2.0/mlflow-artifacts/"


def furnished(server: TrackingServer) -> dict[str, str]:
    """Make one of everything, and return what a request calls it by."""
    name = f"m{uuid.uuid4().hex}"
    experiment_id, deleted_experiment_id = (
        _text(_send(server, f"{_V2}experiments/create", {"name": made}), "experiment_id")
        for made in (name, f"deleted-{name}")
    )
    _send(server, f"{_V2}experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": "team", "value": "g"})
    _send(server, f"{_V2}experiments/delete", {"experiment_id": deleted_experiment_id})
    run_id, deleted_run_id = (
        _text(_send(server, f"{_V2}runs/create", {"experiment_id": experiment_id}), "run", "info", "run_id")
        for _ in range(2)
    )
    _send(server, f"{_V2}runs/delete", {"run_id": deleted_run_id})
    logged = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 1}
    params, tags = [{"key": "depth", "value": "3"}], [{"key": "team", "value": "grid"}]
    _send(server, f"{_V2}runs/log-batch", {"run_id": run_id, "metrics": [logged], "params": params, "tags": tags})
    run_root = f"{experiment_id}/{run_id}/artifacts"
    _put(server, f"{run_root}/a.txt")
    known = {
        "experiment_id": experiment_id,
        "deleted_experiment_id": deleted_experiment_id,
        "run_id": run_id,
        "deleted_run_id": deleted_run_id,
        "run_root": run_root,
        "name": name,
        "tag_key": "team",
        "key": "team",
        **_model(server, name, experiment_id=experiment_id, run_id=run_id),
        **_upload(server, run_root),
        **_dataset(server, name, experiment_id),
    }
    hook = {
        "name": "hook",
        "url": "https://hooks.invalid/x",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
    }
    return {**known, "webhook_id": _text(_send(server, f"{_V2}webhooks", hook), "webhook", "webhook_id")}


def _model(server: TrackingServer, name: str, *, experiment_id: str, run_id: str) -> dict[str, str]:
    body = {
        "experiment_id": experiment_id,
        "name": "m",
        "source_run_id": run_id,
        "tags": [{"key": "team", "value": "g"}],
    }
    model_id = _text(_send(server, f"{_V2}logged-models", body), "model", "info", "model_id")
    path = f"{experiment_id}/models/{model_id}/artifacts/MLmodel"
    _put(server, path)
    ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    _send(server, f"{_V2}logged-models/{model_id}", ready, method="PATCH")
    tags = [{"key": "a", "value": "b"}]
    _send(server, f"{_V2}registered-models/create", {"name": name, "tags": tags})
    version = {"name": name, "source": f"models:/{model_id}", "model_id": model_id, "tags": tags}
    _send(server, f"{_V2}model-versions/create", version)
    _send(server, f"{_V2}registered-models/alias", {"name": name, "alias": "champion", "version": "1"})
    return {"model_id": model_id, "path": path, "version": "1", "alias": "champion"}


def _upload(server: TrackingServer, root: str) -> dict[str, str]:
    begun = _send(server, f"{_PROXY}mpu/create/{root}", {"path": "big.bin", "num_parts": 1})
    upload_id = _text(begun, "upload_id")
    sent = server.request("PUT", f"{_PROXY}mpu/parts/{upload_id}/1", body=b"part")
    assert sent.status == 200, sent.data
    return {"upload_id": upload_id, "number": "1", "etag": sent.headers["etag"].strip('"')}


def _dataset(server: TrackingServer, name: str, experiment_id: str) -> dict[str, str]:
    body = {"name": name, "experiment_ids": [experiment_id], "tags": '{"team": "grid"}'}
    dataset_id = _text(_send(server, f"{_V3}datasets/create", body), "dataset", "dataset_id")
    _send(server, f"{_V3}datasets/{dataset_id}/records", {"records": '[{"inputs": {"q": "a"}}]'})
    (record,), _ = server.platform.tracking.evaluation.records(dataset_id)
    return {"dataset_id": dataset_id, "record_id": record.id}


def _send(server: TrackingServer, path: str, body: object, *, method: str = "POST") -> Mapping[str, object]:
    answer = server.request(method, path, json=body)
    assert answer.status == 200, answer.data
    found = answer.json()
    assert isinstance(found, dict)
    return found


def _put(server: TrackingServer, path: str) -> None:
    stored = server.request("PUT", f"{_PROXY}artifacts/{path}", body=b"flavors: {}\n")
    assert stored.status == 200, stored.data


def _text(document: Mapping[str, object], *keys: str) -> str:
    found: object = document
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    return str(found)
