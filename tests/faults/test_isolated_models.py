"""Whatever a model does to its process costs that model only: it is started again, and who was in it is told at once."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.faults.isolated import EAGER, PATIENCE_S, Toys, await_, is_gone, make_environment, rows
from tests.faults.toy.toy_flavour import (
    ALLOCATE,
    CRASH,
    FAIL,
    HANG,
    KEEP,
    REFUSE,
    SLOW,
    SPAWN,
    STRANGE,
    WRONG_ROWS,
)

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import (
    Corrupted,
    FlyballError,
    InvalidInput,
    LimitExceeded,
    Unavailable,
    Unsupported,
)
from flyball.serving import flavours
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import ColumnKind, ColumnSpec, Matrix, Signature
from flyball.serving.isolation import bootstrap
from flyball.serving.isolation.channel import Channel, ChannelBroken
from flyball.serving.isolation.output import LINES_AT_ONCE, LONGEST_LINE, PrintedLines
from flyball.serving.isolation.runtime import RemoteRuntime
from flyball.serving.isolation.supervisor import RestartPolicy
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

PARENT = Path(__file__).with_name("isolated_parent.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("toy") / "environment")


@pytest.fixture
def toys(python: Path, tmp_path: Path) -> Toys:
    return Toys(python=python, folder=tmp_path)


@pytest.fixture
def toy(toys: Toys) -> Iterator[RemoteRuntime]:
    runtime = toys.runtime()
    yield runtime
    runtime.close()


class Ignoring:
    def offer(self, *batches: PredictionBatch) -> bool:
        return True


def answers(runtime: RemoteRuntime) -> bool:
    try:
        return bool(runtime.predict(rows(1.5)).labels[0] == 3.0)
    except Unavailable:
        return False


def test_a_model_answers_from_an_environment_with_nothing_but_numpy(toy: RemoteRuntime) -> None:
    texts = np.array(["a", None, ""], dtype=object)
    tensor = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    when = np.array([0, 1, 2], dtype="datetime64[ns]")
    blobs = np.array([b"\x00", b"", b"x"], dtype=object)
    given = {"x": np.array([1.0, 2.0, 3.0]), "t": texts, "n": tensor, "w": when, "b": blobs, "y": np.zeros(3)}
    found = toy.predict(given)
    assert (found.labels.tolist(), found.scores.tolist() if found.scores is not None else None) == (
        [2.0, 4.0, 6.0],
        [0.1, 0.2, 0.3],
    )
    assert (found.probabilities, found.classes) == (None, None)
    for name in ("t", "n", "w", "b", "y"):
        assert found.outputs[name].dtype == given[name].dtype
        assert found.outputs[name].tolist() == given[name].tolist()
    matrix = Matrix(("x", "z"), np.array([[1.0, 5.0], [2.0, 6.0]]))
    assert toy.predict(matrix).outputs["z"].tolist() == [5.0, 6.0]
    assert toy.resident_bytes > 1_000_000
    assert "the toy's" in toy.place
    assert f"numpy {np.__version__}" in toy.place


def test_every_flavour_of_ours_can_be_imported_where_there_is_nothing_but_numpy(python: Path) -> None:
    modules = sorted(f"{flavours.__name__}.{path.stem}" for path in Path(flavours.__path__[0]).glob("[a-z]*.py"))
    named = [name for name in modules if not name.endswith(".conformance")]
    assert len(named) > 8
    program = (
        f"import importlib, runpy, pathlib; started = runpy.run_path({bootstrap.__file__!r}); "
        f"started['provide_package'](pathlib.Path({bootstrap.__file__!r}).parents[2]); "
        f"[importlib.import_module(name) for name in {named!r}]"
    )
    answer = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_what_the_model_refuses_is_refused_here_and_it_goes_on(toy: RemoteRuntime) -> None:
    pid = toy.pid
    with pytest.raises(InvalidInput, match="refuses these rows") as refused:
        toy.predict(rows(1, do=REFUSE))
    assert refused.value.field == "x"
    with pytest.raises(FlyballError, match="RuntimeError") as failed:
        toy.predict(rows(1, do=FAIL))
    assert "inner text" not in failed.value.message
    with pytest.raises(Unsupported, match="complex128"):
        toy.predict(rows(1, do=STRANGE))
    with pytest.raises(Unsupported, match="complex128"):
        toy.predict({"x": np.zeros(1, dtype=complex)})
    with pytest.raises(Corrupted, match="for 1 rows"):
        toy.predict(rows(1, do=WRONG_ROWS))
    assert (answers(toy), toy.pid, toy.fault) == (True, pid, "")


def test_threads_get_their_own_answers(toy: RemoteRuntime) -> None:
    def ask(number: int) -> bool:
        return bool(toy.predict(rows(number)).labels[0] == 2.0 * number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_a_kill_under_load_costs_the_requests_in_it_and_no_other_model(toys: Toys, toy: RemoteRuntime) -> None:
    other, stop = toys.runtime("other"), threading.Event()
    told: list[Unavailable] = []
    askers = [toy] * 4 + [other] * 2
    counts = [0] * len(askers)

    def ask(number: int) -> None:
        runtime = askers[number]
        while not stop.is_set():
            try:
                assert runtime.predict(rows(3)).labels.tolist() == [6.0]
                counts[number] += 1
            except Unavailable as error:
                assert runtime is toy, "the other model is not concerned"
                told.append(error)
                stop.wait(0.01)

    with ThreadPoolExecutor(len(askers)) as pool:
        asking = [pool.submit(ask, number) for number in range(len(askers))]
        try:
            for _ in range(3):
                pid = toy.pid
                os.kill(pid, signal.SIGKILL)
                await_(lambda: is_gone(pid) and answers(toy))  # noqa: B023 -- called before the next turn
            await_(lambda: all(counts))
        finally:
            stop.set()
        for future in asking:
            future.result(PATIENCE_S)
    assert told
    assert all(error.retryable for error in told)
    other.close()


def test_a_request_in_a_process_that_is_killed_is_told_at_once(toys: Toys, toy: RemoteRuntime) -> None:
    with ThreadPoolExecutor(3) as pool:
        waiting: list[Future[object]] = [pool.submit(toy.predict, rows(1, do=HANG)) for _ in range(3)]
        await_((toys.folder / "toy" / "begun").exists)
        os.kill(toy.pid, signal.SIGKILL)
        for future in waiting:
            with pytest.raises(Unavailable, match="repeat the call"):
                future.result(PATIENCE_S)
    await_(lambda: answers(toy))


def test_a_row_that_crashes_the_process_is_survived(toy: RemoteRuntime) -> None:
    with capture_logs() as logs:
        with pytest.raises(Unavailable, match="started again"):
            toy.predict(rows(1, do=CRASH))
        await_(lambda: answers(toy))
    crashed = [entry for entry in logs if entry["event"] == "model_crashed"]
    assert [entry["how"] for entry in crashed] == ["killed by SIGSEGV"]


def test_a_model_that_will_not_stay_is_given_up_with_the_reason(toys: Toys) -> None:
    toy = toys.runtime(policy=RestartPolicy(first_s=0.01, longest_s=0.01, most=2, window_s=600))
    plane = DataPlane("toy", "toy", capture=Ignoring(), clock=ManualClock())
    model = ServedModel(toy, Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),)), isolated=toy)
    choice = Choice(answer=Pick(version=1, role="champion"))
    versions = {1: LoadedVersion(version=1, digest="1" * 64, model=model)}
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: choice, versions=versions))
    before = plane.ready
    for _ in range(3):
        await_(lambda: answers(toy))
        with pytest.raises(Unavailable):
            toy.predict(rows(1, do=CRASH))
    await_(lambda: "not started any more" in toy.fault)
    assert "crashed 3 times" in toy.fault
    assert (before, plane.ready, toy.resident_bytes) == (True, False, 0)
    with pytest.raises(Unavailable, match="SIGSEGV"):
        toy.predict(rows(1))
    toy.close()


def test_a_model_that_cannot_be_started_again_is_given_up_too(toys: Toys) -> None:
    toy = toys.runtime(policy=RestartPolicy(first_s=0.01, longest_s=0.01, most=2, window_s=600))
    (toys.folder / "toy" / "start").write_text("refuse")
    os.kill(toy.pid, signal.SIGKILL)
    await_(lambda: "not started any more" in toy.fault)
    assert "not for loading" in toy.fault
    toy.close()


def test_a_prediction_without_an_end_is_ended(toys: Toys) -> None:
    toy = toys.runtime(predict_s=2.0)
    pid = toy.pid
    with pytest.raises(Unavailable, match="did not answer in time"):
        toy.predict(rows(1, do=HANG))
    await_(lambda: answers(toy))
    assert is_gone(pid)
    toy.close()


def test_a_model_that_wants_too_much_memory_is_refused_and_goes_on(toy: RemoteRuntime) -> None:
    pid = toy.pid
    with pytest.raises(LimitExceeded, match="FLYBALL_ISOLATION_MEMORY_BYTES"):
        toy.predict(rows(1, do=ALLOCATE))
    assert (answers(toy), toy.pid) == (True, pid)


def limited(toys: Toys, limit_bytes: int) -> RemoteRuntime:
    """Start a toy with little memory; numpy's threads would reserve some of it for each core of the machine."""
    load = {**toys.recipe().load, "memory_bytes": limit_bytes}
    return toys.runtime(load=load, environ=dict(os.environ) | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})


def test_a_model_that_keeps_ever_more_is_started_again_when_there_is_no_room_left(toys: Toys) -> None:
    toy = limited(toys, 512 << 20)
    pid = toy.pid

    def keep_more() -> None:
        for _ in range(9):
            toy.predict(rows(1, do=KEEP))

    with capture_logs() as logs:
        with pytest.raises(LimitExceeded, match="FLYBALL_ISOLATION_MEMORY_BYTES"):
            keep_more()
        await_(lambda: is_gone(pid))
        await_(lambda: answers(toy))
    assert [entry["how"] for entry in logs if entry["event"] == "model_crashed"] == [
        "what it kept left no room to answer in under FLYBALL_ISOLATION_MEMORY_BYTES"
    ]
    toy.close()


def test_a_model_whose_children_take_more_than_it_may_is_ended_with_them_and_started_again(toys: Toys) -> None:
    toy = limited(toys, 256 << 20)
    pid = toy.pid
    with ThreadPoolExecutor(2) as pool, capture_logs() as logs:
        waiting = [pool.submit(toy.predict, rows(1, do=SPAWN)) for _ in range(2)]
        await_((toys.folder / "toy" / "begun").exists)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for future in waiting:
            with pytest.raises(Unavailable):
                future.result(PATIENCE_S)
        await_(lambda: is_gone(pid) and all(is_gone(int(child)) for child in children))
        await_(lambda: answers(toy))
    assert len(children) == 2
    (crash,) = [entry["how"] for entry in logs if entry["event"] == "model_crashed"]
    assert crash.endswith(f"FLYBALL_ISOLATION_MEMORY_BYTES gives it {256 << 20}")
    toy.close()


def test_the_process_ends_with_ours_however_that_ends(toys: Toys) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(PARENT), str(toys.python), str(toys.folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(next(line for line in parent.stdout if line.strip().isdigit()))
    assert not is_gone(pid)
    parent.kill()
    parent.communicate()
    await_(lambda: is_gone(pid))


def test_what_a_model_started_ends_with_it(toys: Toys) -> None:
    toy = toys.runtime(start="fork")
    children = Path(f"/proc/{toy.pid}/task/{toy.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(toy.pid, signal.SIGKILL)
    await_(lambda: is_gone(int(children[0])))
    toy.close()


def test_no_credential_reaches_the_process(toys: Toys) -> None:
    secret = {"FLYBALL_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s", "UV_INDEX_PRIVATE_PASSWORD": "p", "PGPASSWORD": "p"}
    toy = toys.runtime(environ={"PATH": "/bin", "OMP_NUM_THREADS": "1"} | secret)
    there = set(toy.predict(rows(1)).outputs["environ"][0].split(","))
    assert {"PATH", "OMP_NUM_THREADS"} <= there
    assert there <= {"PATH", "OMP_NUM_THREADS", "LC_CTYPE"}
    toy.close()


def test_unloading_answers_what_was_asked_and_then_ends(toys: Toys, toy: RemoteRuntime) -> None:
    pid, folder = toy.pid, toys.folder / "toy"
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(toy.predict, rows(4, do=SLOW))
        await_((folder / "begun").exists)
        closing = pool.submit(toy.close, drain_s=PATIENCE_S)
        await_(lambda: "unloaded" in toy.fault)
        with pytest.raises(Unavailable, match="unloaded"):
            toy.predict(rows(1))
        (folder / "go").touch()
        assert slow.result(PATIENCE_S).labels.tolist() == [8.0]
        closing.result(PATIENCE_S)
    assert is_gone(pid)


def test_unloading_does_not_wait_for_a_model_that_hangs(toys: Toys, toy: RemoteRuntime) -> None:
    pid = toy.pid
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(toy.predict, rows(4, do=HANG))
        await_((toys.folder / "toy" / "begun").exists)
        toy.close(drain_s=0.1)
        with pytest.raises(Unavailable):
            hanging.result(PATIENCE_S)
    await_(lambda: is_gone(pid))


def test_a_model_that_nobody_holds_any_more_ends_and_lets_go_of_its_environment(toys: Toys) -> None:
    released = threading.Event()
    toy = RemoteRuntime(toys.recipe(), environment="the toy's", policy=EAGER, at_end=released.set)
    pid = toy.pid
    del toy
    gc.collect()
    await_(lambda: is_gone(pid) and released.is_set())


@pytest.mark.parametrize(
    ("start", "error", "said"),
    [
        ("crash", InvalidInput, "crashed its process while it was loaded .exit status 7"),
        ("refuse", InvalidInput, "not for loading"),
        ("fail", FlyballError, "failed with a RuntimeError"),
        ("hang", Unavailable, "not loaded within 1 s"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(toys: Toys, start: str, error: type[Exception], said: str) -> None:
    released = threading.Event()
    recipe = toys.recipe(start=start, start_s=1.0 if start == "hang" else PATIENCE_S)
    with pytest.raises(error, match=said):
        RemoteRuntime(recipe, environment="the toy's", policy=EAGER, at_end=released.set)
    assert released.wait(PATIENCE_S)


def test_an_environment_without_its_interpreter_names_the_remedy(toys: Toys, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="flyball environment remove"):
        toys.runtime(python=tmp_path / "absent")


def test_a_flavour_that_is_not_in_the_environment_is_named(toys: Toys) -> None:
    load = {**toys.recipe().load, "flavour": "other", "loader": "other_package:Flavour"}
    with pytest.raises(Unsupported, match="'other' is loaded by other_package:Flavour"):
        toys.runtime(load=load)


@pytest.mark.parametrize(
    "reply",
    [b"GET / HTTP/1.1\r\n\r\n", b"FBF1" + b"\xff" * 12, b"FBF1\x02\0\0\0" + bytes(8) + b"[]"],
)
def test_a_process_that_speaks_out_of_turn_is_not_listened_to_any_more(reply: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        theirs.sendall(reply)
        with pytest.raises(ChannelBroken, match="spoke out of turn"):
            channel.exchange("predict", words={}, arrays={}, timeout_s=PATIENCE_S)
        with pytest.raises(ChannelBroken, match="spoke out of turn"):
            channel.exchange("predict", words={}, arrays={}, timeout_s=PATIENCE_S)
        channel.close()


def _printed(write: Callable[[int], object], *, now_s: Callable[[], float] = lambda: 0.0) -> list[str]:
    reading, writing = os.pipe()
    with capture_logs() as logs:
        lines = PrintedLines(os.fdopen(reading, "rb"), model="toy", now_s=now_s)
        write(writing)
        os.close(writing)
        lines.finish(PATIENCE_S)
    return [entry.get("line", f"{entry['event']} {entry.get('dropped_lines')}") for entry in logs]


def test_what_a_model_prints_goes_to_the_log_and_a_line_without_an_end_is_cut() -> None:
    long = b"x" * (LONGEST_LINE + 5)
    found = _printed(lambda pipe: os.write(pipe, b"hello\n\n\xff\n" + long))
    assert found == ["hello", "�", "x" * LONGEST_LINE, "x" * 5]


def test_a_model_that_prints_too_much_is_cut_and_counted() -> None:
    found = _printed(lambda pipe: os.write(pipe, b"a\n" * (LINES_AT_ONCE + 7)))
    assert found == ["a"] * LINES_AT_ONCE + ["model_says_too_much 7"]
