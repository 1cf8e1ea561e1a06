"""What the serving benchmark reads out of its load generators, how it judges, and that no bad answer passes for a good one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from benchmarks.figures import cost, rate
from benchmarks.serving.flood import flood
from benchmarks.serving.load import Load, Request, middle, read_h2load, read_wrk
from benchmarks.serving.report import Report

WRK = """Running 2s test @ http://127.0.0.1:8080
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.09ms    1.10ms  15.36ms   90.41%
    Req/Sec    10.42k   512.04    11.20k    70.00%
  Latency Distribution
     50%    2.90ms
     75%    3.28ms
     90%    3.85ms
     99%    1.19s {space}
  20738 requests in 2.00s, 5.13MB read
{faults}Requests/sec:  10368.64
Transfer/sec:      2.57MB
"""
H2LOAD = """finished in 1.00s, 781.00 req/s, 123.45KB/s
requests: 100 total, 132 started, 100 done, 100 succeeded, {failed} failed, {failed} errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 12.35KB (12641) total, 1.23KB (1259) headers (space savings 90.00%), 5.43KB (5000) data
"""
LOG = "".join(f"{at}\t200\t{(at + 1) * 1_000}\n" for at in range(100))


def test_rate_tail_and_count_are_read_from_wrk() -> None:
    assert read_wrk(WRK.format(space="", faults="")) == Load(rate=10_368.64, p99_s=1.19, count=20_738)


@pytest.mark.parametrize(
    "fault", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"]
)
def test_one_bad_answer_spoils_a_load_by_wrk(fault: str) -> None:
    with pytest.raises(SystemExit, match="not answered well"):
        read_wrk(WRK.format(space="", faults=fault))


def test_rate_and_tail_are_read_from_h2load() -> None:
    found = read_h2load(H2LOAD.format(failed=0), LOG, answer_bytes=50)
    assert found == Load(rate=781.0, p99_s=0.1, count=100)


@pytest.mark.parametrize(("failed", "answer_bytes"), [(1, 50), (0, 51)])
def test_an_error_of_grpc_behind_status_200_is_seen_by_its_missing_bytes(failed: int, answer_bytes: int) -> None:
    with pytest.raises(SystemExit, match="not answered well"):
        read_h2load(H2LOAD.format(failed=failed), LOG, answer_bytes=answer_bytes)


def test_of_several_rounds_the_middle_counts() -> None:
    rounds = [Load(rate=rate_, p99_s=p99_s, count=1) for rate_, p99_s in ((10, 3), (30, 1), (20, 2))]
    assert middle(rounds) == Load(rate=20, p99_s=2, count=3)


def test_ours_is_judged_against_the_best_peer_with_the_worst_model() -> None:
    report = Report()
    for model, ours, slow, quick in (("a", 60, 5, 10), ("b", 40, 1, 10)):
        for server, value in (("flyball", ours), ("slow", slow), ("quick", quick)):
            report.add("asking", model, server, rate(value))
            report.add("waiting", model, server, cost(1 / value, " s"))
    for work in ("asking", "waiting"):
        report.judge(work, at_least=4.5, wanted="much")
        report.judge(work, at_least=4, wanted="enough")
    report.judge("nothing", at_least=1, wanted="anything")
    assert [target.met for target in report.targets] == [False, True, False, True, None]
    assert report.targets[0].found == "a 6.00 {0} quick, b 4.00 {0} quick".format("\N{MULTIPLICATION SIGN}")


@pytest.fixture
def moody() -> Iterator[int]:
    """Answers 200, 429, 504, nothing at all, and so on."""
    moods, guard = iter((200, 429, 504, 0) * 100), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            with guard:
                status = next(moods)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_request_of_a_flood_is_accounted_for(moody: int) -> None:
    request = Request(path="/", bodies=[b"a", b"bc"], headers={"Content-Type": "text/plain"})
    seen = flood(moody, request, rate=200, seconds=0.4, patience_s=60)
    assert seen.sent == 80
    assert seen.statuses == {200: 20, 429: 20, 504: 20}
    assert seen.unanswered == seen.faults.total() == 20
    assert len(seen.good_s) == 20
