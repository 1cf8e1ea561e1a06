"""What happens to a pipeline run when processes die, hang, or talk too much."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from tests.unit.pipelines.building import Project, build_project

from flyball.artifacts.entities import Blob
from flyball.kernel.clock import ManualClock, SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import LeaseLost, StoreFull
from flyball.kernel.events.entities import Event, EventKind
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.pipelines import processes
from flyball.pipelines.entities import PipelineEvent, PipelineRun, RunState, StepState
from flyball.pipelines.limits import Limits
from flyball.pipelines.processes import LOG_BYTES
from flyball.server.migrations import upgrade

PATIENCE_S = 240.0

# A step that tells its process id in a file and then waits to be killed; a file called "go" lets it pass.
WAITING = """
    import os
    import pathlib
    import subprocess
    import sys
    import time

    HERE = pathlib.Path(__file__).parent

    def note(name):
        with open(HERE / "ran.txt", "a") as file:
            print(name, file=file)

    @step
    def first() -> int:
        note("first")
        return 1

    @step(cache=False)
    def second(n: int) -> int:
        note("second")
        return n + 1

    @step
    def wait(n: int) -> int:
        note("wait")
        print("before the end", flush=True)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (HERE / "pids.part").write_text(f"{os.getpid()} {child.pid}")
        (HERE / "pids.part").rename(HERE / "pids.txt")
        while not (HERE / "go").exists():
            time.sleep(0.01)
        return n + 1

    @pipeline
    def main():
        return wait(second(first()))
"""

# The executing process of a test, as a program of its own, so that it can be killed.
EXECUTOR = """
import pathlib, sys
from flyball.artifacts.entities import Blob
from flyball.kernel.clock import SystemClock
from flyball.kernel.db import open_database
from flyball.pipelines.limits import Limits
from tests.unit.pipelines.building import build_project

folder, url, run_id, ttl = sys.argv[1:]
project = build_project(pathlib.Path(folder), open_database(url), SystemClock(), limits=Limits(lease_ttl_ms=int(ttl)))
project.pipelines.execute(run_id, environment=project.environment, holder="doomed")
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def pids(project: Project) -> list[int]:
    path = project.code / "pids.txt"
    wait_for(path.exists)
    return [int(pid) for pid in path.read_text().split()]


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def ran(project: Project) -> list[str]:
    return (project.code / "ran.txt").read_text().split()


def in_background(project: Project, run: PipelineRun) -> tuple[threading.Thread, list[object]]:
    """Execute a run in a thread; its outcome, or what it raised, arrives in the list."""
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(project.pipelines.execute(run.id, environment=project.environment, holder="test"))
        except LeaseLost as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, outcome


@pytest.fixture
def project(tmp_path: Path, sqlite: Database, clock: ManualClock) -> Project:
    built = build_project(tmp_path, sqlite, clock)
    built.write(WAITING)
    return built


def test_a_step_killed_by_the_system_fails_the_run_and_its_children_die_with_it(project: Project) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    thread, outcome = in_background(project, run)
    step_pid, grandchild_pid = pids(project)

    os.kill(step_pid, signal.SIGKILL)
    thread.join(PATIENCE_S)

    failed = project.pipelines.get(run.id)
    assert outcome == [failed]
    assert failed.state is RunState.FAILED
    assert failed.error == ("step 'wait' was killed by signal 9 (SIGKILL); the system does that when memory runs out")
    assert failed.steps[2].state is StepState.FAILED
    assert project.log(failed, "wait") == "before the end\n"
    wait_for(lambda: gone(grandchild_pid))


def test_a_resumed_run_goes_on_after_its_last_finished_step(project: Project) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    thread, _ = in_background(project, run)
    os.kill(pids(project)[0], signal.SIGKILL)
    thread.join(PATIENCE_S)
    (project.code / "go").touch()

    resumed = project.again(run)

    assert (resumed.state, resumed.result) == (RunState.SUCCEEDED, 3)
    assert ran(project) == ["first", "second", "wait", "wait"]
    assert [step.cached_from for step in resumed.steps] == [run.id, run.id, None]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_run_whose_executing_process_is_killed_is_lost_and_resumed_without_repeating(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'flyball.db'}"
    if kind == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    with contextlib.closing(open_database(url)) as database:
        upgrade(database)
        project = build_project(tmp_path, database, SystemClock())
        project.write(WAITING)
        run = project.pipelines.submit("shop:main", {}, actor="user:owner")
        command = [sys.executable, "-c", EXECUTOR, str(tmp_path), url, run.id, "4000"]
        executor = subprocess.Popen(command)
        doomed = pids(project)

        executor.kill()
        executor.wait()

        wait_for(lambda: all(map(gone, doomed)))
        assert project.pipelines.get(run.id).state is RunState.RUNNING
        wait_for(lambda: [lost.id for lost in project.pipelines.sweep_lost()] == [run.id])
        lost = project.pipelines.get(run.id)
        assert lost.state is RunState.LOST
        assert [step.state for step in lost.steps] == [StepState.SUCCEEDED, StepState.SUCCEEDED, StepState.LOST]
        (project.code / "go").touch()
        resumed = project.again(run)
        assert (resumed.state, resumed.result, resumed.attempt) == (RunState.SUCCEEDED, 3, 2)
        assert ran(project) == ["first", "second", "wait", "wait"]
        assert project.events.verify().intact


def test_a_lease_is_renewed_while_a_step_runs(project: Project, clock: ManualClock, sqlite: Database) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    thread, _ = in_background(project, run)
    pids(project)
    leases = SqlLeaseStore(sqlite, clock)

    def renewed() -> bool:
        lease = leases.find(f"pipeline-run/{run.id}")
        return lease is not None and lease.expires_ms == clock.now_ms() + 30_000

    for _ in range(5):  # more than two lives of the lease
        clock.advance(15_000)
        wait_for(renewed)
        assert project.pipelines.sweep_lost() == []
    (project.code / "go").touch()
    thread.join(PATIENCE_S)

    assert project.pipelines.get(run.id).state is RunState.SUCCEEDED


def test_a_holder_whose_lease_expired_cannot_write_the_result_of_its_step(
    project: Project, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.code / "go").touch()
    put, calls = project.artifacts.blobs.put, []

    def slow_on_the_second(chunks: Iterable[bytes]) -> Blob:
        blob = put(chunks)
        calls.append(blob)
        if len(calls) == 2:
            clock.advance(40_000)  # the bytes are stored, and the lease expires before that is written down
        return blob

    monkeypatch.setattr(project.artifacts.blobs, "put", slow_on_the_second)
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")

    with pytest.raises(LeaseLost):
        project.pipelines.execute(run.id, environment=project.environment, holder="late")

    assert project.pipelines.get(run.id).steps[1].state is StepState.RUNNING
    assert project.kinds(run) == ["submitted", "started", "step_finished"]
    assert project.artifacts.walk(f"pipeline-run/{run.id}/01-second") == []
    assert [lost.id for lost in project.pipelines.sweep_lost()] == [run.id]
    assert project.again(run).state is RunState.SUCCEEDED
    assert ran(project) == ["first", "second", "second", "wait"]


def test_a_cancelled_run_ends_its_step_when_the_holder_next_renews(project: Project, clock: ManualClock) -> None:
    run = project.pipelines.submit("shop:main", {}, actor="user:owner")
    thread, outcome = in_background(project, run)
    doomed = pids(project)

    cancelled = project.pipelines.cancel(run.id, actor="user:owner")
    clock.advance(15_000)
    thread.join(PATIENCE_S)

    assert outcome == [cancelled]
    assert (cancelled.state, cancelled.steps[2].state) == (RunState.CANCELLED, StepState.CANCELLED)
    wait_for(lambda: all(map(gone, doomed)))


def test_a_step_that_never_ends_is_killed_with_its_children_when_its_time_is_up(
    tmp_path: Path, sqlite: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = build_project(tmp_path, sqlite, clock, limits=Limits(step_timeout_s=600))
    project.write(WAITING)

    def monotonic() -> float:
        """An hour later once the step waits: however slow the machine is, it is not cut off before, nor waited for."""
        return time.monotonic() + (3_600 if (project.code / "pids.txt").exists() else 0)

    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))

    run = project.run()

    assert run.state is RunState.FAILED
    assert run.error == "step 'wait' did not end within 600 s; it and the processes it started were killed"
    assert project.log(run, "wait") == "before the end\n"
    wait_for(lambda: all(map(gone, pids(project))))


def test_a_pipeline_that_never_ends_its_plan_is_killed(tmp_path: Path, sqlite: Database, clock: ManualClock) -> None:
    project = build_project(tmp_path, sqlite, clock, limits=Limits(plan_timeout_s=1))
    project.write("@pipeline\ndef main():\n    while True: pass\n")

    assert project.run().error == "the plan did not end within 1 s; it and the processes it started were killed"


def test_a_step_that_prints_a_lot_keeps_the_first_and_the_last_of_it(project: Project) -> None:
    project.write(
        """
        import sys

        @step
        def talk() -> int:
            print("the first line")
            for _ in range(200):
                sys.stdout.write("x" * 99_999 + chr(10))
            print("the last line", file=sys.stderr)
            return 1

        @pipeline
        def main():
            return talk()
        """
    )

    run = project.run()
    log = project.log(run, "talk")

    assert run.state is RunState.SUCCEEDED
    assert log.startswith("the first line\n")
    assert log.endswith("the last line\n")
    assert f"[... {200 * 100_000 + 29 - LOG_BYTES} bytes of output left out ...]" in log
    assert len(log) < LOG_BYTES + 100


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("os._exit(0)", "step 'end' ended with exit code 0 and without a result"),
        ("os._exit(3)", "step 'end' ended with exit code 3 and without a result"),
        ("sys.exit('enough')", "step 'end' raised SystemExit: enough (shop.py, line 6)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "step 'end' was killed by signal 11 (SIGSEGV)"),
        # Who starts the suite in the background lets every child ignore this signal.
        (
            "signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGINT)",
            "step 'end' was killed by signal 2 (SIGINT)",
        ),
        ("raise MemoryError", "step 'end' raised MemoryError:  (shop.py, line 6)"),
    ],
)
def test_a_step_that_ends_without_a_result_fails_with_how_it_ended(project: Project, ending: str, reason: str) -> None:
    source = f"import os, signal, sys\n\n@step\ndef end():\n    {ending}\n\n@pipeline\ndef main():\n    end()\n"
    project.write(source)

    assert project.run().error == reason


def test_a_step_that_closes_its_output_is_still_followed(project: Project) -> None:
    project.write(
        "import os, time\n\n@step\ndef mute() -> int:\n    os.close(1); os.close(2); time.sleep(0.3); return 5\n\n"
        "@pipeline\ndef main():\n    return mute()\n"
    )

    assert project.run().result == 5


def test_a_daemon_that_left_the_process_group_does_not_hold_up_the_run(project: Project) -> None:
    project.write(
        """
        import subprocess, sys

        @step
        def start() -> int:
            code = "import time; time.sleep(600)"
            return subprocess.Popen([sys.executable, "-c", code], start_new_session=True).pid

        @pipeline
        def main():
            return start()
        """
    )
    begin = time.monotonic()

    run = project.run()

    assert isinstance(run.result, int)
    os.kill(run.result, signal.SIGKILL)
    assert time.monotonic() - begin < 200


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("no_such_module:main", "the plan: there is no module 'no_such_module'; it must be installed, or lie in "),
        ("shop:absent", "the plan: module 'shop' has no 'absent'"),
        ("broken:main", "the plan raised ZeroDivisionError: division by zero (broken.py, line 2)"),
        ("wrong:main", "the plan raised SyntaxError: "),
    ],
)
def test_a_module_that_cannot_be_imported_fails_the_run_with_the_reason(
    project: Project, pipeline: str, reason: str
) -> None:
    project.write("1 / 0\n", module="broken")
    project.write("def :\n", module="wrong")

    run = project.run(pipeline)

    assert (run.state, run.steps) == (RunState.FAILED, ())
    assert run.error is not None
    assert run.error.startswith(reason)
    assert "Traceback" in project.log(run)


def test_a_run_whose_end_cannot_be_written_fails_with_that_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.code / "go").touch()
    record = project.events.record

    def full_at_the_end(kind: EventKind, **rest: Any) -> Event:
        if kind is PipelineEvent.SUCCEEDED:
            raise StoreFull("the disk is full")
        return record(kind, **rest)

    monkeypatch.setattr(project.events, "record", full_at_the_end)

    run = project.run()

    assert (run.state, run.error) == (RunState.FAILED, "the disk is full")
    assert project.pipelines.get(run.id) == run


def test_a_full_disk_fails_the_run_with_the_reason_and_keeps_what_was_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.code / "go").touch()
    put, calls = project.artifacts.blobs.put, []

    def full_on_the_second(chunks: Iterable[bytes]) -> Blob:
        calls.append(1)
        if len(calls) == 2:
            raise StoreFull("the disk is full")
        return put(chunks)

    monkeypatch.setattr(project.artifacts.blobs, "put", full_on_the_second)

    run = project.run()

    assert (run.state, run.error) == (RunState.FAILED, "the disk is full")
    assert project.again(run).state is RunState.SUCCEEDED
    assert ran(project) == ["first", "second", "second", "wait"]
