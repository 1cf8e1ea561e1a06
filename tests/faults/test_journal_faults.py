"""Training goes on whatever happens to the server, and nothing that a call returned from is lost, or carried out twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from tests.ports import free_port
from tests.protocol.serving import serve

from flyball.client import Client
from flyball.client.journal.folder import journals_in, set_aside_in
from flyball.client.journal.orphans import ship_folder
from flyball.client.journal.reader import Reader
from flyball.kernel.db import open_database
from flyball.kernel.settings import Settings, load_settings
from flyball.server.home import ensure_owner_token, prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform, open_platform
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes

PATIENCE_S = 240.0
TRAINING = """
import sys, time
import mlflow
from mlflow.exceptions import MlflowException

steps, pause_s = int(sys.argv[1]), float(sys.argv[2])
mlflow.set_experiment("grid")
with mlflow.start_run(run_name="night") as run:
    print(run.info.run_id, flush=True)
    mlflow.log_param("depth", 3)
    for step in range(steps):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.set_tag("step", step)
        time.sleep(pause_s)
    mlflow.log_text("as on Monday", "notes/a.txt")
print("trained", flush=True)
if "read" in sys.argv:
    began = time.monotonic()
    try:
        mlflow.search_runs(experiment_names=["grid"])
    except MlflowException as error:
        print(error.error_code, time.monotonic() - began < 60)
"""
# Without MLflow, so that it can be killed early and often. Each number is written to the pipe after its call returned.
WRITER = """
import os, sys
from pathlib import Path
from flyball.client.journal.journal import Journal, Limits
from flyball.wire.v1.journals import Point

journal = Journal.start(Path(sys.argv[1]), server="", limits=Limits(max_bytes=1 << 30, sync_ms=20), connect=None)
for step in range(10_000_000):
    journal.write(Point("a" * 32, "loss", 0.5, step, step))
    os.write(1, step.to_bytes(4, "big"))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load_settings({"FLYBALL_HOME": str(tmp_path / "home"), "FLYBALL_PORT": str(free_port())})
    prepare_home(made)
    with contextlib.closing(open_database(made.resolved_database_url)) as database:
        upgrade(database)
    return made


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with contextlib.closing(open_platform(settings)) as opened:
        ensure_owner_token(opened)
        yield opened


def environ(settings: Settings, uri: str, **more: str) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("FLYBALL_", "MLFLOW_"))},
        "FLYBALL_HOME": str(settings.home),
        "FLYBALL_PORT": str(settings.port),
        "FLYBALL_JOURNAL_EXIT_S": "1",
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        **more,
    }


def train(settings: Settings, uri: str, *arguments: str, **more: str) -> tuple[str, str, str]:
    """Train to the end; return the run, what was printed, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, *arguments],
        env=environ(settings, uri, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "trained" in done.stdout
    return done.stdout.split()[0], done.stdout, done.stderr


def sync(settings: Settings, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flyball.cli.main", "sync", str(folder)]
    return subprocess.run(command, env=environ(settings, ""), capture_output=True, text=True, check=False)


def assert_whole(platform: Platform, run_id: str, steps: int) -> None:
    run = platform.tracking.runs.get(run_id)
    history = platform.tracking.log.history(run_id, "loss").items
    assert [point.step for point in history] == list(range(steps))
    assert (run.info.status.value, run.info.name, run.tags["step"]) == ("FINISHED", "night", str(steps - 1))
    assert dict(run.params) == {"depth": "3"}
    assert platform.artifacts.read(f"run/{run_id}", "notes/a.txt") == b"as on Monday"
    assert platform.tracking.experiments.get_by_name("grid").experiment_id == run.info.experiment_id


def test_training_goes_on_without_the_server_and_the_next_process_brings_it_over(
    settings: Settings, platform: Platform
) -> None:
    uri = f"flyball://127.0.0.1:{settings.port}"
    first, printed, said = train(settings, uri, "50", "0", "read")
    assert "TEMPORARILY_UNAVAILABLE True" in printed
    assert said.count("is kept in") == 1
    assert said.count("records wait in") == 1
    assert str(settings.resolved_journal_folder) in said
    with serve(platform, port=settings.port):
        second, _, said = train(settings, uri, "10", "0", FLYBALL_JOURNAL_EXIT_S="30")
        deadline = time.monotonic() + PATIENCE_S
        while journals_in(settings.resolved_journal_folder) and time.monotonic() < deadline:
            train(settings, uri, "1", "3", FLYBALL_JOURNAL_EXIT_S="30")
    assert_whole(platform, first, 50)
    assert_whole(platform, second, 10)
    assert list((settings.resolved_journal_folder / "made").iterdir()) == []


def test_a_folder_is_shipped_by_the_command_and_again_is_no_change(settings: Settings, platform: Platform) -> None:
    folder = settings.home.parent / "carried"
    run_id, _, said = train(settings, f"flyball+file://{folder}", "50", "0")
    assert f"flyball sync {folder}" in said
    with serve(platform, port=settings.port):
        answer = sync(settings, folder)
        assert answer.returncode == 0, answer.stderr
        assert "shipped" in answer.stdout
        assert_whole(platform, run_id, 50)
        assert sync(settings, folder).stdout == ""
    assert journals_in(folder) == []


def test_a_journal_that_the_server_refuses_in_part_is_kept_and_said(settings: Settings, platform: Platform) -> None:
    folder = settings.home.parent / "carried"
    run_id, _, _ = train(settings, f"flyball+file://{folder}", "5", "0")
    experiment = platform.tracking.experiments.ensure("grid", actor="user:owner")
    platform.tracking.experiments.delete(experiment.experiment_id, actor="user:owner")
    with serve(platform, port=settings.port):
        answer = sync(settings, folder)
        assert answer.returncode == 1
        assert "must be in the 'active' state" in answer.stderr
        kept = (set_aside_in(folder)[0] / "refused.jsonl").read_text()
        assert journals_in(folder) == []
        assert run_id in kept
        assert sync(settings, folder).returncode == 1


@pytest.mark.parametrize("seed", range(6))
def test_kill_9_loses_nothing_that_a_call_returned_from(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.read(4)
    time.sleep(chance.uniform(0, 0.4))
    writer.send_signal(signal.SIGKILL)
    told = writer.stdout.read()
    writer.wait()
    last = int.from_bytes(told[-4:], "big") if len(told) >= 4 else 0
    steps = [record.step for record in records_of(tmp_path) if isinstance(record, shapes.Point)]
    assert steps == list(range(len(steps)))
    assert len(steps) > last


def records_of(root: Path) -> list[shapes.Record]:
    reader, found = Reader(journals_in(root)[0]), list[shapes.Record]()
    while (piece := reader.piece()) is not None:
        found += [shapes.decode(record) for record in frames.records_in(piece.body)]
        reader.skip(piece)
    return found


def test_a_killed_training_is_shipped_later_without_its_end(settings: Settings, platform: Platform) -> None:
    uri = f"flyball://127.0.0.1:{settings.port}"
    command = [sys.executable, "-c", TRAINING, "100000", "0.001"]
    training = subprocess.Popen(command, env=environ(settings, uri), stdout=subprocess.PIPE, text=True)
    assert training.stdout is not None
    run_id = training.stdout.readline().strip()
    folder = settings.resolved_journal_folder
    deadline = time.monotonic() + PATIENCE_S
    while sum(isinstance(record, shapes.Point) for record in records_of(folder)) <= 10:
        assert time.monotonic() < deadline, "nothing is journalled"
        time.sleep(0.05)
    training.kill()
    training.wait()
    with serve(platform, port=settings.port):
        assert sync(settings, settings.resolved_journal_folder).returncode == 0
    steps = [point.step for point in platform.tracking.log.history(run_id, "loss").items]
    assert len(steps) > 10
    assert steps == list(range(len(steps)))
    assert platform.tracking.runs.get(run_id).info.status.value == "RUNNING"


def test_a_server_that_is_killed_and_comes_back_gets_everything_once(settings: Settings) -> None:
    with contextlib.closing(open_platform(settings)) as opened:
        ensure_owner_token(opened)
    uri = f"flyball://127.0.0.1:{settings.port}"
    command = [sys.executable, "-c", TRAINING, "1500", "0.01"]
    with started(settings) as server:
        training = subprocess.Popen(
            command, env=environ(settings, uri, FLYBALL_JOURNAL_EXIT_S="60"), stdout=subprocess.PIPE, text=True
        )
        assert training.stdout is not None
        run_id = training.stdout.readline().strip()
        time.sleep(2)
        server.kill()
        server.wait()
        time.sleep(1)
    for _ in range(2):
        with started(settings) as server:
            time.sleep(2)
            server.kill()
            server.wait()
    with started(settings):
        assert training.wait(timeout=PATIENCE_S) == 0
        while journals_in(settings.resolved_journal_folder):
            assert sync(settings, settings.resolved_journal_folder).returncode == 0
    with contextlib.closing(open_platform(settings)) as opened:
        assert_whole(opened, run_id, 1500)
        assert opened.events.verify().intact


@contextlib.contextmanager
def started(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run the real server in its own process, and wait until it answers."""
    command = [sys.executable, "-m", "flyball.cli.main", "server"]
    server = subprocess.Popen(command, env=environ(settings, ""), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answers(settings):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield server
    finally:
        server.kill()
        server.wait()


def answers(settings: Settings) -> bool:
    try:
        return (
            urllib3.request("GET", f"http://127.0.0.1:{settings.port}/health", retries=False, timeout=5).status == 200
        )
    except urllib3.exceptions.HTTPError:
        return False


class DroppingProxy:
    """Hand requests to the server, and lose every other answer after the server gave it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.dropped = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server, contextlib.suppress(OSError):
            while request := whole_message(client):
                server.sendall(request)
                answer = whole_message(server)
                if request.startswith((b"POST", b"PUT")) and self.dropped % 2 == 0:
                    self.dropped += 1
                    return
                self.dropped += request.startswith((b"POST", b"PUT"))
                client.sendall(answer)

    def close(self) -> None:
        self._listening.close()


def whole_message(source: socket.socket) -> bytes:
    """Read one HTTP message with a Content-Length."""
    message = b""
    while b"\r\n\r\n" not in message:
        part = source.recv(65_536)
        if not part:
            return b""
        message += part
    head, _, body = message.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower(), "this proxy knows lengths only"
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < wanted:
        part = source.recv(65_536)
        message, body = message + part, body + part
    return message


def test_lost_answers_do_no_harm(settings: Settings, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = settings.home.parent / "carried"
    runs = [train(settings, f"flyball+file://{folder}", "30", "0")[0] for _ in range(2)]
    monkeypatch.setattr("flyball.client.journal.reader.PIECE_BYTES", 500)
    with serve(platform) as url:
        proxy = DroppingProxy(int(url.rpartition(":")[2]))
        client = Client(f"http://127.0.0.1:{proxy.port}", platform.access.bootstrap_owner(), retries=urllib3.Retry(0))
        for _ in range(1_000):
            with contextlib.suppress(Exception):
                ship_folder(folder, client, tell=lambda _text: None)
            if not journals_in(folder):
                break
        proxy.close()
    assert proxy.dropped > 10
    for run_id in runs:
        assert_whole(platform, run_id, 30)
    made = [event for event in platform.events.all() if event.kind == "run.created"]
    assert len(made) == 2
    assert len([event for event in platform.events.all() if event.kind == "run.finished"]) == 2


MANY = """
import multiprocessing, os, sys
import mlflow
from mlflow import MlflowClient

def child(run_id, number):
    client = MlflowClient()
    for step in range(20):
        client.log_metric(run_id, f"loss-{number}", step / 10, step=step)
    with mlflow.start_run(nested=True, parent_run_id=run_id, run_name=f"child-{number}"):
        mlflow.log_param("number", number)
    if number % 2:
        os._exit(0)

if __name__ == "__main__":
    mlflow.set_experiment("grid")
    context = multiprocessing.get_context("fork")
    run = MlflowClient().create_run(mlflow.get_experiment_by_name("grid").experiment_id, run_name="parent")
    print(run.info.run_id, flush=True)
    children = [context.Process(target=child, args=(run.info.run_id, number)) for number in range(int(sys.argv[1]))]
    for one in children:
        one.start()
    for one in children:
        one.join()
        assert one.exitcode == 0, one.exitcode
    MlflowClient().set_terminated(run.info.run_id)
"""


@pytest.mark.parametrize("server", ["there", "away"])
def test_32_processes_log_at_once_each_into_its_own_journal(
    settings: Settings, platform: Platform, server: str, tmp_path: Path
) -> None:
    script = tmp_path / "many.py"
    script.write_text(MANY)
    uri = f"flyball://127.0.0.1:{settings.port}"
    command = [sys.executable, str(script), "32"]
    with contextlib.nullcontext() if server == "away" else serve(platform, port=settings.port):
        done = subprocess.run(
            command, env=environ(settings, uri), capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
    run_id = done.stdout.split()[0]
    with serve(platform, port=settings.port):
        answer = sync(settings, settings.resolved_journal_folder)
        assert answer.returncode == 0, answer.stderr
    run = platform.tracking.runs.get(run_id)
    assert {f"loss-{number}" for number in range(32)} == set(run.metrics)
    assert {kept.latest.step for kept in run.metrics.values()} == {19}
    children = platform.tracking.runs.search(
        [run.info.experiment_id], filter_text=f"tags.mlflow.parentRunId = '{run_id}'"
    ).items
    assert {child.params["number"] for child in children} == {str(number) for number in range(32)}
    assert journals_in(settings.resolved_journal_folder) == []
