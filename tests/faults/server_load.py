"""Clients that write over HTTP as fast as they are answered, and note what was acknowledged to them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import urllib3

API = "/api/2.0/mlflow"
# Between two runs: each is an event, and the whole chain is checked after each kill.
PAUSE_S = 0.02
BATCH_METRICS, BATCH_PARAMS, BATCH_TAGS = 4, 2, 2


@dataclass
class RunNotes:
    """What one run was told to keep, and was told that it keeps; `maybe` is the call that no answer came to."""

    run_id: str
    kind: str
    tags: int
    done: set[int] = field(default_factory=set)
    maybe: int = -1


class Api:
    """The tracking API as a client speaks it, over one connection."""

    def __init__(self, url: str, token: str) -> None:
        self._pool = urllib3.PoolManager(retries=False, timeout=30.0, headers={"authorization": f"Bearer {token}"})
        self._url = url

    def post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a call and return the answer."""
        return self._answer(self._pool.request("POST", f"{self._url}{API}/{verb}", json=body))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Ask for something."""
        return self._answer(self._pool.request("GET", self._url + path, fields=query))

    def put(self, path: str, data: bytes) -> None:
        """Send a file."""
        self._answer(self._pool.request("PUT", self._url + path, body=data))

    @staticmethod
    def _answer(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        assert answer.status == 200, (answer.status, answer.data)
        found: dict[str, Any] = json.loads(answer.data)
        return found


def create_run(api: Api, *, tags: int) -> str:
    """Make a run with tags."""
    body = {
        "experiment_id": "0",
        "start_time": 1,
        "tags": [{"key": f"t{number}", "value": str(number)} for number in range(tags)],
    }
    return str(api.post("runs/create", body)["run"]["info"]["run_id"])


def _metric(api: Api, run_id: str, number: int) -> None:
    api.post(
        "runs/log-metric", {"run_id": run_id, "key": "m", "value": number / 3, "timestamp": number, "step": number}
    )


def _batch(api: Api, run_id: str, number: int) -> None:
    metrics = [
        {"key": f"b{number}.{place}", "value": number, "timestamp": 1, "step": place} for place in range(BATCH_METRICS)
    ]
    params = [{"key": f"b{number}.{place}", "value": str(number)} for place in range(BATCH_PARAMS)]
    tags = [{"key": f"b{number}.{place}", "value": str(number)} for place in range(BATCH_TAGS)]
    api.post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params, "tags": tags})


def _param(api: Api, run_id: str, number: int) -> None:
    api.post("runs/log-parameter", {"run_id": run_id, "key": f"p{number}", "value": str(number)})


def _tag(api: Api, run_id: str, number: int) -> None:
    api.post("runs/set-tag", {"run_id": run_id, "key": f"s{number}", "value": str(number)})


def _artifact(api: Api, run_id: str, number: int) -> None:
    api.put(f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/a{number}.txt", str(number).encode())


VERBS: dict[str, Callable[[Api, str, int], None]] = {
    "metric": _metric,
    "batch": _batch,
    "param": _param,
    "tag": _tag,
    "artifact": _artifact,
}


class Load:
    """One thread for each verb, and one that makes runs, until the server is gone or `stop` is called."""

    def __init__(self, url: str, token: str) -> None:
        self.notes: list[RunNotes] = []
        self.first = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        work = [partial(self._write, Api(url, token), kind) for kind in (*VERBS, "metric", "batch")]
        work.append(partial(self._make_runs, Api(url, token)))
        self._threads = [threading.Thread(target=self._until_gone, args=(each,)) for each in work]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask every client to end after its present call, and wait until they have."""
        self._ended.set()
        self.join()

    def so_far(self) -> list[RunNotes]:
        """Return a copy of the notes: what was acknowledged up to now."""
        with self._lock:
            return [replace(notes, done=set(notes.done)) for notes in self.notes]

    def join(self) -> None:
        """Wait until every client has met the end of the server."""
        for thread in self._threads:
            thread.join()

    def _until_gone(self, work: Callable[[], None]) -> None:
        try:
            work()
        except urllib3.exceptions.HTTPError:
            return
        finally:
            self.first.set()

    def _write(self, api: Api, kind: str) -> None:
        notes = self._note(RunNotes(create_run(api, tags=1), kind, tags=1))
        number = 0
        while not self._ended.is_set():
            notes.maybe = number
            VERBS[kind](api, notes.run_id, number)
            notes.done.add(number)
            self.first.set()
            number += 1

    def _make_runs(self, api: Api) -> None:
        while not self._ended.is_set():
            self._note(RunNotes(create_run(api, tags=3), "made", tags=3))
            time.sleep(PAUSE_S)

    def _note(self, notes: RunNotes) -> RunNotes:
        with self._lock:
            self.notes.append(notes)
        return notes


def check(api: Api, notes: RunNotes, *, later: RunNotes | None = None) -> None:
    """See that a run holds all that was acknowledged, and of every call all or nothing.

    `later` are the notes on the same run of a later moment, where calls went on after the moment that is looked at.
    """
    data = api.get(f"{API}/runs/get", run_id=notes.run_id)["run"]["data"]
    params = {each["key"]: each["value"] for each in data.get("params", [])}
    tags = {each["key"]: each["value"] for each in data.get("tags", [])}
    metrics = {each["key"]: each["value"] for each in data.get("metrics", [])}
    assert {f"t{number}": str(number) for number in range(notes.tags)}.items() <= tags.items()
    match notes.kind:
        case "metric":
            kept = _history(api, notes.run_id)
        case "batch":
            kept = _batches(params, tags, metrics)
        case "param":
            kept = {int(key[1:]) for key, value in params.items() if key == f"p{value}"}
        case "tag":
            kept = {int(key[1:]) for key, value in tags.items() if key == f"s{value}"}
        case "artifact":
            kept = _artifacts(api, notes.run_id)
        case _:
            kept = set()
    last = later or notes
    assert notes.done <= kept <= last.done | {last.maybe}, (notes.run_id, notes.kind)
    assert kept == set(range(len(kept))), "a call is there, and one before it is not"


def _artifacts(api: Api, run_id: str) -> set[int]:
    files = api.get(f"{API}/artifacts/list", run_id=run_id).get("files", [])
    numbers = {int(each["path"][1:].removesuffix(".txt")) for each in files}
    assert all(int(each["file_size"]) == len(each["path"][1:].removesuffix(".txt")) for each in files)
    return numbers


def _history(api: Api, run_id: str) -> set[int]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = api.get(
            f"{API}/metrics/get-history", run_id=run_id, metric_key="m", **({"page_token": token} if token else {})
        )
        found += page.get("metrics", [])
        token = page.get("next_page_token", "")
        if not token:
            break
    assert all(each["value"] == int(each["step"]) / 3 for each in found)
    return {int(each["step"]) for each in found}


def _batches(params: dict[str, str], tags: dict[str, str], metrics: dict[str, float]) -> set[int]:
    parts = [(key, BATCH_METRICS, metrics) for key in metrics] + [(key, BATCH_PARAMS, params) for key in params]
    parts += [(key, BATCH_TAGS, tags) for key in tags]
    found = {int(key[1:].partition(".")[0]) for key, _, _ in parts if key.startswith("b")}
    for number in found:
        for count, kept in ((BATCH_METRICS, metrics), (BATCH_PARAMS, params), (BATCH_TAGS, tags)):
            values = [kept.get(f"b{number}.{place}") for place in range(count)]
            assert [str(int(float(value))) if value is not None else None for value in values] == [str(number)] * count
    return found
