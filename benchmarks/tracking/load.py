"""Put load on a server: many connections by `wrk`, or one request after the other with each one's time."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tracking.servers import Server

API = "/api/2.0/mlflow/"
CONNECTIONS = 16
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of single requests."""

    median_s: float
    p95_s: float


class Client:
    """One connection that stays open."""

    def __init__(self, server: Server, *, limit_s: float = 600) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=limit_s)
        self._headers = {"Content-Type": "application/json", **server.headers}

    def raw(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request and return the body of its answer, which must be good."""
        self._connection.request(method, path, body=body, headers=self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data

    def pieces(self, path: str, *, size: int) -> tuple[int, bytes]:
        """Read a large answer through one buffer, so that the client costs little; return its length, and its end of this size."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise SystemExit(f"GET {path}: {answer.status} {answer.read(300)!r}")
        buffer, total, end = bytearray(size), 0, b""
        while count := answer.readinto(buffer):
            total += count
            end = (end + buffer[:count])[-size:] if count < size else bytes(buffer)
        return total, end

    def post(self, verb: str, message: Mapping[str, object]) -> dict[str, Any]:
        """Call a verb of the protocol."""
        found: dict[str, Any] = json.loads(self.raw("POST", API + verb, json.dumps(message)))
        return found

    def new_run(self) -> str:
        """Start a run."""
        run_id: str = self.post("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
        return run_id


def timed(call: Any, *, times: int) -> Times:
    """Call once to warm up, then so many times; a call that takes minutes is made once only."""
    if times > 1:
        call()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return Times(median_s=statistics.median(taken), p95_s=sorted(taken)[int(len(taken) * 0.95)])


def requests_per_second(server: Server, script: str, *, seconds: int, connections: int = CONNECTIONS) -> float:
    """Let `wrk` send what a Lua script makes, on so many connections, each waiting for its answer."""
    headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in server.headers.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.lua"
        path.write_text('wrk.headers["Content-Type"] = "application/json"\n' + headers + script, encoding="utf-8")
        for duration in (1, seconds):
            command = [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{duration}s",
                "--timeout",
                "60s",
                "-s",
                str(path),
                server.url,
            ]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused, rate = _REFUSED.search(printed), _RATE.search(printed)
    if refused or rate is None:
        raise SystemExit(f"{server.name} did not answer well: {printed}")
    return float(rate[1])


def log_metric(run_ids: list[str]) -> str:
    """Points of many runs, each point another one."""
    ids = ", ".join(f'"{run_id}"' for run_id in run_ids)
    return f"""
local ids, n = {{{ids}}}, os.time() * 1000
request = function()
  n = n + 1
  local id = ids[n % #ids + 1]
  local body = '{{"run_id":"' .. id .. '","run_uuid":"' .. id .. '","key":"loss","value":' .. n % 1000 ..
    '.5,"timestamp":' .. n .. ',"step":' .. n .. '}}'
  return wrk.format("POST", "{API}runs/log-metric", nil, body)
end
"""


def log_batch(run_id: str, *, points: int) -> str:
    """Batches of points of ten metrics, each point another one."""
    return f"""
local n = os.time() * 1000
request = function()
  local points = {{}}
  for at = 1, {points} do
    n = n + 1
    points[at] = '{{"key":"m' .. at % 10 .. '","value":' .. n % 1000 .. '.25,"timestamp":' .. n .. ',"step":' .. n .. '}}'
  end
  local body = '{{"run_id":"{run_id}","metrics":[' .. table.concat(points, ",") .. ']}}'
  return wrk.format("POST", "{API}runs/log-batch", nil, body)
end
"""


def create_run() -> str:
    """New runs with the tags that the client sends."""
    body = json.dumps(
        {
            "experiment_id": "0",
            "user_id": "ann",
            "start_time": 1_700_000_000_000,
            "tags": [
                {"key": "mlflow.user", "value": "ann"},
                {"key": "mlflow.source.name", "value": "train.py"},
                {"key": "mlflow.source.type", "value": "LOCAL"},
            ],
        }
    )
    return f"""
local body = [[{body}]]
request = function() return wrk.format("POST", "{API}runs/create", nil, body) end
"""


def get_run(run_id: str) -> str:
    """Read one run."""
    return f'request = function() return wrk.format("GET", "{API}runs/get?run_id={run_id}&run_uuid={run_id}") end\n'
