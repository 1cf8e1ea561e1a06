"""Calls that are answered without a task get the very answers that the usual way gives, and none that it refuses."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from tests.protocol.serving import TrackingServer

from flyball.server import authentication
from flyball.server.app import Application
from flyball.server.dispatch import RouteTable
from flyball.server.hosts import HostRule
from flyball.server.http_protocol import LARGEST_JOINED_BYTES, OneWriteProtocol
from flyball.server.quick import QuickCalls
from flyball.server.table import all_routes

PATIENCE_S = 60
API = "/api/2.0/mlflow/"


class Watched(Application):
    """The application, and what its quick way said to each request."""

    def __init__(self, platform: Any) -> None:
        super().__init__(platform)
        self.taken: list[bool] = []

    def quick(self, scope: Any, body: bytes, reply: Any) -> bool:
        self.taken.append(super().quick(scope, body, reply))
        return self.taken[-1]


class Silent(OneWriteProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # pytest hangs its handlers onto every logger, and each answer would be logged


@contextlib.contextmanager
def running(app: Application, http: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, http=http, log_level="critical", access_log=False, date_header=False, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE_S)


class Ways:
    """One platform behind two servers: one that has the quick way, and one that has not."""

    def __init__(self, server: TrackingServer, app: Watched, ports: tuple[int, int]) -> None:
        self.server = server
        self.app = app
        self.ports = ports
        self.run_id = self.post("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]

    @property
    def bearer(self) -> str:
        return f"Bearer {self.server.token}"

    def head(self, method: str, path: str, body: bytes, **changed: str | None) -> bytes:
        headers: dict[str, str | None] = {
            "Host": "127.0.0.1",
            "Authorization": self.bearer,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        headers |= {name.replace("_", "-").title(): value for name, value in changed.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items() if value is not None),
        ]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()

    def ask(self, method: str, verb: str, message: object = None, **headers: str | None) -> tuple[bytes, bytes]:
        """Send a request both ways, and return both answers whole; the first is the quick one."""
        body = message if isinstance(message, bytes) else b"" if message is None else json.dumps(message).encode()
        sent = self.head(method, verb if verb.startswith("/") else API + verb, body, **headers) + body
        # Once to be remembered: what nobody has asked for yet goes the usual way.
        return [_normal(exchange(port, sent)) for port in (self.ports[0], *self.ports)][1:]  # type: ignore[return-value]

    def post(self, verb: str, message: object) -> Any:
        body = json.dumps(message).encode()
        return json.loads(exchange(self.ports[0], self.head("POST", API + verb, body) + body).partition(b"\r\n\r\n")[2])


def exchange(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(sent)
        got = b""
        while data := connection.recv(1 << 20):
            got += data
        return got


def _normal(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return b"\r\n".join([status, *sorted(headers), b"", body])


@pytest.fixture(scope="module")
def ways(shared_server: TrackingServer) -> Iterator[Ways]:
    app, plain = Watched(shared_server.platform), Application(shared_server.platform)
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.closing(app),
        contextlib.closing(plain),
        running(app, Silent) as quick,
        running(plain, "httptools") as usual,
    ):
        patched.setattr(authentication, "RECALL_S", 10 * PATIENCE_S)  # a slow machine must not forget between two calls
        yield Ways(shared_server, app, (quick, usual))


def point(run_id: str, **changed: object) -> dict[str, object]:
    return {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 5, "step": 1, **changed}


QUICK: dict[str, Callable[[Ways], tuple[str, str, object]]] = {
    "a point": lambda ways: ("POST", "runs/log-metric", point(ways.run_id)),
    "a point of no run": lambda _ways: ("POST", "runs/log-metric", point("0" * 32)),
    "a point without a key": lambda ways: ("POST", "runs/log-metric", point(ways.run_id, key=None)),
    "a point with a wrong key": lambda ways: ("POST", "runs/log-metric", point(ways.run_id, key="../x")),
    "a point that is NaN": lambda ways: ("POST", "runs/log-metric", point(ways.run_id, value="NaN")),
    "a batch": lambda ways: ("POST", "runs/log-batch", {"run_id": ways.run_id, "params": [{"key": "a", "value": "1"}]}),
    "a tag": lambda ways: ("POST", "runs/set-tag", {"run_id": ways.run_id, "key": "a", "value": "ä"}),
    "a run": lambda ways: ("GET", f"runs/get?run_id={ways.run_id}", None),
    "a run of no id": lambda _ways: ("GET", "runs/get?run_id=", None),
    "an experiment": lambda _ways: ("GET", "experiments/get?experiment_id=0&experiment_id=1", None),
}
USUAL: dict[str, Callable[[Ways], tuple[str, str, object]]] = {
    "no JSON": lambda _ways: ("POST", "runs/log-metric", b"{"),
    "nothing": lambda _ways: ("POST", "runs/log-metric", b""),
    "a wrong type": lambda ways: ("POST", "runs/log-metric", point(ways.run_id, step="x")),
    "an escaped query": lambda _ways: ("GET", "experiments/get-by-name?experiment_name=De%66ault", None),
    "a query with spaces": lambda _ways: ("GET", "experiments/get-by-name?experiment_name=De+fault", None),
    "an empty query": lambda _ways: ("GET", "runs/get", None),
    "a query in the body": lambda ways: ("GET", "runs/get", {"run_id": ways.run_id}),
    "a path that nobody serves": lambda _ways: ("POST", "runs/nothing", {}),
    "a wrong method": lambda _ways: ("GET", "runs/log-metric", None),
    "a head": lambda ways: ("HEAD", f"runs/get?run_id={ways.run_id}", None),
}


@pytest.mark.parametrize("name", QUICK)
def test_a_plain_call_is_answered_at_once_and_as_ever(name: str, ways: Ways) -> None:
    quick, usual = ways.ask(*QUICK[name](ways))

    assert ways.app.taken[-1] is True
    assert quick == usual


@pytest.mark.parametrize("name", USUAL)
def test_whatever_is_not_plain_goes_the_usual_way(name: str, ways: Ways) -> None:
    quick, usual = ways.ask(*USUAL[name](ways))

    assert ways.app.taken[-1] is False
    assert quick == usual


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": None}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic !"}, 401),
        ({"host": "elsewhere.example"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"user_agent": "mlflow-python-client/9.0.0"}, 400),
        ({"content_type": None}, 400),
        ({"content_type": "text/plain"}, 400),
    ],
)
def test_whoever_is_refused_is_refused_the_usual_way(headers: dict[str, str | None], status: int, ways: Ways) -> None:
    ways.ask("POST", "runs/log-metric", point(ways.run_id))  # a good head does not help a bad one

    quick, usual = ways.ask("POST", "runs/log-metric", point(ways.run_id), **headers)

    assert ways.app.taken[-1] is False
    assert quick == usual
    assert quick.startswith(b"HTTP/1.1 %d " % status)


def test_a_password_is_as_good_as_a_bearer_token(ways: Ways) -> None:
    basic = "Basic " + base64.b64encode(f"x:{ways.server.token}".encode()).decode()

    quick, usual = ways.ask("POST", "runs/log-metric", point(ways.run_id), authorization=basic)

    assert ways.app.taken[-1] is True
    assert quick == usual


def _token(ways: Ways, name: str, role: str) -> tuple[str, str]:
    access = ways.server.platform.access
    access.create_identity(name, role, actor="user:owner")
    info, secret = access.issue(name, expires_in_s=600, label="test", actor="user:owner")
    return str(info.id), secret


def test_a_token_that_is_revoked_is_refused_by_the_next_call(ways: Ways) -> None:
    token_id, secret = _token(ways, "user:leaver", "engineer")
    bearer = f"Bearer {secret}"
    assert ways.ask("POST", "runs/log-metric", point(ways.run_id), authorization=bearer)[0].startswith(b"HTTP/1.1 200")
    assert ways.app.taken[-1] is True

    ways.server.platform.access.revoke(token_id, actor="user:owner")

    quick, usual = ways.ask("POST", "runs/log-metric", point(ways.run_id), authorization=bearer)
    assert quick == usual
    assert quick.startswith(b"HTTP/1.1 401")


def test_a_role_that_may_not_write_reads_at_once_and_is_refused_a_write(ways: Ways) -> None:
    bearer = f"Bearer {_token(ways, 'user:looker', 'viewer')[1]}"

    read, _ = ways.ask("GET", f"runs/get?run_id={ways.run_id}", authorization=bearer)
    assert (read.startswith(b"HTTP/1.1 200"), ways.app.taken[-1]) == (True, True)
    write, usual = ways.ask("POST", "runs/log-metric", point(ways.run_id), authorization=bearer)
    assert (write, ways.app.taken[-1]) == (usual, False)
    assert write.startswith(b"HTTP/1.1 403")


def test_an_answer_too_long_for_one_write_arrives_whole(ways: Ways) -> None:
    run_id = ways.post("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    for at in range(3):
        tags = [{"key": f"t{at}-{n}", "value": "x" * 900} for n in range(60)]
        ways.post("runs/log-batch", {"run_id": run_id, "tags": tags})

    quick, usual = ways.ask("GET", f"runs/get?run_id={run_id}")

    assert ways.app.taken[-1] is True
    assert quick == usual
    assert len(quick) > LARGEST_JOINED_BYTES


def test_a_body_that_comes_in_two_parts_is_read_whole(ways: Ways) -> None:
    body = json.dumps(point(ways.run_id)).encode()
    with socket.create_connection(("127.0.0.1", ways.ports[0]), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = ways.head("POST", API + "runs/log-metric", body)
        for part in (head[:40], head[40:], body[:10], body[10:]):
            connection.sendall(part)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_calls_sent_at_once_on_one_connection_are_answered_in_order(ways: Ways) -> None:
    keep = {"connection": None}
    ids = [ways.run_id, "0" * 32, ways.run_id]
    sent = b"".join(
        ways.head("GET", f"{API}runs/get?run_id={run_id}", b"", **keep).replace(b"Connection: close\r\n", b"")
        for run_id in ids[:2]
    ) + ways.head("GET", f"{API}runs/get?run_id={ids[2]}", b"")

    got = exchange(ways.ports[0], sent)

    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_a_client_that_leaves_before_its_answer_harms_nobody(ways: Ways) -> None:
    body = json.dumps(point(ways.run_id)).encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", ways.ports[0]), timeout=PATIENCE_S) as connection:
            connection.sendall(ways.head("POST", API + "runs/log-metric", body) + body)

    assert ways.ask("GET", f"runs/get?run_id={ways.run_id}")[0].startswith(b"HTTP/1.1 200")


def test_a_body_beyond_the_limit_is_left_to_the_usual_way(ways: Ways) -> None:
    body = json.dumps(point(ways.run_id)).encode()
    ways.ask("POST", "runs/log-metric", body)
    scopes: list[Any] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Watched, "quick", lambda _app, scope, _body, _reply: scopes.append(scope))
        ways.ask("POST", "runs/log-metric", body)
    authenticator = authentication.Authenticator(ways.server.platform.access)
    authenticator.authenticate(Request(scopes[0]))

    def reader(limit_bytes: int) -> QuickCalls:
        platform = ways.server.platform
        hosts, routes = HostRule(platform.settings), RouteTable(all_routes())
        return QuickCalls(platform, routes, hosts=hosts, authenticator=authenticator, limit_bytes=limit_bytes)

    assert reader(len(body) - 1).read(scopes[0], body) is None
    assert reader(len(body)).read(scopes[0], body) is not None
