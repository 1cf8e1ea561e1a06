"""Long files past the event loop: they arrive whole, in constant memory, and what breaks off breaks off cleanly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.protocol.serving import TrackingServer, serve

from flyball.artifacts.folder import FolderBlobStore
from flyball.kernel.db import open_database
from flyball.kernel.settings import load_settings
from flyball.server.direct import BorrowedBody
from flyball.server.home import ensure_owner_token, prepare_home
from flyball.server.http_protocol import OneWriteProtocol
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform

PATIENCE_S = 60
MIB = 1 << 20
BLOCK = os.urandom(MIB)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("direct") / "home"
    settings = load_settings({"FLYBALL_HOME": str(home), "FLYBALL_MAX_ARTIFACT_BYTES": str(400 * MIB)})
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        token = ensure_owner_token(platform).read_text(encoding="utf-8").strip()
        yield TrackingServer(url=url, token=token, platform=platform)


@pytest.fixture(scope="module")
def run_id(server: TrackingServer) -> str:
    answer = server.request("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "start_time": 1})
    found: str = json.loads(answer.data)["run"]["info"]["run_id"]
    return found


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[BorrowedBody]:
    """What was lent meanwhile, so that a test knows which way a body took."""
    found: list[BorrowedBody] = []
    lend = OneWriteProtocol._lend_body

    def note(protocol: OneWriteProtocol, cycle: object) -> BorrowedBody | None:
        borrowed = lend(protocol, cycle)  # type: ignore[arg-type]
        found.extend([borrowed] if borrowed else [])
        return borrowed

    monkeypatch.setattr(OneWriteProtocol, "_lend_body", note)
    return found


@contextlib.contextmanager
def connected(server: TrackingServer) -> Iterator[socket.socket]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        yield connection


def head(server: TrackingServer, method: str, path: str, *lines: str) -> bytes:
    fixed = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.token}", *lines]
    return "\r\n".join([*fixed, "", ""]).encode()


def file_path(run_id: str, name: str) -> str:
    return f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}"


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer that says its length, and not a byte more."""
    got = b""
    while b"\r\n\r\n" not in got:
        data = connection.recv(1)
        assert data, f"closed after {got!r}"
        got += data
    length = int(got.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = bytearray()
    while len(body) < length:
        data = connection.recv(min(MIB, length - len(body)))
        assert data, f"closed after {len(body)} of {length} bytes"
        body += data
    return int(got[9:12]), bytes(body)


def test_a_long_file_goes_up_and_comes_down_on_one_connection(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody]
) -> None:
    content = b"".join(bytes([at]) + BLOCK[1:] for at in range(9)) + b"end"
    path = file_path(run_id, "long.bin")
    with connected(server) as connection:
        for _ in range(2):
            connection.sendall(head(server, "PUT", path, f"Content-Length: {len(content)}") + content)
            assert read_answer(connection) == (200, b"{}")
            connection.sendall(head(server, "GET", path))
            assert read_answer(connection) == (200, content)

    assert len(lent) == 2
    assert all(borrowed.left == 0 for borrowed in lent)


def test_a_request_behind_a_long_body_is_answered(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody]
) -> None:
    content = BLOCK * 5
    sent = head(server, "PUT", file_path(run_id, "behind.bin"), f"Content-Length: {len(content)}") + content
    with connected(server) as connection:
        connection.sendall(sent + head(server, "GET", "/version") + head(server, "GET", "/health"))
        assert [read_answer(connection)[0] for _ in range(3)] == [200, 200, 200]

    assert len(lent) == 1


def test_a_long_body_that_waits_to_be_asked_for_is_asked_for(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody]
) -> None:
    content = BLOCK * 3
    lines = (f"Content-Length: {len(content)}", "Expect: 100-continue")
    with connected(server) as connection:
        connection.sendall(head(server, "PUT", file_path(run_id, "asked.bin"), *lines))
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += connection.recv(1)
        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert read_answer(connection) == (200, b"{}")

    assert len(lent) == 1


def test_a_body_of_no_known_length_comes_by_the_loop(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody]
) -> None:
    path = file_path(run_id, "chunked.bin")
    chunk = b"100000\r\n" + BLOCK + b"\r\n"
    with connected(server) as connection:
        connection.sendall(head(server, "PUT", path, "Transfer-Encoding: chunked") + chunk * 3 + b"0\r\n\r\n")
        assert read_answer(connection) == (200, b"{}")
        connection.sendall(head(server, "GET", path))
        assert read_answer(connection) == (200, BLOCK * 3)

    assert not lent


def test_a_long_body_that_is_refused_is_read_over_and_the_connection_goes_on(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_store: FolderBlobStore, chunks: Iterator[bytes]) -> None:
        next(iter(chunks))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FolderBlobStore, "put", full)
    content = BLOCK * 6
    with connected(server) as connection:
        connection.sendall(
            head(server, "PUT", file_path(run_id, "refused.bin"), f"Content-Length: {len(content)}") + content
        )
        assert read_answer(connection)[0] == 500
        connection.sendall(head(server, "GET", "/version"))
        assert read_answer(connection)[0] == 200

    assert [borrowed.left > 0 for borrowed in lent] == [True]


def test_a_client_that_leaves_amid_a_long_body_leaves_no_file(
    server: TrackingServer, run_id: str, lent: list[BorrowedBody]
) -> None:
    with connected(server) as connection:
        connection.sendall(head(server, "PUT", file_path(run_id, "half.bin"), f"Content-Length: {8 * MIB}") + BLOCK * 3)
        connection.shutdown(socket.SHUT_WR)
        status, body = read_answer(connection)

    assert (status, b"went away" in body) == (400, True)
    assert len(lent) == 1
    assert server.request("GET", file_path(run_id, "half.bin")).status == 404


def test_a_client_that_leaves_amid_a_download_harms_nobody(server: TrackingServer, run_id: str) -> None:
    path = file_path(run_id, "left.bin")
    assert server.request("PUT", path, body=BLOCK * 16).status == 200
    for _ in range(3):
        with connected(server) as connection:
            connection.sendall(head(server, "GET", path))
            assert connection.recv(1000)

    assert server.request("GET", path).data == BLOCK * 16


def test_a_damaged_file_is_never_sent_whole(server: TrackingServer, run_id: str) -> None:
    path, content = file_path(run_id, "damaged.bin"), b"damage" + BLOCK * 9
    assert server.request("PUT", path, body=content).status == 200
    blob = _blob(server, content)
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"X" * 10)

    with connected(server) as connection:
        connection.sendall(head(server, "GET", path))
        with pytest.raises(AssertionError, match="closed after"):
            read_answer(connection)


def _blob(server: TrackingServer, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    return server.platform.settings.home / "artifacts" / "sha256" / digest[:2] / digest


def test_memory_stays_constant_for_a_file_of_300_mb(server: TrackingServer, run_id: str) -> None:
    size, path = 300 * MIB, file_path(run_id, "huge.bin")
    before = psutil.Process().memory_info().rss
    highest = before
    with connected(server) as connection:
        connection.sendall(head(server, "PUT", path, f"Content-Length: {size}"))
        for _ in range(300):
            connection.sendall(BLOCK)
            highest = max(highest, psutil.Process().memory_info().rss)
        assert read_answer(connection) == (200, b"{}")
        connection.sendall(head(server, "GET", path, "Connection: close"))
        received = 0
        while data := connection.recv(MIB):
            received += len(data)
            highest = max(highest, psutil.Process().memory_info().rss)

    assert received > size
    assert highest - before < 100 * MIB
