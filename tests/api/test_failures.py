"""What a client sees when something goes wrong that nobody foresaw, and what it must not see."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer, serve

from flyball.kernel.errors import Corrupted, FlyballError, StoreFull, Unavailable
from flyball.server import app
from flyball.server.routing import PUBLIC, Answer, Call, Dialect, Route
from flyball.wire.v1 import Done

SECRET = "SELECT secret FROM /var/lib/place"


def raising(error: BaseException) -> Callable[[Call[None]], Answer]:
    def handler(_call: Call[None]) -> Answer:
        raise error

    return handler


def route(name: str, error: BaseException, dialect: Dialect = Dialect.V1) -> Route:
    return Route(
        method="GET",
        path=f"/api/v1/{name}",
        permission=PUBLIC,
        handler=raising(error),
        summary="Fail.",
        response=Done,
        dialect=dialect,
    )


FAILING = [
    route("bug", RuntimeError(SECRET)),
    route("mlflow-bug", KeyError(SECRET), Dialect.MLFLOW),
    route("internal", FlyballError(SECRET)),
    route("exit", SystemError(SECRET)),
    route("full", StoreFull("the disk is full")),
    route("busy", Unavailable("busy")),
    route("damaged", Corrupted("damaged")),
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("failing") / "home"
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "all_routes", lambda: FAILING)
            server = stack.enter_context(served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)))
        yield server.url


@pytest.mark.parametrize("name", ["bug", "mlflow-bug", "internal", "exit"])
def test_no_internal_text_reaches_the_client_and_the_log_has_it(
    failing: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = urllib3.request("GET", f"{failing}/api/v1/{name}", retries=False, timeout=60)
    assert answer.status == 500
    assert SECRET not in answer.data.decode()
    assert "log" in answer.data.decode()
    captured = capsys.readouterr()
    assert SECRET in captured.err + captured.out


@pytest.mark.parametrize(
    ("name", "status", "retry_after"), [("full", 507, None), ("busy", 503, "1"), ("damaged", 409, None)]
)
def test_faults_of_the_store_have_a_status_of_their_own(
    failing: str, name: str, status: int, retry_after: str | None
) -> None:
    answer = urllib3.request("GET", f"{failing}/api/v1/{name}", retries=False, timeout=60)
    assert (answer.status, answer.headers.get("retry-after")) == (status, retry_after)


def test_an_upload_that_breaks_off_leaves_nothing(server: TrackingServer) -> None:
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        head = (
            f"POST /api/v1/datasets/elec?source=here&format=csv HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {server.token}\r\ncontent-length: 1000\r\n\r\na,b\n1,2\n"
        )
        connection.sendall(head.encode())
    assert server.request("GET", "/api/v1/datasets").json() == {"datasets": []}


def test_a_second_server_over_the_same_database_sees_the_same(server: TrackingServer) -> None:
    with serve(server.platform) as other:
        twin = dataclasses.replace(server, url=other)
        twin.request("POST", "/api/v1/identities", json={"name": "user:ann", "role": "viewer"})
    names = [one["name"] for one in server.request("GET", "/api/v1/identities").json()["identities"]]
    assert "user:ann" in names


def test_an_owner_token_of_another_home_opens_nothing(server: TrackingServer, tmp_path: Path) -> None:
    with served(settings_for(f"sqlite:///{tmp_path / 'other' / 'flyball.db'}", tmp_path / "other")) as other:
        assert server.request("GET", "/api/v1/me", token=other.token).status == 401
