"""Environments are made once, appear whole, and are removed only when nobody uses them."""

from __future__ import annotations

import contextlib
import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.serving.isolation.small_maker import LOCK, SmallMaker

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import InvalidInput, NotFound, StoreFull, Unavailable
from flyball.serving.isolation.environments import Environments, HeldEnvironment, digest_of
from flyball.serving.isolation.requirements import ModelLock

PROGRAM = Path(__file__).with_name("small_maker.py")
DAY_MS = 86_400_000
PATIENCE_S = 240


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "environments"


def environments(home: Path, clock: ManualClock, **maker: Path) -> Environments:
    return Environments(home, maker=SmallMaker(**maker), clock=clock)


def await_(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def another_process(home: Path, count: Path, pause: Path) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, str(PROGRAM), str(home), str(count), str(pause)]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_environment_is_made_once_and_found_again(home: Path, clock: ManualClock, tmp_path: Path) -> None:
    count = tmp_path / "count"
    kept = environments(home, clock, count=count)
    with kept.hold(LOCK) as first, kept.hold(LOCK) as second:
        assert first.folder == second.folder == home / digest_of(LOCK)
        assert first.python.exists()
    assert count.read_text() == "made\n"
    assert home.stat().st_mode & 0o777 == 0o700
    (one,) = kept.kept()
    assert (one.description.installed, one.description.made_ms, one.used_ms) == (
        ["numpy==2.2.6"],
        clock.now_ms(),
        clock.now_ms(),
    )
    assert (one.in_use, one.size_bytes > 0) == (False, True)


def test_several_at_once_make_one(home: Path, clock: ManualClock, tmp_path: Path) -> None:
    count, pause, held = tmp_path / "count", tmp_path / "go", list[HeldEnvironment]()
    kept = environments(home, clock, count=count, pause=pause)
    threads = [threading.Thread(target=lambda: held.append(kept.hold(LOCK))) for _ in range(4)]
    with another_process(home, count, pause) as other:
        for thread in threads:
            thread.start()
        await_(count.exists)
        pause.touch()
        for thread in threads:
            thread.join()
        assert other.stdout is not None
        assert other.stdout.readline().strip() == held[0].digest
    assert count.read_text() == "made\n"
    assert len({one.folder for one in held}) == 1
    for one in held:
        one.release()


def test_a_maker_that_is_killed_leaves_nothing_in_the_way(home: Path, clock: ManualClock, tmp_path: Path) -> None:
    count, pause = tmp_path / "count", tmp_path / "go"
    with another_process(home, count, pause) as other:
        await_(count.exists)
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert [path.suffix for path in home.iterdir() if path.is_dir()] == [".making"]
    assert environments(home, clock).kept() == []
    with environments(home, clock).hold(LOCK) as held:
        assert held.python.exists()
    assert [path.name for path in home.iterdir() if path.is_dir()] == [held.digest]


class Failing:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def make(self, folder: Path, lock: ModelLock, *, keep_open: int) -> list[str]:
        SmallMaker().make(folder, lock, keep_open=keep_open)
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInput("no such version"), InvalidInput),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), StoreFull),
        (OSError(errno.EACCES, "Permission denied", "/x"), Unavailable),
    ],
)
def test_a_maker_that_fails_leaves_nothing_behind(
    home: Path, clock: ManualClock, error: BaseException, said: type[Exception]
) -> None:
    with pytest.raises(said):
        Environments(home, maker=Failing(error), clock=clock).hold(LOCK)
    assert [path for path in home.iterdir() if path.is_dir()] == []
    environments(home, clock).hold(LOCK).release()


def test_what_is_used_is_not_removed(home: Path, clock: ManualClock) -> None:
    kept = environments(home, clock)
    held = kept.hold(LOCK)
    clock.advance(DAY_MS)
    assert kept.kept()[0].in_use
    assert kept.prune(unused_ms=1) == []
    with pytest.raises(Unavailable, match="in use"):
        kept.remove(held.digest)
    held.release()
    held.release()
    assert kept.prune(unused_ms=2 * DAY_MS) == []
    assert kept.prune(unused_ms=DAY_MS) == [held.digest]
    assert list(home.iterdir()) == []


def test_using_an_environment_keeps_it(home: Path, clock: ManualClock) -> None:
    kept = environments(home, clock)
    kept.hold(LOCK).release()
    clock.advance(DAY_MS)
    kept.hold(LOCK).release()
    assert kept.prune(unused_ms=DAY_MS) == []


def test_one_is_removed_by_the_beginning_of_its_digest(home: Path, clock: ManualClock) -> None:
    kept = environments(home, clock)
    kept.hold(LOCK).release()
    for nothing in ("", "zz"):
        with pytest.raises(NotFound, match="environment list"):
            kept.remove(nothing)
    kept.remove(digest_of(LOCK)[:8])
    assert kept.kept() == []
    assert environments(home / "absent", clock).kept() == []


def test_one_that_lost_its_interpreter_is_made_anew_but_not_under_a_running_model(
    home: Path, clock: ManualClock, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    kept = environments(home, clock, count=count)
    held = kept.hold(LOCK)
    held.python.unlink()
    with pytest.raises(Unavailable, match="lost its interpreter"):
        kept.hold(LOCK)
    held.release()
    with kept.hold(LOCK) as again:
        assert again.python.exists()
    assert count.read_text() == "made\nmade\n"


def test_a_lock_file_that_is_removed_while_it_is_waited_for_locks_nothing(home: Path, clock: ManualClock) -> None:
    kept = environments(home, clock)
    kept.hold(LOCK).release()
    stop, errors = threading.Event(), list[Exception]()

    def remove_again_and_again() -> None:
        while not stop.is_set():
            kept.prune(unused_ms=0)

    thread = threading.Thread(target=remove_again_and_again)
    thread.start()
    try:
        for _ in range(50):
            with kept.hold(LOCK) as held:
                assert held.python.exists(), errors
    finally:
        stop.set()
        thread.join()
