"""What a model server takes at once has limits, which are settings: bodies, time, queues and batches."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.api.test_inference_overload import WAIT_S, Server, _metrics, body_of, hold, running, statuses, wait_until
from tests.unit.serving.batches import ListSink

from flyball.cli.serving import serve
from flyball.kernel.errors import Overloaded
from flyball.kernel.settings import Settings
from flyball.server.inference import standalone
from flyball.server.inference.limits import BodyRoom, RequestLimits, batch_limits
from flyball.serving.batching import BatchLimits
from flyball.serving.spool import Spool

SHORT_S = 0.05


def test_bodies_that_are_held_leave_no_room_for_more_than_their_limit() -> None:
    room = BodyRoom(100)
    assert (room.take(90), room.take(10)) == (90, 10)
    with pytest.raises(Overloaded) as refused:
        room.take(1)
    assert refused.value.retry_after_s == 1
    assert room.change(90, 50) == 50
    room.take(40)
    for size in (40, 50, 10):
        room.give_back(size)
    assert room.held_bytes == 0
    assert room.take(5_000) == 5_000  # alone, whatever its size


def test_a_body_for_which_there_is_no_room_is_told_to_come_again() -> None:
    limits = RequestLimits(bodies_bytes=3 * len(body_of(0.0)) + 10)
    with running(Server(BatchLimits()), limits) as server, ThreadPoolExecutor(4) as pool:
        asked = hold(server, pool, 2)
        refused = server.ask(9.0)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert "bytes of requests" in refused.json()["error"]
        server.slow.go.set()
        assert statuses(asked) == [200] * 3
        assert server.ask(9.0).status == 200
        assert _metrics(server)["flyball_inference_bodies_bytes"] == 0


def test_a_body_that_does_not_say_its_length_counts_as_the_largest_until_it_is_there() -> None:
    limits = RequestLimits(bodies_bytes=1_000_100)
    with running(Server(BatchLimits(), at_once=False), limits) as server, ThreadPoolExecutor(2) as pool:
        server.slow.go.set()

        def chunked() -> int:
            url = f"http://127.0.0.1:{server.port}/v2/models/quick/infer"
            return server.pool.request("POST", url, body=iter([body_of(1.0)]), chunked=True, timeout=WAIT_S).status

        assert chunked() == 200
        server.slow.go.clear()
        server.slow.began.clear()
        asked = hold(server, pool, 1)
        assert chunked() == 429
        server.slow.go.set()
        assert statuses(asked) == [200, 200]
        assert chunked() == 200


def test_a_request_without_a_limit_of_its_own_has_that_of_the_server() -> None:
    with running(Server(BatchLimits()), RequestLimits(timeout_s=SHORT_S)) as server, ThreadPoolExecutor(2) as pool:
        asked = pool.submit(server.ask, 0.0, x_request_timeout_ms="60000")
        assert server.slow.began.wait(WAIT_S)
        assert server.ask(1.0).status == 504
        assert server.waiting == 0
        server.slow.go.set()
        assert asked.result(WAIT_S).status == 200
        assert server.slow.seen == [0.0]


def test_a_large_body_that_does_not_come_gives_its_room_back() -> None:
    with running(Server(BatchLimits()), RequestLimits(timeout_s=SHORT_S)) as server:
        head = b"POST /v2/models/slow/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as client:
            client.sendall(head + b"{" * 1_000)
            answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert json.loads(answer.rpartition(b"\r\n")[2])["error"] == "the body did not come in time"
        wait_until(lambda: _metrics(server)["flyball_inference_bodies_bytes"] == 0)


def test_the_limits_are_settings() -> None:
    settings = Settings(
        request_timeout_ms=1_500, bodies_bytes=1, queue_requests=2, queue_bytes=3, batch_rows=4, batch_bytes=5
    )
    assert RequestLimits.by(settings) == RequestLimits(timeout_s=1.5, bodies_bytes=1)
    assert batch_limits(settings) == BatchLimits(waiting_requests=2, waiting_bytes=3, batch_rows=4, batch_bytes=5)
    assert RequestLimits.by(Settings()) == RequestLimits()
    assert batch_limits(Settings()) == BatchLimits()


def test_an_option_of_the_command_line_goes_before_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").touch()
    asked: list[Settings] = []
    monkeypatch.setattr(standalone, "serve_folders", lambda _options, *, settings, **_: asked.append(settings))
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLYBALL_QUEUE_REQUESTS", "7")
    monkeypatch.setenv("FLYBALL_BATCH_ROWS", "9")
    options = ["--queue-requests", "8", "--request-timeout-ms", "250", "--bodies-bytes", "5", "--queue-bytes", "6"]
    assert CliRunner().invoke(serve, [f"a={tmp_path}", *options, "--batch-bytes", "4"]).exception is None
    [found] = asked
    assert (found.queue_requests, found.batch_rows, found.request_timeout_ms) == (8, 9, 250)
    assert (found.bodies_bytes, found.queue_bytes, found.batch_bytes) == (5, 6, 4)


def test_how_far_capture_has_come_can_be_read(tmp_path: Path) -> None:
    sink = ListSink()
    sink.away = True
    spool = Spool(tmp_path, endpoint="quick", sink=sink, flush_ms=20)
    server = Server(BatchLimits())
    server.planes[1].capture = spool
    model = 'model="quick"'

    def rows(state: str) -> float:
        return _metrics(server)[f'flyball_inference_captured_rows_total{{{model},state="{state}"}}']

    with running(server):
        assert [server.ask(value, model="quick").status for value in (1.0, 2.0, 3.0)] == [200] * 3
        wait_until(lambda: rows("written") == 3)
        oldest = min(tmp_path.glob("*.arrow"))
        os.utime(oldest, (oldest.stat().st_mtime - 1_000,) * 2)
        read = _metrics(server)
        assert (rows("offered"), rows("shipped")) == (3, 0)
        assert read[f"flyball_inference_capture_waiting_rows{{{model}}}"] == 0
        assert read[f"flyball_inference_capture_spooled_bytes{{{model}}}"] > 0
        assert read[f"flyball_inference_capture_lag_seconds{{{model}}}"] >= 999
        sink.away = False
        wait_until(lambda: rows("shipped") == 3)
        wait_until(lambda: _metrics(server)[f"flyball_inference_capture_lag_seconds{{{model}}}"] == 0)
        assert _metrics(server)[f"flyball_inference_capture_spooled_bytes{{{model}}}"] == 0
        lost = [value for name, value in _metrics(server).items() if "capture_lost_rows" in name]
        assert sum(lost) == 0
        spool.close()
        assert server.ask(4.0, model="quick").status == 200
        assert _metrics(server)[f'flyball_inference_capture_lost_rows_total{{{model},reason="closed"}}'] == 1
