"""The client against a real server on loopback that answers as it is told to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from flyball.client import Client
from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, NotFound, Unauthenticated, Unavailable


class Question(msgspec.Struct):
    text: str


class Answer(msgspec.Struct):
    number: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b'{"number": 7}'
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Stage:
    """A server that gives out the replies in turn, the last one for ever, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies = [Reply()]
        self.seen: list[Seen] = []
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                stage.seen.append(Seen(method=self.command, path=self.path, headers=headers, body=self._body(headers)))
                reply = stage.replies[0] if len(stage.replies) == 1 else stage.replies.pop(0)
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
                self.close_connection = "Content-Length" in reply.headers

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 -- the names of http.server

            def _body(self, headers: dict[str, str]) -> bytes:
                if headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name in http.server
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FLYBALL_TOKEN", "FLYBALL_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def client(stage: Stage) -> Client:
    return Client(stage.url, "fb_secret")


def error_body(code: str, message: str, field: str | None = None) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "field": field}}).encode()


def test_a_call_sends_json_and_the_token_and_reads_the_answer(client: Client, stage: Stage) -> None:
    answer = client.call("POST", "/api/v1/things", body=Question(text="how many?"), response=Answer)

    (seen,) = stage.seen
    assert answer == Answer(number=7)
    assert (seen.method, seen.path, seen.body) == ("POST", "/api/v1/things", b'{"text":"how many?"}')
    assert seen.headers["authorization"] == "Bearer fb_secret"
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_an_error_of_the_server_is_raised_as_the_error_it_was(client: Client, stage: Stage, code: ErrorCode) -> None:
    stage.replies = [Reply(status=400, body=error_body(code, "this is wrong; do that", "colour"))]

    with pytest.raises(FlyballError) as caught:
        client.call("GET", "/x", response=Answer)

    assert (caught.value.code, caught.value.message, caught.value.field) == (code, "this is wrong; do that", "colour")


@pytest.mark.parametrize(
    "body",
    [b"<html>Bad Gateway</html>", b"", b'{"detail": "x"}', b"\xff\xfe", error_body("code_of_next_year", "<html>")],
)
def test_an_error_that_is_not_ours_tells_the_status_or_the_message(client: Client, stage: Stage, body: bytes) -> None:
    stage.replies = [Reply(status=502, body=body)]

    with pytest.raises(FlyballError, match=r"status 502|<html>") as caught:
        client.call("GET", "/x", response=Answer)
    assert caught.value.code is ErrorCode.INTERNAL


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_the_call_is_idempotent(client: Client, stage: Stage, status: int) -> None:
    busy = Reply(status=status, body=error_body("unavailable", "busy"), headers={"Retry-After": "0"})
    stage.replies = [busy, busy, Reply()]

    assert client.call("GET", "/x", response=Answer) == Answer(number=7)
    assert len(stage.seen) == 3


def test_a_busy_server_is_given_up_after_a_while_with_its_own_words(client: Client, stage: Stage) -> None:
    stage.replies = [Reply(status=503, body=error_body("unavailable", "busy"), headers={"Retry-After": "0"})]

    with pytest.raises(Unavailable, match="busy"):
        client.call("GET", "/x", response=Answer)
    assert 2 < len(stage.seen) < 10


def test_a_server_cannot_make_the_caller_wait_for_an_hour(client: Client, stage: Stage) -> None:
    busy = Reply(status=503, body=error_body("unavailable", "busy"), headers={"Retry-After": "3600"})
    stage.replies = [busy, Reply()]

    begin = time.monotonic()
    client.call("GET", "/x", response=Answer)
    assert time.monotonic() - begin < 60


def test_a_call_that_may_have_had_an_effect_is_not_repeated(client: Client, stage: Stage) -> None:
    stage.replies = [Reply(status=503, body=error_body("unavailable", "busy")), Reply()]

    with pytest.raises(Unavailable, match="busy"):
        client.call("POST", "/x", response=Answer)
    assert len(stage.seen) == 1


@pytest.mark.parametrize(("status", "code"), [(500, "internal"), (409, "conflict"), (404, "not_found")])
def test_what_does_not_heal_is_not_repeated(client: Client, stage: Stage, status: int, code: str) -> None:
    stage.replies = [Reply(status=status, body=error_body(code, "no")), Reply()]

    with pytest.raises(FlyballError):
        client.call("GET", "/x", response=Answer)
    assert len(stage.seen) == 1


def test_a_server_that_is_not_there_is_unavailable_and_the_message_says_how_to_start_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(Unavailable, match=f"nothing answers at {url}; start it with 'flyball up'"):
        Client(url, "fb_secret").call("POST", "/x", response=Answer)


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(client: Client, stage: Stage) -> None:
    elsewhere = Stage()
    stage.replies = [Reply(status=307, headers={"Location": f"{elsewhere.url}/stolen"})]
    try:
        with pytest.raises(FlyballError, match="307"):
            client.call("GET", "/x", response=Answer)
        assert elsewhere.seen == []
    finally:
        elsewhere.close()


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"number": "seven"}', b"[]", b'{"number": 7'])
def test_an_answer_of_another_shape_is_an_error_of_ours(client: Client, stage: Stage, body: bytes) -> None:
    stage.replies = [Reply(body=body)]

    with pytest.raises(FlyballError, match="answer"):
        client.call("GET", "/x", response=Answer)


def test_an_answer_that_is_cut_off_is_unavailable(client: Client, stage: Stage) -> None:
    stage.replies = [Reply(headers={"Content-Length": "1000"})]

    with pytest.raises(Unavailable, match="broke the connection off"):
        client.call("POST", "/x", response=Answer)


def test_a_file_is_uploaded_in_chunks(client: Client, stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"x\n" * 2_000_000)

    answer = client.upload("/upload", file, query={"source": "a&b=c"}, response=Answer)

    (seen,) = stage.seen
    assert answer == Answer(number=7)
    assert seen.path == "/upload?source=a%26b%3Dc"
    assert seen.headers["transfer-encoding"] == "chunked"
    assert seen.body == file.read_bytes()


def test_a_download_is_written_whole(client: Client, stage: Stage, tmp_path: Path) -> None:
    stage.replies = [Reply(body=b"\x00\xff" * 2_000_000)]

    client.download("/x", tmp_path / "model.bin")

    assert (tmp_path / "model.bin").read_bytes() == b"\x00\xff" * 2_000_000


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(headers={"Content-Length": "1000"}), Unavailable),
        (Reply(status=404, body=error_body("not_found", "no such file")), NotFound),
    ],
)
def test_a_download_that_fails_leaves_the_old_file_and_nothing_else(
    client: Client, stage: Stage, tmp_path: Path, reply: Reply, error: type[FlyballError]
) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")
    stage.replies = [reply]

    with pytest.raises(error):
        client.download("/x", target)

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_url_and_token_come_from_the_settings(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_SERVER_URL", stage.url + "/")
    monkeypatch.setenv("FLYBALL_TOKEN", "fb_of_the_settings")

    Client().call("GET", "/x", response=Answer)

    assert (stage.seen[0].path, stage.seen[0].headers["authorization"]) == ("/x", "Bearer fb_of_the_settings")


def test_on_the_account_of_the_server_the_owner_token_is_found(stage: Stage, home: Path) -> None:
    (home / "owner.token").write_text("fb_owner\n")

    Client(stage.url).call("GET", "/x", response=Answer)

    assert stage.seen[0].headers["authorization"] == "Bearer fb_owner"


def test_the_owner_token_is_not_sent_to_another_machine(home: Path) -> None:
    (home / "owner.token").write_text("fb_owner\n")

    with pytest.raises(Unauthenticated, match=r"no token for http://flyball.example.com"):
        Client("http://flyball.example.com")


def test_without_a_token_the_error_says_where_it_was_sought(stage: Stage, home: Path) -> None:
    with pytest.raises(Unauthenticated) as caught:
        Client(stage.url)
    assert "FLYBALL_TOKEN" in caught.value.message
    assert str(home / "owner.token") in caught.value.message


@pytest.mark.parametrize("token", ["fb_a\r\nx-admin: 1", "fb_\u00e4"])
def test_a_token_that_no_header_can_carry_is_refused(stage: Stage, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(stage.url, token)
    assert caught.value.field == "token"
    assert "fb_" not in caught.value.message


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = "import sys, flyball.client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    heavy = {"numpy", "pyarrow", "pandas", "sqlalchemy", "starlette", "asyncio", "rich", "structlog", "duckdb"}
    assert heavy.isdisjoint(loaded)
