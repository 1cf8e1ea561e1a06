"""What `mlflow server` answers about files, request by request, is what this server answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"
AJAX = "/ajax-api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
KINDS = {
    "MLmodel": "text/plain",
    "mlproject": "text/plain",
    "a.json": "text/plain",
    "a.py": "text/plain",
    "a.html": "text/html",
    "a.png": "image/png",
    "noext": "application/octet-stream",
    "model.skops": "application/octet-stream",
}


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    return str(tracking_server.platform.tracking.runs.create("0", actor="user:owner").info.run_id)


@pytest.fixture
def model_id(tracking_server: TrackingServer) -> str:
    return str(tracking_server.platform.tracking.models.create("0", name="m", actor="user:owner").model_id)


def get(server: TrackingServer, place: str, /, **fields: str) -> Any:
    return server.request("GET", place, fields=fields)


def test_files_have_the_types_and_names_that_the_original_gives_them(
    tracking_server: TrackingServer, run_id: str
) -> None:
    for name, kind in KINDS.items():
        place = f"{PROXY}/0/{run_id}/artifacts/{name}"
        assert tracking_server.request("PUT", place, body=b"x").status == 200
        answer = tracking_server.request("GET", place)
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == f"attachment; filename={name}"
        assert (answer.headers["x-content-type-options"], answer.headers["content-length"]) == ("nosniff", "1")
    names = {
        "sp%20ace.txt": 'attachment; filename="sp ace.txt"',
        "%C3%BCml.txt": "attachment; filename=uml.txt; filename*=UTF-8''%C3%BCml.txt",
        "%E6%95%B0": "attachment; filename=download; filename*=UTF-8''%E6%95%B0",
    }
    for name, disposition in names.items():
        place = f"{PROXY}/0/{run_id}/artifacts/{name}"
        tracking_server.request("PUT", place, body=b"x")
        assert tracking_server.request("GET", place).headers["content-disposition"] == disposition


def test_an_invalid_path_is_called_so_and_nothing_else(
    tracking_server: TrackingServer, run_id: str, model_id: str
) -> None:
    expected = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"}
    for path in ("../path", "/etc", "a/../../b", "%2e%2e/x", "#x", "a/..%2f..%2fb"):
        for answer in (
            get(tracking_server, f"{API}artifacts/list", run_id=run_id, path=path),
            get(tracking_server, "/get-artifact", run_id=run_id, path=path),
            get(tracking_server, "/model-versions/get-artifact", name="model", version="1", path=path),
            get(tracking_server, "//model-versions/get-artifact", name="model", version="1", path=path),
            get(tracking_server, f"{AJAX}logged-models/{model_id}/artifacts/files", artifact_file_path=path),
            get(tracking_server, f"{API}logged-models/{model_id}/artifacts/directories", artifact_directory_path=path),
            get(tracking_server, PROXY, path=path),
        ):
            assert (answer.status, answer.json()) == (400, expected), path


def test_a_file_that_is_not_there_or_is_a_folder_is_told_by_its_place(
    tracking_server: TrackingServer, run_id: str, model_id: str
) -> None:
    runs, models = f"0/{run_id}/artifacts", f"0/models/{model_id}/artifacts"
    for root in (runs, models):
        tracking_server.request("PUT", f"{PROXY}/{root}/sub/a", body=b"x")
    files = f"{AJAX}logged-models/{model_id}/artifacts/files"

    def ask(root: str, path: str) -> list[Any]:
        proxied = get(tracking_server, f"{PROXY}/{root}/{path}")
        if root == models:
            return [proxied, get(tracking_server, files, artifact_file_path=path)]
        return [proxied, get(tracking_server, "/get-artifact", run_id=run_id, path=path)]

    for root in (runs, models):
        for answer in ask(root, "nope"):
            assert (answer.status, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
            assert answer.json()["message"] == f"No such artifact: '{root}/nope'"
        for answer in ask(root, "sub"):
            assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
            assert answer.json()["message"] == f"Artifact path refers to a directory, not a file: '{root}/sub'"
        assert [answer.data for answer in ask(root, "sub/a")] == [b"x", b"x"]


def test_folders_are_listed_by_run_by_model_and_by_place(
    tracking_server: TrackingServer, run_id: str, model_id: str
) -> None:
    for root in (f"0/{run_id}/artifacts", f"0/models/{model_id}/artifacts"):
        for name in ("a.txt", "sub/b", "sub/deep/c"):
            tracking_server.request("PUT", f"{PROXY}/{root}/{name}", body=b"xyz")
    file, folder = {"is_dir": False, "file_size": 3}, {"is_dir": True}
    root_files = [{"path": "a.txt", **file}, {"path": "sub", **folder}]
    sub_files = [{"path": "sub/b", **file}, {"path": "sub/deep", **folder}]
    by_run, by_model = f"{API}artifacts/list", f"{API}logged-models/{model_id}/artifacts/directories"
    for name, given in (("run_id", run_id), ("run_uuid", run_id)):
        listed = get(tracking_server, by_run, **{name: given}).json()
        assert listed == {"root_uri": f"mlflow-artifacts:/0/{run_id}/artifacts", "files": root_files}
    assert get(tracking_server, by_run, run_id=run_id, path="sub/").json()["files"] == sub_files
    assert get(tracking_server, by_model).json()["files"] == root_files
    assert get(tracking_server, by_model, artifact_directory_path="sub").json()["files"] == sub_files
    for path in (".", "./", "./.", ""):
        assert get(tracking_server, by_run, run_id=run_id, path=path).json()["files"] == root_files
        assert len(get(tracking_server, PROXY, path=f"0/{run_id}/artifacts/{path}").json()["files"]) == 2
    assert get(tracking_server, by_run, run_id=run_id, path="./sub//").json()["files"] == sub_files
    for path in ("a.txt", "nope"):
        assert "files" not in get(tracking_server, by_run, run_id=run_id, path=path).json()
        assert get(tracking_server, PROXY, path=f"0/{run_id}/artifacts/{path}").json() == {}
    assert "required parameter 'run_id'" in get(tracking_server, by_run, path="x").json()["message"]
    assert get(tracking_server, by_run, run_id="f" * 32).status == 404
    assert get(tracking_server, f"{API}logged-models/m-zz/artifacts/directories").status == 404


def test_a_file_of_a_model_version_is_found_by_the_version(tracking_server: TrackingServer, run_id: str) -> None:
    tracking_server.request("PUT", f"{PROXY}/0/{run_id}/artifacts/model/MLmodel", body=b"flavors: {}")
    tracking_server.request("POST", f"{API}registered-models/create", json={"name": "rm"})
    body = {"name": "rm", "source": f"mlflow-artifacts:/0/{run_id}/artifacts/model", "run_id": run_id}
    assert tracking_server.request("POST", f"{API}model-versions/create", json=body).status == 200
    place = "/model-versions/get-artifact"
    assert get(tracking_server, place, name="rm", version="1", path="MLmodel").data == b"flavors: {}"
    for version, path, status in (("1", "nope", 404), ("9", "MLmodel", 404), ("x", "MLmodel", 400)):
        assert get(tracking_server, place, name="rm", version=version, path=path).status == status


def test_the_web_pages_may_store_a_small_file(tracking_server: TrackingServer, run_id: str) -> None:
    place = f"{AJAX}upload-artifact"
    stored = tracking_server.request("POST", f"{place}?run_uuid={run_id}&path=up/x.txt", body=b"data")
    assert stored.status == 200
    assert get(tracking_server, "/get-artifact", run_id=run_id, path="up/x.txt").data == b"data"
    for query, data, message in (
        ("path=x", b"d", "Request must specify run_uuid."),
        (f"run_uuid={run_id}", b"d", "Request must specify path."),
        (f"run_uuid={run_id}&path=x", b"", "Request must specify data."),
        (f"run_uuid={run_id}&path=x", b"d" * (10 * 1024 * 1024 + 1), "Artifact size is too large. Max size is 10MB."),
        (f"run_uuid={run_id}&path=../x", b"d", "Invalid path"),
    ):
        answer = tracking_server.request("POST", f"{place}?{query}", body=data)
        assert (answer.status, answer.json()["message"]) == (400, message)
    assert tracking_server.request("POST", f"{place}?run_uuid={'f' * 32}&path=x", body=b"d").status == 404


def test_files_that_are_kept_elsewhere_are_not_made_up(tracking_server: TrackingServer) -> None:
    body = {"name": "cloud", "artifact_location": "s3://bucket/x"}
    key = tracking_server.request("POST", f"{API}experiments/create", json=body).json()["experiment_id"]
    run = tracking_server.request("POST", f"{API}runs/create", json={"experiment_id": key}).json()["run"]["info"]
    for answer in (
        get(tracking_server, f"{API}artifacts/list", run_id=run["run_id"]),
        get(tracking_server, "/get-artifact", run_id=run["run_id"], path="a"),
        tracking_server.request(
            "POST", f"{API}artifacts/presigned-upload-url", json={"run_id": run["run_id"], "path": "a"}
        ),
    ):
        assert (answer.status, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
