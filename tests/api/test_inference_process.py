"""The model server as a process: it follows its endpoint, drains on SIGTERM, and survives a kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import urllib3
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from tests.exposition import samples_of

# A machine that is busy with other things takes more than a minute to start an interpreter with these libraries.
PATIENCE_S = 240.0
PROGRAM = """
    import json, sys
    from pathlib import Path
    import pyarrow as pa
    from flyball.deployment.entities import Endpoint, EndpointState, Role, Route
    from flyball.kernel.ids import new_id
    from flyball.kernel.logs import configure_logs
    from flyball.kernel.settings import load_settings
    from flyball.server.inference.process import Surroundings, serve
    from flyball.serving.capture_rules import KEEP_ALL, parse_rules
    from flyball.serving.entities import ModelFolder

    home, folder = Path(sys.argv[1]), Path(sys.argv[2])
    rules = home / "rules.json"

    def current_routing():
        version, generation = json.loads((home / "routing.json").read_text())
        return Endpoint(name="elec2", model="elec2", generation=generation, previous=(), salt="s", changed_by="user:owner",
            routes=(Route(version=version, share=1.0, role=Role.CHAMPION),), state=EndpointState.ACTIVE, created_ms=0, updated_ms=0,
            capture=parse_rules(**json.loads(rules.read_text())) if rules.exists() else KEEP_ALL)

    def report(status):
        part = home / "status.part"
        part.write_text(json.dumps([status.generation, status.url, status.error]))
        part.rename(home / "status.json")

    class Sink:
        def accept(self, endpoint, table):
            part = home / f"{new_id()}.writing"
            with pa.ipc.new_file(str(part), table.schema) as writer:
                writer.write_table(table)
            part.rename(part.with_suffix(".taken"))

        def lost(self, endpoint, rows):
            raise AssertionError(rows)

    if __name__ == "__main__":
        settings = load_settings({"FLYBALL_HOME": str(home), "FLYBALL_CAPTURE_FLUSH_MS": "1000", "FLYBALL_ENDPOINT_POLL_MS": "20"})
        configure_logs(settings, process="endpoint")
        surroundings = Surroundings(current_routing=current_routing, report=report, sink=Sink(),
            authorise=lambda token, permission: "user:owner",
            fetch_model=lambda version: ModelFolder(path=folder, digest=str(version) * 64))
        serve("elec2", "elec2", surroundings=surroundings, settings=settings)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model that takes a noticeable time for many rows."""
    frame = pd.DataFrame({"price": np.random.default_rng(1).random(500)})
    model = RandomForestClassifier(n_estimators=120, random_state=0).fit(frame, frame["price"] > 0.5)
    path = tmp_path_factory.mktemp("models") / "forest"
    mlflow.sklearn.save_model(
        model,
        str(path),
        signature=infer_signature(frame, model.predict(frame)),
        skops_trusted_types=["sklearn.tree._tree.Tree"],
        pip_requirements=["scikit-learn"],
    )
    return path


class Process:
    """A model server, and what it leaves behind."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        program = home / "program.py"
        program.write_text(textwrap.dedent(PROGRAM))
        self.route(version=1, generation=1)
        (home / "status.json").unlink(missing_ok=True)
        self.popen = subprocess.Popen([sys.executable, str(program), str(home), str(folder)])
        self.pool = urllib3.PoolManager(maxsize=32, retries=False)
        try:
            wait_until(lambda: self.generation == 1)
        except BaseException:
            self.popen.kill()
            self.popen.wait()
            raise

    def route(self, *, version: int, generation: int) -> None:
        part = self.home / "routing.part"
        part.write_text(json.dumps([version, generation]))
        part.rename(self.home / "routing.json")

    @property
    def status(self) -> list[Any]:
        path = self.home / "status.json"
        return list(json.loads(path.read_text())) if path.exists() else [0, "", ""]

    @property
    def generation(self) -> int:
        return int(self.status[0])

    def ask(self, *names: str) -> urllib3.BaseHTTPResponse:
        tensor = {"name": "price", "shape": [len(names)], "datatype": "FP64", "data": [0.25] * len(names)}
        body = json.dumps({"inputs": [tensor], "parameters": {"prediction_ids": names}})
        headers = {"authorization": "Bearer t", "content-type": "application/json"}
        return self.pool.request("POST", f"{self.status[1]}/v2/models/elec2/infer", body=body, headers=headers)

    @property
    def in_flight(self) -> float:
        """How many requests it has begun and not answered."""
        page = self.pool.request("GET", f"{self.status[1]}/metrics", headers={"authorization": "Bearer t"})
        return samples_of(page.data.decode())["flyball_inference_in_flight"]

    @property
    def kept(self) -> set[str]:
        """The predictions that a kill cannot take away: in a file of the spool, or taken already."""
        found: set[str] = set()
        for path in (self.home / "spool" / "elec2").glob("*.arrow"):
            with contextlib.suppress(FileNotFoundError):  # it was taken meanwhile
                found |= set(pa.ipc.open_file(path.read_bytes()).read_all().column("prediction_id").to_pylist())
        return found | set(self.taken)

    @property
    def taken(self) -> list[str]:
        tables = [pa.ipc.open_file(path.read_bytes()).read_all() for path in self.home.glob("*.taken")]
        return [name for table in tables for name in table.column("prediction_id").to_pylist()]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {PATIENCE_S:g} s"
        time.sleep(0.01)


@pytest.fixture
def process(tmp_path: Path, folder: Path) -> Iterator[Process]:
    started = Process(tmp_path, folder)
    yield started
    started.popen.kill()
    started.popen.wait()


def test_a_new_generation_is_taken_up_without_a_failed_request(process: Process) -> None:
    versions: set[str] = set()
    process.route(version=2, generation=2)
    while process.generation < 2:
        response = process.ask("a")
        assert response.status == 200
        versions.add(response.json()["model_version"])
    assert process.ask("a").json()["model_version"] == "2"
    assert versions <= {"1", "2"}


def test_sigterm_answers_every_accepted_request_and_keeps_every_prediction(process: Process) -> None:
    answered: list[str] = []
    failed: list[str] = []
    lock = threading.Lock()
    ended = threading.Event()

    def caller(number: int) -> None:
        for i in range(10_000):
            if ended.is_set():
                return
            names = [f"{number}-{i}-{row}" for row in range(2_000 if number == 0 else 3)]
            try:
                status = process.ask(*names).status
            except urllib3.exceptions.HTTPError:  # the connection was not taken any more, or closed while idle
                ended.set()
                return
            with lock:
                (answered if status == 200 else failed).extend(names)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 2_500)
    process.popen.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert process.popen.wait(PATIENCE_S) == 0
    assert failed == []
    assert sorted(process.taken) == sorted(answered)
    assert not list((process.home / "spool" / "elec2").glob("*.arrow"))


def test_a_request_that_is_being_answered_at_sigterm_is_answered(process: Process) -> None:
    names = [[f"{caller}-{row}" for row in range(10_000)] for caller in range(4)]
    statuses: list[int] = []

    def caller(part: list[str]) -> None:
        with contextlib.suppress(
            urllib3.exceptions.HTTPError
        ):  # it came too late: the connection was not taken any more
            statuses.append(process.ask(*part).status)

    threads = [threading.Thread(target=caller, args=(part,)) for part in names]
    for thread in threads:
        thread.start()
    wait_until(lambda: process.in_flight > 0)
    process.popen.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert process.popen.wait(PATIENCE_S) == 0
    assert len(process.taken) == len(statuses) * len(names[0])


def test_a_second_process_for_the_same_endpoint_does_not_start(process: Process, folder: Path) -> None:
    second = subprocess.run(
        [sys.executable, str(process.home / "program.py"), str(process.home), str(folder)],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert second.returncode == 1
    assert b"another process captures predictions" in second.stderr
    assert process.ask("a").status == 200


def test_after_a_kill_the_next_process_brings_in_what_was_on_disk(process: Process, folder: Path) -> None:
    for i in range(20):
        assert process.ask(str(i)).status == 200
    wait_until(lambda: process.kept >= {str(i) for i in range(20)})
    process.popen.kill()
    process.popen.wait()
    again = Process(process.home, folder)
    wait_until(lambda: set(again.taken) >= {str(i) for i in range(20)})
    again.popen.send_signal(signal.SIGTERM)
    assert again.popen.wait(PATIENCE_S) == 0


def test_in_durable_mode_a_killed_process_has_kept_all_that_it_answered_and_nothing_that_is_hidden(
    tmp_path: Path, folder: Path
) -> None:
    rules = {"share": 1.0, "mode": "durable", "columns": {"feature.price": "hash", "caller": "drop"}, "others": "keep"}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    process = Process(tmp_path, folder)
    answered: list[str] = []

    def caller(number: int) -> None:
        for i in range(10_000):
            name = f"{number}-{i}"
            try:
                if process.ask(name).status == 200:
                    answered.append(name)
            except urllib3.exceptions.HTTPError:
                return

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) >= 60)
    process.popen.kill()
    process.popen.wait()
    for thread in threads:
        thread.join()
    again = Process(tmp_path, folder)
    wait_until(lambda: set(again.taken) >= set(answered))
    again.popen.send_signal(signal.SIGTERM)
    assert again.popen.wait(PATIENCE_S) == 0
    for path in tmp_path.glob("*.taken"):
        table = pa.ipc.open_file(path.read_bytes()).read_all()
        assert "feature.price" not in table.column_names
        assert len(set(table.column("hashed.price").to_pylist())) == 1
        assert set(table.column("caller").to_pylist()) == {""}
