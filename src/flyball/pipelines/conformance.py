"""The promises of the pipeline store, as tests that every implementation passes.

Derive a class whose name starts with `Test`, and give it a fixture `store` that returns an empty store.
"""

from __future__ import annotations

import dataclasses
import threading

import pytest

from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import AlreadyExists, Conflict
from flyball.kernel.ids import new_id
from flyball.pipelines.entities import CachedOutput, PipelineRun, RunState, StepRun, StepState, Value, ValueKind
from flyball.pipelines.ports import PipelineStore

KEY = digest_bytes(b"key")
OTHER_KEY = digest_bytes(b"another key")


def make_run(*, pipeline: str = "shop:main", state: RunState = RunState.QUEUED) -> PipelineRun:
    """Make a run that is in no store yet."""
    return PipelineRun(
        id=new_id(),
        pipeline=pipeline,
        parameters={"rows": 3, "share": 0.5, "names": ["a", None]},
        state=state,
        actor="user:owner",
        created_ms=1_700_000_000_000,
    )


def make_step(position: int) -> StepRun:
    """Make a step that waits."""
    return StepRun(position=position, name=f"step{position}", step="shop:work")


def make_output(text: bytes) -> CachedOutput:
    """Make an output as the cache keeps it."""
    value = Value(kind=ValueKind.BYTES, digest=digest_bytes(text), size_bytes=len(text))
    return CachedOutput(value=value, run_id=new_id())


class PipelineStoreConformance:
    """What every store of pipeline runs promises."""

    def test_a_run_is_found_as_it_was_added(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        assert store.find(run.id) == run

    def test_an_unknown_run_is_not_found(self, store: PipelineStore) -> None:
        assert store.find(new_id()) is None

    def test_an_id_is_given_once(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        with pytest.raises(AlreadyExists):
            store.add(run)

    def test_a_change_keeps_every_field(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        changed = dataclasses.replace(
            run,
            state=RunState.SUCCEEDED,
            started_ms=1,
            ended_ms=2,
            attempt=3,
            result={"large": 1e17, "small": 0.1, "rows": [1, 2.5]},
            error="nothing",
            log_digest=KEY,
        )
        store.change(changed, expected=RunState.QUEUED)
        assert store.find(run.id) == changed

    def test_a_change_from_another_state_is_refused_and_writes_nothing(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        with pytest.raises(Conflict):
            store.change(dataclasses.replace(run, state=RunState.SUCCEEDED), expected=RunState.RUNNING)
        assert store.find(run.id) == run

    def test_of_two_that_change_one_state_at_once_one_wins(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        won: list[int] = []
        start = threading.Barrier(2)

        def take(attempt: int) -> None:
            start.wait()
            try:
                store.change(
                    dataclasses.replace(run, state=RunState.RUNNING, attempt=attempt), expected=RunState.QUEUED
                )
            except Conflict:
                return
            won.append(attempt)

        threads = [threading.Thread(target=take, args=(attempt,)) for attempt in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [won] == [[found.attempt] for found in [store.find(run.id)] if found is not None]

    def test_steps_are_replaced_as_a_whole_and_come_in_order(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        store.set_steps(run.id, (make_step(0), make_step(1), make_step(2)))
        store.set_steps(run.id, (make_step(1), make_step(0)))
        found = store.find(run.id)
        assert found is not None
        assert found.steps == (make_step(0), make_step(1))

    def test_one_step_is_written_and_the_others_stay(self, store: PipelineStore) -> None:
        run = make_run()
        store.add(run)
        store.set_steps(run.id, (make_step(0), make_step(1)))
        done = dataclasses.replace(
            make_step(1),
            state=StepState.SUCCEEDED,
            key=KEY,
            cached=True,
            cached_from=run.id,
            started_ms=4,
            ended_ms=5,
            output=make_output(b"x").value,
            log_digest=OTHER_KEY,
            error="none",
        )
        store.set_step(run.id, done)
        found = store.find(run.id)
        assert found is not None
        assert found.steps == (make_step(0), done)

    def test_the_list_is_newest_first_and_narrowed_by_state_and_pipeline(self, store: PipelineStore) -> None:
        runs = [make_run(), make_run(state=RunState.LOST), make_run(pipeline="shop:other")]
        for run in runs:
            store.add(run)
        assert store.list() == runs[::-1]
        assert store.list(limit=1) == runs[2:]
        assert store.list(state=RunState.LOST) == runs[1:2]
        assert store.list(state=RunState.QUEUED, pipeline="shop:other") == runs[2:]

    def test_an_output_is_found_in_its_scope_only(self, store: PipelineStore) -> None:
        output = make_output(b"x")
        store.keep_output(KEY, output, scope="run/0")
        assert store.find_output(KEY, scope="run/0") == output
        assert store.find_output(KEY, scope="") is None
        assert store.find_output(OTHER_KEY, scope="run/0") is None

    def test_a_later_output_takes_the_place_of_an_earlier_one(self, store: PipelineStore) -> None:
        later = make_output(b"later")
        store.keep_output(Digest(KEY), make_output(b"earlier"), scope="")
        store.keep_output(Digest(KEY), later, scope="")
        assert store.find_output(KEY, scope="") == later
