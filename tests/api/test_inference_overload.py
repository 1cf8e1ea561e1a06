"""More than can be done: every request is answered by 200, 429 or 504, and what nobody wants any more is not done."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import urllib3
import uvicorn
from tests.exposition import samples_of

from flyball.governance.permissions import Permission
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Unauthenticated
from flyball.server.http_protocol import OneWriteProtocol
from flyball.server.inference.app import build_app
from flyball.server.inference.authorisation import REMEMBERED_S, Authorisation
from flyball.server.inference.limits import RequestLimits
from flyball.serving.batching import BatchLimits
from flyball.serving.capture import PredictionBatch
from flyball.serving.counting import Fate
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.host import FixedHost
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

SIGNATURE = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),))
WAIT_S = 60
WAITING = 8


class Gated:
    """A model that answers what it was asked, when its gate is open."""

    def __init__(self, *, takes_s: float = 0.0) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.seen: list[float] = []
        self.takes_s = takes_s

    def predict(self, columns: Columns) -> Prediction:
        self.began.set()
        assert self.go.wait(WAIT_S)
        time.sleep(self.takes_s)
        self.seen += columns["x"].tolist()
        return Prediction(labels=np.array(columns["x"]), scores=None)


class Nowhere:
    def offer(self, *batches: PredictionBatch) -> bool:
        return True


def plane_of(name: str, model: Gated, limits: BatchLimits) -> DataPlane:
    plane = DataPlane(name, name, capture=Nowhere(), clock=ManualClock(), limits=limits)

    def router(key: str) -> Choice:
        return Choice(answer=Pick(version=1, role="champion"))

    loaded = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(model, SIGNATURE))
    plane.switch(Routing(generation=1, champion=1, router=router, versions={1: loaded}))
    return plane


class Silent(OneWriteProtocol):
    """A connection that takes plain requests at once."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # pytest hangs its handlers onto every logger, and each answer would be logged


class Server:
    """Two models, `slow` and `quick`, and a client; requests are taken at once, or each by a task."""

    def __init__(self, limits: BatchLimits, *, takes_s: float = 0.0, at_once: bool = True) -> None:
        self.at_once = at_once
        self.slow, self.quick = Gated(takes_s=takes_s), Gated()
        self.quick.go.set()
        self.planes = [plane_of("slow", self.slow, limits), plane_of("quick", self.quick, limits)]
        self.pool = urllib3.PoolManager(maxsize=128, retries=False)
        self.port = 0

    @property
    def waiting(self) -> int:
        return self.planes[0].queues()[1].waiting_count

    def ask(self, value: float, *, model: str = "slow", **headers: str) -> urllib3.BaseHTTPResponse:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        url = f"http://127.0.0.1:{self.port}/v2/models/{model}/infer"
        return self.pool.request("POST", url, body=body_of(value), headers=given, timeout=WAIT_S)


def body_of(value: float) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [value]}]}).encode()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {WAIT_S} s"
        time.sleep(0.005)


@contextmanager
def running(server: Server, limits: RequestLimits | None = None) -> Iterator[Server]:
    app = build_app(FixedHost(server.planes), authorise=None, max_request_bytes=1_000_000, limits=limits)
    config = uvicorn.Config(app, http=Silent if server.at_once else "auto", port=0, log_level="error", lifespan="off")
    served = uvicorn.Server(config)
    thread = threading.Thread(target=served.run)
    thread.start()
    wait_until(lambda: served.started)
    server.port = served.servers[0].sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.slow.go.set()
        served.should_exit = True
        thread.join()


@pytest.fixture(params=[True, False], ids=["at once", "by a task"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(Server(BatchLimits(waiting_requests=WAITING), at_once=request.param)) as started:
        yield started


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WAITING + 1) as made:
        yield made


def hold(server: Server, pool: ThreadPoolExecutor, waiting: int) -> list[Future[urllib3.BaseHTTPResponse]]:
    """Let the slow model work on one request, with others waiting."""
    asked = [pool.submit(server.ask, 0.0)]
    assert server.slow.began.wait(WAIT_S)
    asked += [pool.submit(server.ask, float(number)) for number in range(1, waiting + 1)]
    wait_until(lambda: server.waiting == waiting)
    return asked


def statuses(asked: Sequence[Future[urllib3.BaseHTTPResponse]]) -> list[int]:
    return [each.result(WAIT_S).status for each in asked]


def test_what_finds_no_room_is_told_to_come_again_and_what_waits_is_answered(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    asked = hold(server, pool, WAITING)
    refused = server.ask(99.0)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "waiting" in refused.json()["error"]
    server.slow.go.set()
    assert statuses(asked) == [200] * (WAITING + 1)
    assert sorted(server.slow.seen) == [float(number) for number in range(WAITING + 1)]


def test_a_slow_model_delays_nobody_on_another(server: Server, pool: ThreadPoolExecutor) -> None:
    asked = hold(server, pool, WAITING)
    assert [server.ask(1.0, model="quick").status for _ in range(20)] == [200] * 20
    server.slow.go.set()
    assert set(statuses(asked)) == {200}


def test_a_request_whose_time_is_over_is_answered_and_not_run(server: Server, pool: ThreadPoolExecutor) -> None:
    asked = hold(server, pool, 1)
    late = server.ask(99.0, x_request_timeout_ms="50")
    assert late.status == 504
    assert server.waiting == 1
    server.slow.go.set()
    assert statuses(asked) == [200, 200]
    assert server.slow.seen == [0.0, 1.0]


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "soon", "99999999999"])
def test_a_time_limit_that_is_none_is_refused(text: str, server: Server) -> None:
    server.slow.go.set()
    refused = server.ask(1.0, x_request_timeout_ms=text)
    assert refused.status == 400
    assert "x-request-timeout-ms" in refused.json()["error"]


def test_the_work_of_a_client_that_went_away_is_dropped(server: Server, pool: ThreadPoolExecutor) -> None:
    asked = hold(server, pool, 1)
    body = body_of(99.0)
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + body)
        wait_until(lambda: server.waiting == 2)
    wait_until(lambda: server.waiting == 1)
    server.slow.go.set()
    assert statuses(asked) == [200, 200]
    assert server.slow.seen == [0.0, 1.0]


def test_ten_times_what_can_be_done_is_answered_by_200_429_or_504() -> None:
    limits = BatchLimits(waiting_requests=WAITING, batch_rows=2)
    with running(Server(limits, takes_s=0.005)) as server:
        most, refused = 0, threading.Event()

        def ask(number: int) -> int:
            nonlocal most
            status = server.ask(float(number), x_request_timeout_ms="40" if number % 3 else "30000").status
            most = max(most, server.waiting)
            if status == 429:
                refused.set()
            return status

        with ThreadPoolExecutor(10 * WAITING) as callers:
            asked = [callers.submit(ask, number) for number in range(800)]
            assert refused.wait(WAIT_S)
            server.slow.go.set()
            found = Counter(each.result(WAIT_S) for each in asked)
        assert sum(found.values()) == 800
        assert set(found) == {200, 429, 504} or set(found) == {200, 429}, found
        assert most <= WAITING
        wait_until(lambda: server.waiting == 0)
        assert server.ask(1.0).status == 200


def test_a_deep_body_is_refused_and_nothing_else_happens(server: Server) -> None:
    server.slow.go.set()
    for deep in (b"[" * 200_000, b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        response = server.pool.request("POST", f"http://127.0.0.1:{server.port}/v2/models/slow/infer", body=deep)
        assert response.status == 400
    assert server.ask(1.0).status == 200


def test_what_happened_can_be_read_by_prometheus(server: Server, pool: ThreadPoolExecutor) -> None:
    asked = hold(server, pool, 3)
    read = _metrics(server)
    assert read['flyball_inference_queue_requests{model="slow",version="1"}'] == 3
    assert read["flyball_inference_in_flight"] == 4
    assert read['flyball_inference_version_in_flight{model="slow",version="1"}'] == 4
    assert read["flyball_inference_bodies_bytes"] == 4 * len(body_of(1.0))
    server.slow.go.set()
    assert set(statuses(asked)) == {200}
    assert server.ask(1.0, model="none").status == 404
    read = _metrics(server)
    route = 'route="/v2/models/{name}/infer"'
    assert read[f'flyball_inference_requests_total{{{route},code="200"}}'] == 4
    assert read[f'flyball_inference_requests_total{{{route},code="404"}}'] == 1
    assert read[f'flyball_inference_request_seconds_bucket{{{route},le="+Inf"}}'] == 5
    assert read[f"flyball_inference_request_seconds_count{{{route}}}"] == 5
    batch = 'model="slow",version="1"'
    assert read[f"flyball_inference_version_seconds_count{{{batch}}}"] == 4
    fates = [read[f'flyball_inference_version_requests_total{{{batch},fate="{fate}"}}'] for fate in Fate]
    assert dict(zip(Fate, fates, strict=True)) == dict.fromkeys(Fate, 0) | {Fate.ANSWERED: 4}
    assert read[f"flyball_inference_version_in_flight{{{batch}}}"] == 0
    assert read[f"flyball_inference_batch_rows_sum{{{batch}}}"] == 4
    counts = [read[f'flyball_inference_batch_rows_bucket{{{batch},le="{le}"}}'] for le in ("1", "2", "4", "+Inf")]
    assert counts == [1, 1, 2, 2]


def test_what_becomes_of_requests_is_counted_for_each_version(server: Server, pool: ThreadPoolExecutor) -> None:
    asked = hold(server, pool, WAITING - 1)
    assert server.ask(99.0, x_request_timeout_ms="50").status == 504
    asked.append(pool.submit(server.ask, 98.0))
    wait_until(lambda: server.waiting == WAITING)
    assert server.ask(97.0).status == 429
    server.slow.go.set()
    assert set(statuses(asked)) == {200}
    read = _metrics(server)
    said = {
        fate: read[f'flyball_inference_version_requests_total{{model="slow",version="1",fate="{fate}"}}']
        for fate in Fate
    }
    assert said == {
        Fate.ANSWERED: WAITING + 1,
        Fate.FAILED: 0,
        Fate.EXPIRED: 0,
        Fate.DROPPED: 1,
        Fate.REFUSED: 1,
    }


def _metrics(server: Server) -> dict[str, float]:
    """Read the page with the parser of Prometheus' own client."""
    answer = server.pool.request("GET", f"http://127.0.0.1:{server.port}/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples_of(answer.data.decode())


@pytest.mark.anyio
async def test_a_token_that_was_revoked_opens_nothing_after_a_second() -> None:
    now, calls, good = 1_000.0, 0, True

    def authorise(token: str, permission: Permission) -> str:
        nonlocal calls
        calls += 1
        if not good:
            raise Unauthenticated("revoked")
        return "user:owner"

    known = Authorisation(authorise, monotonic=lambda: now)
    for _ in range(5):
        assert await known.caller(b"Bearer t", Permission.ENDPOINTS_INFER) == "user:owner"
    assert calls == 1
    good, now = False, now + REMEMBERED_S
    with pytest.raises(Unauthenticated):
        await known.caller(b"Bearer t", Permission.ENDPOINTS_INFER)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio"
