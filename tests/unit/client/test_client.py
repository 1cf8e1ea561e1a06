from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyball.client import Client
from flyball.client.paths import api, versioned
from flyball.kernel import errors
from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, Unauthenticated, Unavailable
from flyball.server.errors import TABLE
from flyball.wire.v1 import Done
from flyball.wire.v1 import datasets as shapes

Reply = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer by a list of replies, one a request; the last one stays."""

    protocol_version = "HTTP/1.1"
    replies: list[Reply]
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, self._body()))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply(self)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 -- the names that http.server asks for

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- http.server's signature
        pass

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class Peer:
    """A server that answers as told, and what it was asked."""

    def __init__(self, url: str, handler: type[Handler]) -> None:
        self.url = url
        self._handler = handler

    def reply(self, *replies: Reply) -> None:
        self._handler.replies = list(replies)

    @property
    def seen(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return self._handler.seen


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))


@pytest.fixture
def peer() -> Iterator[Peer]:
    handler = type("Told", (Handler,), {"replies": [], "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Peer(f"http://127.0.0.1:{server.server_port}", handler)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(peer: Peer) -> Client:
    return Client(url=peer.url, token="fb_token")


def says(status: int, content: object, **headers: str) -> Reply:
    return lambda handler: handler.send(status, json.dumps(content).encode(), **headers)


def error(code: str) -> dict[str, object]:
    return {"error": {"code": code, "message": f"about {code}", "field": "f"}}


DONE = says(200, {"done": True})


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.UNAVAILABLE])
def test_every_error_of_the_server_comes_back_as_the_error_it_was(peer: Peer, client: Client, code: ErrorCode) -> None:
    peer.reply(says(TABLE[code][0], error(code.value)))
    with pytest.raises(FlyballError) as raised:
        client.call("POST", api("x"), response=Done)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FlyballError)]
    assert type(raised.value) is next(kind for kind in kinds if kind.code is code)
    assert (raised.value.message, raised.value.field) == (f"about {code.value}", "f")


@pytest.mark.parametrize("content", [b"<html>Bad Gateway</html>", b"", b"\xff", b'{"error": "text"}', b"[]"])
def test_an_error_of_something_in_between_keeps_its_status(peer: Peer, client: Client, content: bytes) -> None:
    peer.reply(lambda handler: handler.send(502, content))
    with pytest.raises(FlyballError, match="status 502"):
        client.call("POST", api("x"), response=Done)


def test_an_unknown_code_of_a_newer_server_is_a_plain_error(peer: Peer, client: Client) -> None:
    peer.reply(says(418, error("teapot")))
    with pytest.raises(FlyballError, match="about teapot") as raised:
        client.call("GET", api("x"), response=Done)
    assert raised.value.code is ErrorCode.INTERNAL


@pytest.mark.parametrize("content", [b"{}x", b'{"done": "yes"}', b"<html>", b"\xff"])
def test_an_answer_of_another_shape_is_an_error_and_no_crash(peer: Peer, client: Client, content: bytes) -> None:
    peer.reply(lambda handler: handler.send(200, content))
    with pytest.raises(FlyballError, match="none that this release knows"):
        client.call("GET", api("x"), response=Done)


def test_fields_of_a_newer_server_are_skipped(peer: Peer, client: Client) -> None:
    peer.reply(says(200, {"done": True, "since": 5}))
    assert client.call("GET", api("x"), response=Done).done


@pytest.mark.parametrize(("method", "times"), [("GET", 3), ("DELETE", 3), ("POST", 1)])
def test_a_busy_server_is_asked_again_only_where_that_is_harmless(
    peer: Peer, client: Client, method: str, times: int
) -> None:
    busy = says(503, error("unavailable"), retry_after="0")
    peer.reply(busy, busy, DONE)
    if times == 1:
        with pytest.raises(Unavailable):
            client.call(method, api("x"), response=Done)
    else:
        assert client.call(method, api("x"), response=Done).done
    assert len(peer.seen) == times


def test_a_server_that_stays_busy_is_given_up(peer: Peer, client: Client) -> None:
    peer.reply(says(503, error("unavailable"), retry_after="0"))
    with pytest.raises(Unavailable, match="about unavailable"):
        client.call("GET", api("x"), response=Done)
    assert len(peer.seen) == 5


def test_a_redirect_is_not_followed_with_the_token(peer: Peer, client: Client) -> None:
    peer.reply(says(307, {}, location=f"{peer.url}/elsewhere"))
    with pytest.raises(FlyballError, match="307"):
        client.call("GET", api("x"), response=Done)
    assert [path for _, path, _, _ in peer.seen] == ["/api/v1/x"]


def test_nothing_that_answers_is_said_so() -> None:
    with pytest.raises(Unavailable, match="flyball up"):
        Client(url="http://127.0.0.1:1", token="t").call("POST", api("x"), response=Done)


def test_an_upload_streams_the_file_and_says_what_it_is(peer: Peer, client: Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "a.csv").write_bytes(content)
    row = {"name": "a", "version": 1, "digest": "d", "row_count": 1, "columns": [], "source": "s", "created_ms": 1}
    peer.reply(says(200, row))
    made = client.upload(
        api("datasets", "a"), tmp_path / "a.csv", query={"source": "x & y", "format": "csv"}, response=shapes.Dataset
    )
    ((method, path, headers, body),) = peer.seen
    assert (method, path, body) == ("POST", "/api/v1/datasets/a?source=x+%26+y&format=csv", content)
    assert headers["transfer-encoding"] == "chunked"
    assert made.version == 1


def test_a_download_is_whole_or_not_there(peer: Peer, client: Client, tmp_path: Path) -> None:
    def breaks_off(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    into = tmp_path / "chain"
    into.write_bytes(b"older")
    peer.reply(breaks_off)
    with pytest.raises(Unavailable, match="broke the connection off"):
        client.download(api("x"), into)
    assert (into.read_bytes(), list(tmp_path.glob("*.part"))) == (b"older", [])
    peer.reply(lambda handler: handler.send(200, b"whole" * 500_000))
    client.download(api("x"), into)
    assert into.read_bytes() == b"whole" * 500_000


def test_a_refused_download_leaves_the_file_alone(peer: Peer, client: Client, tmp_path: Path) -> None:
    peer.reply(says(403, error("permission_denied")))
    with pytest.raises(errors.PermissionDenied):
        client.download(api("x"), tmp_path / "chain")
    assert [path.name for path in tmp_path.iterdir()] == []


def test_the_owner_s_token_is_for_this_machine_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "owner.token").write_text("fb_owner\n", encoding="utf-8")
    assert Client(url="http://localhost:1").token == "fb_owner"
    with pytest.raises(Unauthenticated, match="this machine only"):
        Client(url="http://example.org:5757")


def test_without_any_token_it_is_said_where_one_comes_from() -> None:
    with pytest.raises(Unauthenticated, match="FLYBALL_TOKEN"):
        Client(url="http://localhost:1")


@pytest.mark.parametrize("token", ["fb_\n", "fb_é", "a\r\nx-evil: 1"])
def test_a_token_that_would_break_a_header_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="token"):
        Client(url="http://localhost:1", token=token)


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_name_that_would_become_another_path_is_refused(part: str) -> None:
    with pytest.raises(InvalidInput):
        api("endpoints", part)


@pytest.mark.parametrize("text", ["elec", "elec/", "/1", "elec/one", "elec/-1"])
def test_a_version_without_its_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAME/N"):
        versioned("datasets", text)
