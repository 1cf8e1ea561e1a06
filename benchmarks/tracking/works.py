"""The works that are compared; each returns a figure for one server."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from benchmarks.figures import Figure, cost, rate
from benchmarks.tracking import load
from benchmarks.tracking.filling import FILTER, ORDER, start_ms
from benchmarks.tracking.load import API, Client, Times, timed
from benchmarks.tracking.servers import Server

PAGE = 100
_TOKEN = re.compile(rb'"next_page_token": ?"([^"]*)"')
SECONDS = 8
BATCH_POINTS = 1_000
ARTIFACT_BYTES = 1_000_000_000
HISTORY_POINTS = 1_000_000


def writes(server: Server) -> dict[str, Figure]:
    """Rates of the calls that a training makes."""
    client = Client(server)
    ids = [client.new_run() for _ in range(load.CONNECTIONS)]
    batch = load.log_batch(ids[0], points=BATCH_POINTS)
    return {
        "log-metric": rate(load.requests_per_second(server, load.log_metric(ids), seconds=SECONDS)),
        "create run": rate(load.requests_per_second(server, load.create_run(), seconds=SECONDS)),
        "get run": rate(load.requests_per_second(server, load.get_run(ids[1]), seconds=SECONDS)),
        "log-batch": rate(
            BATCH_POINTS * load.requests_per_second(server, batch, seconds=SECONDS, connections=4), " points/s"
        ),
    }


SEARCHES = ("plain", "filtered", "ordered by a metric", "last page")


def searches(server: Server, *, runs: int, times: int) -> dict[str, Times]:
    """Times of searches of one page."""
    client = Client(server)
    return {what: timed(_search(client, _asked(what, client, server, runs)), times=times) for what in SEARCHES}


def search_once(server: Server, what: str, *, runs: int, limit_s: float) -> Figure:
    """Cost of one search of one page, given up after a time."""
    client = Client(server, limit_s=limit_s)
    search = _search(client, _asked(what, client, server, runs))
    begun = time.perf_counter()
    try:
        search()
    except TimeoutError:
        return Figure(value=limit_s * 1e3, unit=" ms", higher_is_better=False, is_bound=True)
    return cost((time.perf_counter() - begun) * 1e3, " ms")


def _asked(what: str, client: Client, server: Server, runs: int) -> dict[str, object]:
    match what:
        case "filtered":
            return {"filter": FILTER}
        case "ordered by a metric":
            return {"order_by": [ORDER]}
        case "last page":
            return {"page_token": last_token(client, server, runs)}
        case _:
            return {}


def _search(client: Client, more: Mapping[str, object]) -> Callable[[], Any]:
    message = {"experiment_ids": ["0"], "max_results": PAGE, **more}

    def search() -> None:
        found = client.post("runs/search", message)
        if not found.get("runs") or len(found["runs"]) > PAGE:
            raise SystemExit(f"a search for {more} found {len(found.get('runs', []))} runs")

    return search


def last_token(client: Client, server: Server, runs: int) -> str:
    """Return the token of the last page: ours is that of the run before it, theirs is an offset."""
    if server.name != "flyball":
        return base64.b64encode(json.dumps({"offset": runs - PAGE}).encode()).decode()
    message = {"experiment_ids": ["0"], "max_results": 1, "filter": f"attributes.start_time <= {start_ms(PAGE)}"}
    token: str = client.post("runs/search", message)["next_page_token"]
    return token


def history(server: Server, run: str, *, points: int, times: int) -> Times:
    """Times of reading a whole history by the protocol, page by page as the client does; what the client makes of it is left out."""
    client = Client(server)

    def read() -> None:
        seen, token = 0, ""
        while True:
            more = f"&page_token={token}" if token else ""
            path = f"{API}metrics/get-history?run_id={run}&metric_key=long&max_results=25000{more}"
            data = client.raw("GET", path)
            seen += data.count(b'"timestamp"')
            found = _TOKEN.search(data[-2_000:])
            if not found or not found[1]:
                break
            token = quote(found[1].decode())
        if seen != points:
            raise SystemExit(f"{server.name} gave {seen} of {points} points")

    return timed(read, times=times)


def drawn(server: Server, run: str, *, points: int) -> Times:
    """Times of drawing the same history in 2,000 points (ours alone has a verb for it)."""
    client = Client(server)

    def draw() -> None:
        found = json.loads(client.raw("GET", f"/api/v1/runs/{run}/curve?key=long&points=2000"))
        if found["count"] != points or len(found["points"]) > 2_000:
            raise SystemExit("the curve is not what was asked for")

    return timed(draw, times=10)


def artifacts(server: Server) -> dict[str, Figure]:
    """Rates of one large file through the proxy."""
    client = Client(server)
    run = client.new_run()
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/large.bin"
    block = os.urandom(1_000_000)
    begun = time.perf_counter()
    client.raw("PUT", path, _Body(block, ARTIFACT_BYTES // len(block)))
    sent_s = time.perf_counter() - begun
    begun = time.perf_counter()
    size, end = client.pieces(path, size=len(block))
    got_s = time.perf_counter() - begun
    if size != ARTIFACT_BYTES or end != block:
        raise SystemExit(f"{server.name} gave back another file")
    megabytes = ARTIFACT_BYTES / 1e6
    return {
        "artifact upload, 1 GB": rate(megabytes / sent_s, " MB/s"),
        "artifact download, 1 GB": rate(megabytes / got_s, " MB/s"),
    }


class _Body:
    """A body that is made while it is sent."""

    def __init__(self, block: bytes, times: int) -> None:
        self._block = block
        self._left = times

    def read(self, _size: int = -1) -> bytes:
        if not self._left:
            return b""
        self._left -= 1
        return self._block
