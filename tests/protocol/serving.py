"""Serve a platform on loopback, in a thread."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator

import urllib3
import uvicorn

from flyball.server.app import build_app
from flyball.server.http_protocol import http_protocol
from flyball.server.platform import Platform

START_S = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrackingServer:
    """Where the server listens, the owner's token, and the rooms behind it."""

    url: str
    token: str
    platform: Platform

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes | None = None,
        fields: dict[str, str] | list[tuple[str, str]] | None = None,
        token: str | None = None,
        content_type: str | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request as any HTTP client would."""
        headers = {"authorization": f"Bearer {self.token if token is None else token}"}
        if content_type is not None or json is not None:
            headers["content-type"] = content_type or "application/json"
        return urllib3.request(
            method,
            self.url + path,
            json=json,
            body=body,
            fields=fields,
            headers=headers,
            retries=False,
            timeout=60,
        )


@contextlib.contextmanager
def serve(platform: Platform, *, port: int = 0) -> Iterator[str]:
    """Run the application in a thread, on a port that the system chooses unless one is given."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        server = uvicorn.Server(
            uvicorn.Config(build_app(platform), http=http_protocol(), log_level="warning", lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            _await_start(server)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _await_start(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
