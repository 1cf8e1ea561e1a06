"""What the protocol says below the client: statuses, messages, headers, and bad input."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.protocol.serving import TrackingServer

from flyball.tracking.entities import Run

API = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Serve from SQLite only: nothing here depends on the database."""
    return f"sqlite:///{tmp_path / 'flyball.db'}"


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    made: Run = tracking_server.platform.tracking.runs.create("0", actor="user:owner")
    return made.info.run_id


def test_health_version_and_server_info_need_no_token(tracking_server: TrackingServer) -> None:
    assert tracking_server.request("GET", "/health", token="").data == b"OK"
    assert tracking_server.request("GET", "/version", token="").data == b"3.17.2"
    info = tracking_server.request("GET", "/api/3.0/mlflow/server-info", token="").json()
    assert (info["workspaces_enabled"], info["multipart_uploads_enabled"]) == (False, False)


def test_everything_else_needs_one(tracking_server: TrackingServer, run_id: str) -> None:
    for method, path in (
        ("GET", f"{API}runs/get?run_id={run_id}"),
        ("POST", f"{API}runs/log-batch"),
        ("GET", f"{PROXY}/0/{run_id}/artifacts/a"),
        ("PUT", f"{PROXY}/0/{run_id}/artifacts/a"),
    ):
        answer = tracking_server.request(method, path, token="wrong")
        assert (answer.status, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_the_web_pages_ask_under_another_prefix(tracking_server: TrackingServer) -> None:
    path = "2.0/mlflow/experiments/get?experiment_id=0"
    plain, pages = (tracking_server.request("GET", f"/{prefix}/{path}") for prefix in ("api", "ajax-api"))
    assert plain.json()["experiment"]["name"] == "Default"
    assert pages.json() == plain.json()


def test_an_unknown_endpoint_has_no_error_code(tracking_server: TrackingServer) -> None:
    for method, path in (
        ("GET", f"{API}nothing/here"),
        ("POST", "/api/3.0/mlflow/traces"),
    ):
        answer = tracking_server.request(method, path)
        assert answer.status == 404
        assert b"error_code" not in answer.data


def test_transfers_that_are_not_offered_are_refused_for_good(tracking_server: TrackingServer, run_id: str) -> None:
    answer = tracking_server.request("GET", f"{PROXY.removesuffix('artifacts')}presigned/0/x")
    assert (answer.status, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    for kind in ("upload", "download"):
        body = {"run_id": run_id, "path": "a"}
        refused = tracking_server.request("POST", f"{API}artifacts/presigned-{kind}-url", json=body)
        assert (refused.status, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert f"Presigned {kind} is not supported for" in refused.json()["message"]


def test_a_run_is_written_as_protobuf_would(tracking_server: TrackingServer) -> None:
    made = tracking_server.request(
        "POST", f"{API}runs/create", json={"experiment_id": "0", "start_time": "5", "new": 1}
    ).json()
    info = made["run"]["info"]
    assert (info["run_id"], info["start_time"], info["status"]) == (info["run_uuid"], 5, "RUNNING")
    assert "end_time" not in info
    assert set(made["run"]["data"]) == {"tags"}
    assert (made["run"]["inputs"], "outputs" in made["run"]) == ({}, False)
    point = {"run_uuid": info["run_id"], "key": "m", "value": "NaN", "timestamp": "7"}
    assert tracking_server.request("POST", f"{API}runs/log-metric", json=point).json() == {}
    got = tracking_server.request("GET", f"{API}runs/get?run_id={info['run_id']}").json()
    assert got["run"]["data"]["metrics"] == [{"key": "m", "value": "NaN", "timestamp": 7, "step": 0}]
    assert got["run"]["outputs"] == {}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "message"),
    [
        ("experiments/create", {}, 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"),
        ("experiments/create", {"name": "Default"}, 400, "RESOURCE_ALREADY_EXISTS", "already exists"),
        ("experiments/delete", {"experiment_id": "77"}, 404, "RESOURCE_DOES_NOT_EXIST", "77"),
        ("experiments/search", {"max_results": 0}, 400, "INVALID_PARAMETER_VALUE", "max_results"),
        ("experiments/search", {"view_type": "SOME"}, 400, "INVALID_PARAMETER_VALUE", "ACTIVE_ONLY"),
        ("runs/create", {"experiment_id": "x"}, 400, "INVALID_PARAMETER_VALUE", "Invalid experiment ID 'x'"),
        ("runs/create", {"experiment_id": "77"}, 404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=77 exists"),
        ("runs/create", {"experiment_id": "0", "start_time": "soon"}, 400, "INVALID_PARAMETER_VALUE", "start_time"),
        ("runs/update", {"run_id": "f" * 32, "status": "DONE"}, 400, "INVALID_PARAMETER_VALUE", "FINISHED"),
        ("runs/update", {"run_id": "f" * 32}, 404, "RESOURCE_DOES_NOT_EXIST", "not found"),
        (
            "runs/log-metric",
            {"run_id": "f" * 32, "key": "m", "timestamp": 1},
            400,
            "INVALID_PARAMETER_VALUE",
            "'value'",
        ),
        ("runs/log-metric", {"run_id": "f" * 32, "value": 1, "timestamp": 1}, 400, "INVALID_PARAMETER_VALUE", "'key'"),
        (
            "runs/log-batch",
            {"run_id": "f" * 32, "metrics": [{"key": "m"}]},
            400,
            "INVALID_PARAMETER_VALUE",
            "metrics[0].value",
        ),
        ("runs/log-batch", {"run_id": "f" * 32, "metrics": 3}, 400, "INVALID_PARAMETER_VALUE", "metrics"),
        ("runs/search", {"experiment_ids": ["0"], "filter": "a b"}, 400, "INVALID_PARAMETER_VALUE", "Invalid"),
        (
            "runs/search",
            {"experiment_ids": ["0"], "max_results": 50_001},
            400,
            "INVALID_PARAMETER_VALUE",
            "max_results",
        ),
        ("logged-models", {"experiment_id": "0", "name": "a/b"}, 400, "INVALID_PARAMETER_VALUE", "Invalid model name"),
        (
            "logged-models/search",
            {"experiment_ids": ["0"], "order_by": [{}]},
            400,
            "INVALID_PARAMETER_VALUE",
            "field_name",
        ),
    ],
)
def test_bad_input_is_a_clear_4xx(
    tracking_server: TrackingServer, path: str, body: object, status: int, code: str, message: str
) -> None:
    answer = tracking_server.request("POST", API + path, json=body)
    assert (answer.status, answer.json()["error_code"]) == (status, code)
    assert message in answer.json()["message"]


def test_nul_characters_are_a_4xx_everywhere(tracking_server: TrackingServer, run_id: str) -> None:
    for path, body in (
        ("runs/set-tag", {"run_id": run_id, "key": "k", "value": "\x00"}),
        ("runs/set-tag", {"run_id": "\x00", "key": "k", "value": "v"}),
        ("experiments/create", {"name": "\x00"}),
        ("runs/search", {"experiment_ids": ["\x00"], "filter": "params.a = '\x00'"}),
        ("runs/create", {"experiment_id": "0", "user_id": "\x00"}),
    ):
        assert 400 <= tracking_server.request("POST", API + path, json=body).status < 500
    assert tracking_server.request("GET", f"{API}metrics/get-history?run_id={run_id}&metric_key=%00").status == 400


def test_a_file_is_sent_as_a_download_that_no_browser_shows(tracking_server: TrackingServer, run_id: str) -> None:
    for name, kind in (("MLmodel", "text/plain"), ("page.html", "text/html"), ("blob", "application/octet-stream")):
        place = f"{PROXY}/0/{run_id}/artifacts/sub/{name}"
        assert tracking_server.request("PUT", place, body=b"<b>x</b>").status == 200
        got = tracking_server.request("GET", place)
        assert (got.status, got.data) == (200, b"<b>x</b>")
        assert got.headers["content-type"].split(";")[0] == kind
        assert got.headers["content-disposition"] == f"attachment; filename={name}"
        assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "tail",
    ["../x", "%2e%2e/x", "a/../../x", "..//x", "a%5cb", "a%23b", "a%00b", "%252e%252e/x", "./../b", "", ".", "a/"],
)
def test_a_path_that_leads_elsewhere_is_refused(tracking_server: TrackingServer, run_id: str, tail: str) -> None:
    answer = raw(tracking_server, "PUT", f"{PROXY}/0/{run_id}/artifacts/{tail}", body=b"x")
    assert answer.split(b" ")[1] == b"400", answer
    assert tracking_server.platform.artifacts.walk(f"run/{run_id}") == []


def test_a_path_to_a_run_that_is_not_there_is_not_found(tracking_server: TrackingServer, run_id: str) -> None:
    for place in (f"7/{run_id}/artifacts/a", f"0/{'f' * 32}/artifacts/a"):
        assert tracking_server.request("PUT", f"{PROXY}/{place}", body=b"x").status == 404
        got = tracking_server.request("GET", f"{PROXY}/{place}")
        assert (got.status, got.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert tracking_server.request("GET", PROXY, fields={"path": place}).json() == {}


def test_a_path_to_no_run_at_all_is_a_place_of_its_own(tracking_server: TrackingServer, run_id: str) -> None:
    places = ["0/traces/t/artifacts/a", "a", f"0/{run_id}/a"]
    for place in places:
        assert tracking_server.request("PUT", f"{PROXY}/{place}", body=place.encode()).status == 200
        assert tracking_server.request("GET", f"{PROXY}/{place}").data == place.encode()
    root = tracking_server.request("GET", PROXY).json()
    assert root == {"files": [{"path": "0", "is_dir": True}, {"path": "a", "is_dir": False, "file_size": 1}]}
    assert tracking_server.platform.artifacts.walk(f"run/{run_id}") == []
    assert tracking_server.request("DELETE", f"{PROXY}/0").status == 200
    assert tracking_server.request("GET", f"{PROXY}/{places[0]}").status == 404


def test_files_are_listed_by_base_name_and_deleted(tracking_server: TrackingServer, run_id: str) -> None:
    root = f"0/{run_id}/artifacts"
    for name in ("a/1", "a/2", "b"):
        tracking_server.request("PUT", f"{PROXY}/{root}/{name}", body=b"xy")
    listed = tracking_server.request("GET", PROXY, fields={"path": root}).json()
    assert listed == {"files": [{"path": "a", "is_dir": True}, {"path": "b", "is_dir": False, "file_size": 2}]}
    by_run = tracking_server.request("GET", f"{API}artifacts/list", fields={"run_id": run_id, "path": "a"}).json()
    assert by_run["root_uri"] == f"mlflow-artifacts:/{root}"
    assert [file["path"] for file in by_run["files"]] == ["a/1", "a/2"]
    assert tracking_server.request("DELETE", f"{PROXY}/{root}/a").json() == {}
    assert [entry.path for entry in tracking_server.platform.artifacts.walk(f"run/{run_id}")] == ["b"]


def test_an_upload_that_breaks_off_leaves_nothing(tracking_server: TrackingServer, run_id: str) -> None:
    host, port = urlsplit(tracking_server.url).netloc.split(":")
    head = (
        f"PUT {PROXY}/0/{run_id}/artifacts/half HTTP/1.1\r\nhost: {host}:{port}\r\n"
        f"authorization: Bearer {tracking_server.token}\r\ncontent-length: 1000000\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"x" * 200_000)
        time.sleep(0.3)
    time.sleep(0.3)
    assert tracking_server.platform.artifacts.walk(f"run/{run_id}") == []
    assert list(tracking_server.platform.artifacts.blobs.digests()) == []


def test_damaged_bytes_are_never_sent_as_a_whole_file(tracking_server: TrackingServer, run_id: str) -> None:
    place = f"{PROXY}/0/{run_id}/artifacts/a"
    tracking_server.request("PUT", place, body=b"x" * 100)
    digest = tracking_server.platform.artifacts.get(f"run/{run_id}", "a").digest
    home = tracking_server.platform.settings.home
    (kept,) = [path for path in home.rglob("*") if path.is_file() and path.name in str(digest) and len(path.name) > 50]
    kept.chmod(0o600)
    kept.write_bytes(b"y" * 100)
    answer = raw(tracking_server, "GET", place)
    assert not answer.endswith(b"y")


def test_an_old_client_reads_a_file_by_its_run(tracking_server: TrackingServer, run_id: str) -> None:
    tracking_server.request("PUT", f"{PROXY}/0/{run_id}/artifacts/a.json", body=json.dumps({"k": 1}).encode())
    got = tracking_server.request("GET", "/get-artifact", fields={"run_uuid": run_id, "path": "a.json"})
    assert got.json() == {"k": 1}


def raw(server: TrackingServer, method: str, target: str, *, body: bytes = b"") -> bytes:
    """Send a target as it is, which HTTP libraries would tidy up, and return the whole answer."""
    host, port = urlsplit(server.url).netloc.split(":")
    head = (
        f"{method} {target} HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {server.token}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received
