"""The worker against the whole platform: tasks that fail, pipelines that run, signals that stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from flyball.kernel.errors import Conflict, InvalidInput
from flyball.pipelines.entities import RunState
from flyball.server.platform import Platform
from flyball.server.worker import SERVICE, Worker

PATIENCE_S = 240.0


def eventually(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def run(worker: Worker) -> threading.Thread:
    thread = threading.Thread(target=worker.run)
    thread.start()
    return thread


def test_it_stops_at_once_when_it_has_nothing_to_do(platform: Platform) -> None:
    worker = Worker(platform)
    thread = run(worker)
    time.sleep(0.2)
    started = time.monotonic()
    worker.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert time.monotonic() - started < PATIENCE_S / 2


def test_a_pipeline_that_fails_is_carried_to_its_end_and_its_token_revoked(platform: Platform) -> None:
    submitted = platform.pipelines.submit("no_such_module:train", {}, actor="user:owner")
    worker = Worker(platform)
    thread = run(worker)
    try:
        eventually(lambda: platform.pipelines.get(submitted.id).state is RunState.FAILED, "the run did not end")
        eventually(lambda: all(one.revoked_ms for one in platform.access.list(SERVICE)), "the token is still good")
    finally:
        worker.stop()
        thread.join(PATIENCE_S)
    assert "no_such_module" in str(platform.pipelines.get(submitted.id).error)
    assert len(platform.access.list(SERVICE)) == 1


def test_a_run_that_somebody_else_holds_is_left_alone_for_a_while(platform: Platform) -> None:
    submitted = platform.pipelines.submit("no_such_module:train", {}, actor="user:owner")
    platform.leases.acquire(f"pipeline-run/{submitted.id}", holder="worker:other", ttl_ms=60_000)
    worker = Worker(platform)
    thread = run(worker)
    eventually(lambda: len(platform.access.list(SERVICE)) == 1, "the run was not tried")
    time.sleep(2.0)  # some more rounds
    worker.stop()
    thread.join(PATIENCE_S)
    assert platform.pipelines.get(submitted.id).state is RunState.QUEUED
    assert len(platform.access.list(SERVICE)) == 1  # one attempt, not one a round


class Broken:
    """Stands for monitors of which one is broken and one is not; everything else of it does not matter here."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.looked: list[str] = []
        self.error: Exception | None = InvalidInput("its column is gone")

    def list(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.names]

    def has_work(self, name: str) -> bool:
        self.looked.append(name)
        if name == "broken" and self.error is not None:
            raise self.error
        return False


@pytest.fixture
def monitors(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Broken:
    made = Broken(["broken", "sound"])
    monkeypatch.setattr(platform, "monitors", made)
    return made


def test_a_monitor_that_fails_does_not_keep_the_others_from_their_turn(
    platform: Platform, monitors: Broken, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = Worker(platform)
    for _ in range(3):
        assert worker.round() is False
    assert monitors.looked == ["broken", "sound"] * 3
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("its column is gone") == 1  # once, not in every round


def test_a_conflict_is_another_worker_s_work_and_no_error(
    platform: Platform, monitors: Broken, capsys: pytest.CaptureFixture[str]
) -> None:
    monitors.error = Conflict("another worker was faster")
    Worker(platform).round()
    printed = capsys.readouterr()
    assert "task_failed" not in printed.out + printed.err


def test_an_error_that_comes_again_after_a_good_round_is_logged_again(
    platform: Platform, monitors: Broken, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = Worker(platform)
    error = monitors.error
    for monitors.error in (error, None, error, error):
        worker.round()
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("its column is gone") == 2
