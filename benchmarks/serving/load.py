"""Put load on a server: `wrk` for HTTP, `h2load` for gRPC, each on one thread; every connection waits for its answer."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NEEDED = {"wrk": "wrk", "h2load": "nghttp2-client"}
# Beyond its duration, before a load that does not end is ended.
PATIENCE_S = 30.0
GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
_WRK_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_WRK_P99 = re.compile(r"^\s+99%\s+([\d.]+)(us|ms|s|m) *$", re.MULTILINE)
_WRK_COUNT = re.compile(r"(\d+) requests in")
_WRK_FAULTS = re.compile(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_H2LOAD_STATUS = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")
_H2LOAD_REQUESTS = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_H2LOAD_RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_H2LOAD_DATA = re.compile(r"traffic: .*\((\d+)\) data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent again and again: bodies in turn, to one path."""

    path: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load found."""

    rate: float
    p99_s: float
    count: int


def missing_programs() -> list[str]:
    """Return what has to be installed first."""
    return [
        f"{program} (Debian, Ubuntu: apt-get install {package})"
        for program, package in NEEDED.items()
        if not shutil.which(program)
    ]


def over_http(url: str, request: Request, *, connections: int, seconds: int) -> Load:
    """Let `wrk` send requests.

    Raises:
        SystemExit: an answer was not good.
    """
    with tempfile.TemporaryDirectory(prefix="flyball-load-") as folder:
        for at, body in enumerate(request.bodies):
            (Path(folder) / str(at)).write_bytes(body)
        script = Path(folder) / "script.lua"
        script.write_text(_script(request, folder), encoding="utf-8")
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "20s",
            "--latency",
            "-s",
            str(script),
            url,
        ]
        return read_wrk(_printed(command, seconds))


def over_grpc(
    port: int, body: bytes, *, headers: Mapping[str, str], answer_bytes: int, connections: int, seconds: int
) -> Load:
    """Let `h2load` send one prepared message.

    An error of gRPC comes with status 200 in a trailer that h2load does not read, so the bytes of the answers are counted too.

    Raises:
        SystemExit: an answer was not good, or shorter than `answer_bytes`.
    """
    with tempfile.TemporaryDirectory(prefix="flyball-load-") as folder:
        message, log = Path(folder) / "message", Path(folder) / "log"
        message.write_bytes(body)
        command = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{seconds}", "-d", str(message), f"--log-file={log}"]
        for name, value in {**GRPC_HEADERS, **headers}.items():
            command += ["-H", f"{name.lower()}: {value}"]
        printed = _printed([*command, f"http://127.0.0.1:{port}{GRPC_PATH}"], seconds)
        return read_h2load(printed, log.read_text(encoding="utf-8"), answer_bytes=answer_bytes)


def read_wrk(printed: str) -> Load:
    """Read what wrk prints."""
    fault, rate, p99 = _WRK_FAULTS.search(printed), _WRK_RATE.search(printed), _WRK_P99.search(printed)
    count = _WRK_COUNT.search(printed)
    if fault or rate is None or p99 is None or count is None or not int(count[1]):
        raise SystemExit(f"the load was not answered well: {fault[0] if fault else printed}")
    return Load(rate=float(rate[1]), p99_s=float(p99[1]) * _SECONDS[p99[2]], count=int(count[1]))


def read_h2load(printed: str, log: str, *, answer_bytes: int) -> Load:
    """Read what h2load prints, and its log: start in microseconds, status, duration in microseconds a line."""
    rate, status, data = _H2LOAD_RATE.search(printed), _H2LOAD_STATUS.search(printed), _H2LOAD_DATA.search(printed)
    requests = _H2LOAD_REQUESTS.search(printed)
    if rate is None or status is None or data is None or requests is None:
        raise SystemExit(f"the load was not answered well: {printed}")
    good = int(status[1])
    if any(map(int, status.groups()[1:])) or int(requests[2]) or int(data[1]) < good * answer_bytes:
        raise SystemExit(f"the load was not answered well, {good * answer_bytes} bytes were due: {printed}")
    taken = sorted(int(line.split("\t")[2]) for line in log.splitlines() if line)
    return Load(rate=float(rate[1]), p99_s=taken[int(len(taken) * 0.99)] / 1e6, count=good)


def middle(loads: Sequence[Load]) -> Load:
    """Return the median of several rounds, of each number by itself."""
    return Load(
        rate=statistics.median(load.rate for load in loads),
        p99_s=statistics.median(load.p99_s for load in loads),
        count=sum(load.count for load in loads),
    )


def _printed(command: Sequence[str], seconds: int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"{command[0]} did not end within {seconds + PATIENCE_S:g} s") from error
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stdout} {done.stderr}")
    return done.stdout


def _script(request: Request, folder: str) -> str:
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in request.headers.items())
    return f"""
local requests, at = {{}}, 0
init = function()
  for number = 0, {len(request.bodies) - 1} do
    local file = io.open("{folder}/" .. number, "rb")
    requests[number + 1] = wrk.format("POST", "{request.path}", {{{headers}}}, file:read("*a"))
    file:close()
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""
