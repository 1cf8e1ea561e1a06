"""Batches: each job is answered once, in order, with what queued while the last batch ran; bounded, and dropped when unwanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from flyball.kernel.errors import DeadlineExceeded, Overloaded
from flyball.serving.batching import SIZE_CLASSES, Batcher, BatchLimits, Job

WAIT_S = 60


class Bench:
    """A queue whose work can be held up, and the jobs that went through it."""

    def __init__(self, limits: BatchLimits | None = None, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.settled: list[list[int]] = []
        self.go = threading.Event()
        self.began = threading.Event()
        self.all_done = threading.Semaphore(0)
        if not held:
            self.go.set()
        self.batcher: Batcher[int, int] = Batcher("test", self.work, limits=limits or BatchLimits())

    @property
    def batched(self) -> list[int]:
        return [number for batch in self.batches for number in batch]

    @property
    def handed_over(self) -> list[int]:
        return [number for settled in self.settled for number in settled]

    def work(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        self.began.set()
        assert self.go.wait(WAIT_S)
        return [ValueError(f"{number}") if number < 0 else number * 10 for number in asked]

    def settle(self, jobs: Sequence[Job[int, int]]) -> None:
        self.settled.append([job.asked for job in jobs])
        for _ in jobs:
            self.all_done.release()

    def ask(self, number: int, *, rows: int = 1, size_bytes: int = 1, until: float = float("inf")) -> Job[int, int]:
        job = Job(number, queue=self.batcher, rows=rows, size_bytes=size_bytes, settle=self.settle, until=until)
        self.batcher.add(job)
        job.wake()
        return job

    def hold_with(self, number: int) -> Job[int, int]:
        """Ask for something whose work does not end before `go`."""
        job = self.ask(number)
        assert self.began.wait(WAIT_S)
        return job

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.all_done.acquire(timeout=WAIT_S)


def test_an_idle_queue_answers_at_once_and_alone() -> None:
    bench = Bench()
    first = bench.ask(1)
    bench.wait(1)
    second = bench.ask(2)
    bench.wait(1)
    assert bench.batches == [[1], [2]]
    assert (first.outcome, second.outcome) == (10, 20)


def test_what_queued_while_the_last_batch_ran_is_the_next_batch() -> None:
    bench = Bench(held=True)
    jobs = [bench.hold_with(0), *(bench.ask(number) for number in range(1, 6))]
    bench.go.set()
    bench.wait(6)
    assert bench.batches == [[0], [1, 2, 3, 4, 5]]
    assert [job.outcome for job in jobs] == [0, 10, 20, 30, 40, 50]


def test_what_comes_in_together_is_answered_together() -> None:
    bench = Bench()
    jobs = [Job(number, queue=bench.batcher, rows=1, size_bytes=1, settle=bench.settle) for number in range(4)]
    for job in jobs:
        bench.batcher.add(job)
    assert bench.batches == []
    bench.batcher.wake()
    bench.wait(4)
    assert bench.batches == [[0, 1, 2, 3]]


def test_outcomes_of_a_batch_are_handed_over_once() -> None:
    bench = Bench(held=True)
    bench.hold_with(0)
    for number in (1, -2, 3):
        bench.ask(number)
    bench.go.set()
    bench.wait(4)
    assert bench.settled == [[0], [1, -2, 3]]


@pytest.mark.parametrize("limits", [BatchLimits(batch_rows=5), BatchLimits(batch_bytes=50)])
def test_a_batch_holds_no_more_than_its_limits_but_at_least_one_job(limits: BatchLimits) -> None:
    bench = Bench(limits, held=True)
    bench.hold_with(0)
    for number, rows in enumerate([2, 3, 1, 9, 1, 4, 1], start=1):
        bench.ask(number, rows=rows, size_bytes=10 * rows)
    bench.go.set()
    bench.wait(8)
    assert bench.batches == [[0], [1, 2], [3], [4], [5, 6], [7]]


def test_too_many_waiting_requests_are_refused_with_a_time_to_come_again() -> None:
    bench = Bench(BatchLimits(waiting_requests=3), held=True)
    bench.hold_with(0)
    for number in range(3):
        bench.ask(number)
    with pytest.raises(Overloaded) as caught:
        bench.ask(9)
    assert caught.value.retry_after_s >= 1
    bench.go.set()
    bench.wait(4)
    assert 9 not in bench.batched


def test_too_many_waiting_bytes_are_refused_but_never_a_request_that_waits_alone() -> None:
    bench = Bench(BatchLimits(waiting_bytes=100), held=True)
    bench.hold_with(0)
    bench.ask(1, size_bytes=1_000)
    with pytest.raises(Overloaded):
        bench.ask(2, size_bytes=1)
    bench.go.set()
    bench.wait(2)
    bench.ask(3)
    bench.wait(1)


def test_the_time_to_come_again_grows_with_what_waits_and_how_long_it_takes() -> None:
    bench = Bench(BatchLimits(waiting_requests=40), held=True)
    bench.hold_with(0)
    bench.batcher._pace_s = 0.1
    for number in range(40):
        bench.ask(number)
    with pytest.raises(Overloaded) as caught:
        bench.ask(9)
    assert caught.value.retry_after_s == 4
    bench.go.set()
    bench.wait(41)


def test_a_job_that_was_dropped_is_neither_run_nor_settled() -> None:
    bench = Bench(held=True)
    running = bench.hold_with(0)
    dropped, kept = bench.ask(1), bench.ask(2)
    assert dropped.drop()
    assert not dropped.drop()
    assert not running.drop()
    bench.go.set()
    bench.wait(2)
    assert bench.batches == [[0], [2]]
    assert (dropped.outcome, kept.outcome) == (None, 20)


def test_dropped_jobs_give_their_room_back() -> None:
    bench = Bench(BatchLimits(waiting_requests=2, waiting_bytes=20), held=True)
    bench.hold_with(0)
    for number in range(100):
        assert bench.ask(number, size_bytes=20).drop()
    assert bench.batcher.waiting_count == 0
    bench.go.set()
    bench.wait(1)


def test_a_job_whose_time_is_over_is_not_run() -> None:
    bench = Bench(held=True)
    bench.hold_with(0)
    late, early = bench.ask(1, until=time.monotonic()), bench.ask(2)
    bench.go.set()
    bench.wait(3)
    assert bench.batches == [[0], [2]]
    assert isinstance(late.outcome, DeadlineExceeded)
    assert early.outcome == 20


def test_work_that_breaks_as_a_whole_is_told_to_everybody_and_the_queue_goes_on() -> None:
    bench = Bench()

    def broken(_asked: Sequence[int]) -> list[int | Exception]:
        raise RuntimeError("broken")

    bench.batcher._work = broken
    failed = bench.ask(1)
    bench.wait(1)
    assert isinstance(failed.outcome, RuntimeError)
    bench.batcher._work = bench.work
    bench.ask(2)
    bench.wait(1)


def test_a_place_that_cannot_be_told_does_not_end_the_queue() -> None:
    bench = Bench()

    def gone(_jobs: Sequence[Job[int, int]]) -> None:
        raise RuntimeError("the event loop is closed")

    job = Job(1, queue=bench.batcher, rows=1, size_bytes=1, settle=gone)
    bench.batcher.add(job)
    job.wake()
    bench.ask(2)
    bench.wait(1)


def test_a_retired_queue_answers_what_it_holds_and_ends() -> None:
    bench = Bench(held=True)
    bench.hold_with(0)
    jobs = [bench.ask(number) for number in (1, 2)]
    bench.batcher.retire()
    bench.go.set()
    bench.wait(3)
    bench.batcher.join(WAIT_S)
    assert [job.outcome for job in jobs] == [10, 20]
    assert bench.batcher._thread is None


def test_a_job_that_comes_to_a_retired_queue_is_answered_all_the_same() -> None:
    bench = Bench()
    bench.batcher.retire()
    job = bench.ask(1)
    bench.wait(1)
    assert job.outcome == 10


def test_many_threads_ask_and_each_job_is_answered_once() -> None:
    bench = Bench(BatchLimits(batch_rows=7, waiting_requests=10_000))
    jobs: list[Job[int, int]] = []
    lock = threading.Lock()

    def ask(start: int) -> None:
        for number in range(start, start + 200):
            job = bench.ask(number, rows=number % 3 + 1)
            with lock:
                jobs.append(job)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 1_600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.wait(1_600)
    assert all(job.outcome == job.asked * 10 for job in jobs)
    assert sorted(bench.batched) == list(range(1_600))
    assert sorted(bench.handed_over) == list(range(1_600))
    for start in range(0, 1_600, 200):  # what one thread asked is answered in its order
        mine = [number for batch in bench.batches for number in batch if start <= number < start + 200]
        assert mine == sorted(mine)


def test_batches_are_counted_by_their_rows() -> None:
    bench = Bench()
    for rows in (1, 3, 5_000):
        bench.ask(1, rows=rows)
        bench.wait(1)
    assert (bench.batcher.batch_count, bench.batcher.row_count) == (3, 5_004)
    counted = dict(zip((*SIZE_CLASSES, "more"), bench.batcher.size_counts, strict=True))
    assert {size: count for size, count in counted.items() if count} == {1: 1, 4: 1, "more": 1}
