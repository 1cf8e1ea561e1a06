"""Uploads in parts: the official client's, and what goes wrong with one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from tests.protocol.serving import TrackingServer

from flyball.artifacts.uploads import MAX_AGE_MS, Uploads

MPU = "/api/2.0/mlflow-artifacts/mpu/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    return str(tracking_server.platform.tracking.runs.create("0", actor="user:owner").info.run_id)


def begin(server: TrackingServer, run_id: str, *, parts: int, name: str = "f.bin") -> Any:
    body = {"path": f"/home/somebody/{name}", "num_parts": parts}
    return server.request("POST", f"{MPU}create/0/{run_id}/artifacts", json=body).json()


def send(server: TrackingServer, url: str, data: bytes) -> str:
    answer = server.request("PUT", url.removeprefix(server.url), body=data)
    assert answer.status == 200, answer.data
    return str(answer.headers["etag"])


def finish(server: TrackingServer, run_id: str, upload_id: str, parts: list[tuple[int, str]]) -> Any:
    body = {
        "path": "f.bin",
        "upload_id": upload_id,
        "parts": [{"part_number": number, "etag": etag, "url": "x"} for number, etag in parts],
    }
    return server.request("POST", f"{MPU}complete/0/{run_id}/artifacts", json=body)


def blobs(server: TrackingServer) -> set[str]:
    return {str(digest) for digest in server.platform.artifacts.blobs.digests()}


def test_the_client_sends_a_large_file_in_parts(
    tracking_server: TrackingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000000")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "5242880")
    data = os.urandom(12_000_000)
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "large.bin").write_bytes(data)
    (sent / "small.txt").write_text("small")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(sent), "deep/er")
    back = MlflowClient().download_artifacts(run.info.run_id, "deep", str(tmp_path))
    assert Path(back, "er", "large.bin").read_bytes() == data
    # The parts are gone, and what is kept is the whole file.
    assert tracking_server.platform.artifacts.walk("uploads") == []
    assert hashlib.sha256(data).hexdigest() in blobs(tracking_server)
    assert len(blobs(tracking_server)) == 2


def test_parts_come_in_any_order_and_again(tracking_server: TrackingServer, run_id: str) -> None:
    made = begin(tracking_server, run_id, parts=3)
    urls = {each["part_number"]: each["url"] for each in made["credentials"]}
    assert all(each["headers"]["Authorization"].startswith("Bearer ") for each in made["credentials"])
    third = send(tracking_server, urls[3], b"c")
    send(tracking_server, urls[1], b"wrong")
    first, second = send(tracking_server, urls[1], b"a" * 70_000), send(tracking_server, urls[2], b"")
    parts = [(3, third), (1, first), (2, second)]
    assert finish(tracking_server, run_id, made["upload_id"], parts).json() == {}
    got = tracking_server.request("GET", f"{PROXY}/0/{run_id}/artifacts/f.bin")
    assert got.data == b"a" * 70_000 + b"c"
    assert blobs(tracking_server) == {hashlib.sha256(got.data).hexdigest()}
    assert finish(tracking_server, run_id, made["upload_id"], parts).status == 404


def test_an_aborted_upload_leaves_nothing(tracking_server: TrackingServer, run_id: str) -> None:
    made = begin(tracking_server, run_id, parts=1)
    send(tracking_server, made["credentials"][0]["url"], b"abc")
    body = {"path": "f.bin", "upload_id": made["upload_id"]}
    assert tracking_server.request("POST", f"{MPU}abort/0/{run_id}/artifacts", json=body).json() == {}
    assert blobs(tracking_server) == set()
    answer = tracking_server.request("PUT", made["credentials"][0]["url"].removeprefix(tracking_server.url), body=b"a")
    assert (answer.status, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_an_upload_that_does_not_fit_together_is_refused(tracking_server: TrackingServer, run_id: str) -> None:
    made = begin(tracking_server, run_id, parts=2)
    etag = send(tracking_server, made["credentials"][0]["url"], b"abc")
    upload_id = made["upload_id"]
    for parts in ([], [(1, etag), (1, etag)], [(1, "0" * 64)], [(1, etag), (2, etag)], [(9, etag)]):
        answer = finish(tracking_server, run_id, upload_id, parts)
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), parts
    other = tracking_server.platform.tracking.runs.create("0", actor="user:owner").info.run_id
    assert finish(tracking_server, str(other), upload_id, [(1, etag)]).status == 404
    for place in (f"{upload_id}/3", f"{upload_id}/0", f"{upload_id}/x", f"{'f' * 32}/1", "..%2f..%2fx/1"):
        assert tracking_server.request("PUT", f"{MPU}parts/{place}", body=b"x").status in {400, 404}
    assert tracking_server.request("GET", f"{PROXY}/0/{run_id}/artifacts/f.bin").status == 404
    for parts_count in (0, -1, 10_001):
        assert "num_parts must be between 1 and 10000" in begin(tracking_server, run_id, parts=parts_count)["message"]
    assert tracking_server.request("POST", f"{MPU}create/%2e%2e/x", json={"path": "f", "num_parts": 1}).status == 400
    assert tracking_server.request("PUT", f"{MPU}parts/{upload_id}/1", body=b"x", token="no").status == 401


def test_an_upload_that_nobody_ends_is_swept_away(
    tracking_server: TrackingServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begin(tracking_server, run_id, parts=1)
    send(tracking_server, made["credentials"][0]["url"], b"abc")
    uploads = Uploads(tracking_server.platform.artifacts)
    uploads.create(f"run/{run_id}", "young", part_count=1)
    assert len(tracking_server.platform.artifacts.list("uploads")) == 2
    later = f"{int(made['upload_id'][:12], 16) + MAX_AGE_MS + 60_000:012x}{'0' * 20}"
    monkeypatch.setattr("flyball.artifacts.uploads.new_id", lambda: later)
    uploads.create(f"run/{run_id}", "late", part_count=1)
    assert [entry.path for entry in tracking_server.platform.artifacts.list("uploads")] == [later]
