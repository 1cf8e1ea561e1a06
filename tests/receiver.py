"""A real receiver of webhooks on loopback, which answers well, badly, slowly, or not at all."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG_S = 120.0
WAIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request, as it came."""

    path: str
    body: str
    headers: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Receiver:
    """What came, and how to answer the next: a status, 0 to hang; the last answer stays."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [200])
    before_answer: Callable[[], None] = lambda: None
    released: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int) -> list[Received]:
        """Return what came as soon as there is that much."""
        deadline = time.monotonic() + WAIT_S
        while len(self.received) < count:
            assert time.monotonic() < deadline, f"{len(self.received)} of {count} came"
            time.sleep(0.01)
        return self.received

    def next_answer(self) -> int:
        """Return the status of the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen on a port that the system chooses."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            receiver.received.append(
                Received(path=self.path, body=body, headers={k.lower(): v for k, v in self.headers.items()})
            )
            status = receiver.next_answer()
            receiver.before_answer()
            if status == 0:
                receiver.released.wait(HANG_S)
                return
            with contextlib.suppress(OSError):
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", receiver.url + "/elsewhere")
                self.end_headers()
                self.wfile.write(b"thanks")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()


@dataclass(slots=True, kw_only=True)
class BytesReceived:
    """What came: path and body, which is no text."""

    url: str
    received: list[tuple[str, bytes]] = field(default_factory=list)


@contextlib.contextmanager
def receiving_bytes() -> Iterator[BytesReceived]:
    """Listen for messages in protobuf on a port that the system chooses, and answer well."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = BytesReceived(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
