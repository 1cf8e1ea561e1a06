"""`flyball serve` as a process, asked for ten times what it can do, while the process of its isolated model is killed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import urllib3
from tests.api.test_serve import WAIT_S, Served, folders, predicted, start

__all__ = ["folders", "start"]  # fixtures
WAITING = 4
CALLERS = 10 * WAITING
REQUESTS = 6
# What is held for the requests that may wait is far below; what the libraries take after the first request is in the first look.
MORE_BYTES = 128 << 20
ANSWERS = {200, 429, 504}


class Load:
    """Callers without patience: each asks again at once, whatever it was answered."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.pool = urllib3.PoolManager(maxsize=CALLERS, retries=False)
        self.statuses: Counter[int] = Counter()
        self.unanswered: list[str] = []
        self.refused, self.some = threading.Event(), threading.Event()
        self._guard = threading.Lock()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, number: int) -> None:
        body = b'{"inputs": [{"name": "x", "shape": [50], "datatype": "FP64", "data": [%s]}]}' % b", ".join(
            [b"1.0"] * 50
        )
        headers = {"x-request-timeout-ms": "1000" if number % 2 else "60000"}
        for _ in range(REQUESTS):
            try:
                url = f"{self.served.url}/v2/models/add/infer"
                status = self.pool.request("POST", url, body=body, headers=headers, timeout=WAIT_S).status
            except urllib3.exceptions.HTTPError as error:
                self.unanswered.append(repr(error))
                return
            with self._guard:
                self.statuses[status] += 1
                if status == 429:
                    self.refused.set()
                if self.statuses.total() >= 2 * CALLERS:
                    self.some.set()

    def join(self) -> Counter[int]:
        for thread in self.threads:
            thread.join()
        assert self.unanswered == []
        assert self.statuses.total() == CALLERS * REQUESTS
        return self.statuses


def model_process(served: Served) -> psutil.Process:
    """Return the process of the isolated model."""
    [one] = psutil.Process(served.popen.pid).children()
    return one


def memory_of(served: Served) -> int:
    return int(psutil.Process(served.popen.pid).memory_info().rss)


def test_overload_and_a_killed_model_process_are_answered_and_survived(
    start: Callable[..., Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "flyball.toml").write_text('isolation = "always"\nfast_path = false\n')
    served = start(f"add={folders['first']}", "--without-key", "--queue-requests", str(WAITING)).wait()
    assert predicted(served.ask("/v2/models/add/infer", [1.0])) == [2.0]
    before, process = memory_of(served), model_process(served)

    process.suspend()  # so that it can do nothing, which any number of callers is too much for
    load = Load(served)
    assert load.refused.wait(WAIT_S)
    process.resume()
    found = load.join()
    assert set(found) <= ANSWERS, found
    assert memory_of(served) - before < MORE_BYTES
    assert predicted(served.ask("/v2/models/add/infer", [1.0])) == [2.0]

    load = Load(served)
    assert load.some.wait(WAIT_S)
    process.kill()
    found = load.join()
    assert set(found) <= ANSWERS | {503}, found  # 503: the process died of it, or is being started again
    deadline = time.monotonic() + WAIT_S
    while served.ask("/v2/models/add/infer", [1.0]).status != 200:
        assert time.monotonic() < deadline, "the model was not started again"
        time.sleep(0.05)
    assert model_process(served).pid != process.pid
    assert predicted(served.ask("/v2/models/add/infer", [1.0, 2.0])) == [2.0, 3.0]
    assert memory_of(served) - before < MORE_BYTES
    assert served.end() == 0
