"""The record of one attempt at a run: every write is fenced by the holder's lease and carries its event."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from flyball.artifacts.entities import Blob
from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.kernel.events.entities import Edge
from flyball.kernel.events.service import EventLog
from flyball.kernel.leases import Lease, LeaseStore
from flyball.pipelines.entities import CachedOutput, PipelineEvent, PipelineRun, RunState, StepRun, StepState, Value
from flyball.pipelines.limits import Limits
from flyball.pipelines.ports import PipelineStore
from flyball.pipelines.values import SUFFIXES

EXECUTOR = "service:pipelines"
"""Who acts in the events of an attempt; who asked for the run stands in the event of its submission."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where a run is written down."""

    store: PipelineStore
    artifacts: Artifacts
    leases: LeaseStore
    events: EventLog
    clock: Clock
    database: Database


class NotRunning(Conflict):
    """The run was cancelled, or swept, while its holder worked on it."""


class Attempt:
    """A run while its holder works on it. One thread uses it."""

    def __init__(self, books: Books, limits: Limits, *, run: PipelineRun, lease: Lease) -> None:
        self._books = books
        self._limits = limits
        self._lease = lease
        self._renewed_ms = books.clock.now_ms()
        self.run = run

    def beat(self) -> None:
        """Renew the lease when it is time to; call this often while something long goes on.

        Raises:
            LeaseLost: somebody else may act on the run now.
            NotRunning: the run was cancelled.
        """
        now_ms = self._books.clock.now_ms()
        if now_ms - self._renewed_ms < self._limits.renew_after_ms:
            return
        self._lease = self._books.leases.renew(self._lease, ttl_ms=self._limits.lease_ttl_ms)
        self._renewed_ms = now_ms
        current = self._books.store.find(self.run.id)
        if current is None or current.state is not RunState.RUNNING:
            raise NotRunning(f"pipeline run '{self.run.id}' is not running any more", field="state")

    def start(self) -> None:
        """Take the queued run."""
        now_ms = self._books.clock.now_ms()
        attempt = self.run.attempt + 1
        with self._writing():
            self._move(RunState.RUNNING, attempt=attempt, started_ms=now_ms, ended_ms=None, error=None, log_digest=None)
            payload: dict[str, JsonValue] = {
                "attempt": attempt,
                "holder": self._lease.holder,
                "lease_token": self._lease.token,
            }
            self._record(PipelineEvent.STARTED, payload)

    def planned(self, steps: tuple[StepRun, ...], log: Blob | None) -> None:
        """Write down the steps to come, and what the plan printed."""
        with self._writing():
            if log is not None:
                self._books.artifacts.bind(self._root, "plan/log.txt", blob=log)
            self._books.store.set_steps(self.run.id, steps)
            self._move(RunState.RUNNING, steps=steps, log_digest=log.digest if log else None)

    def step_started(self, step: StepRun) -> StepRun:
        """Write down that a step runs; progress for people to see, no event."""
        started = dataclasses.replace(step, state=StepState.RUNNING, started_ms=self._books.clock.now_ms())
        with self._writing():
            self._write_step(started)
        return started

    def step_reused(self, step: StepRun, output: CachedOutput, *, scope: str, edges: Iterable[Edge]) -> StepRun:
        """Write down that a step's output was in the cache."""
        now_ms = self._books.clock.now_ms()
        done = dataclasses.replace(
            step,
            state=StepState.SUCCEEDED,
            cached=True,
            cached_from=output.run_id,
            started_ms=now_ms,
            ended_ms=now_ms,
            output=output.value,
        )
        self._step_succeeded(done, output, scope=scope, edges=edges)
        return done

    def step_returned(
        self, step: StepRun, value: Value, log: Blob | None, *, scope: str, edges: Iterable[Edge]
    ) -> StepRun:
        """Write down what a step returned, and keep it in the cache."""
        done = self._ended(step, StepState.SUCCEEDED, log, output=value)
        self._step_succeeded(done, CachedOutput(value=value, run_id=self.run.id), scope=scope, log=log, edges=edges)
        return done

    def step_failed(self, step: StepRun, reason: str, log: Blob | None) -> None:
        """Write down why a step failed."""
        failed = self._ended(step, StepState.FAILED, log, error=reason)
        with self._writing():
            self._step_ended(failed, log, edges=())

    def succeed(self, result: JsonValue) -> PipelineRun:
        """End the run with its result."""
        cached = sum(step.cached for step in self.run.steps)
        with self._writing():
            self._move(RunState.SUCCEEDED, ended_ms=self._books.clock.now_ms(), result=result)
            payload: dict[str, JsonValue] = {
                "result_digest": digest_json(result),
                "steps": len(self.run.steps),
                "cached": cached,
            }
            self._record(PipelineEvent.SUCCEEDED, payload)
        return self.run

    def fail(self, reason: str) -> PipelineRun:
        """End the run with the reason of its failure."""
        with self._writing():
            for step in self.run.steps:
                if step.state is StepState.RUNNING:  # its process was not to blame: an input, or the store, failed
                    self._step_ended(self._ended(step, StepState.FAILED, None, error=reason), None, edges=())
            self._move(RunState.FAILED, ended_ms=self._books.clock.now_ms(), error=reason)
            self._record(PipelineEvent.FAILED, {"reason": reason})
        return self.run

    @property
    def _root(self) -> str:
        return f"pipeline-run/{self.run.id}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        before = self.run
        try:
            with self._books.database.transaction():
                self._books.leases.fence(self._lease)
                yield
        except BaseException:
            self.run = before  # as it is in the store
            raise

    def _move(self, state: RunState, **changes: object) -> None:
        """Write the run, on the condition that nobody changed its state; also where it stays the same."""
        moved = dataclasses.replace(self.run, state=state, **changes)  # type: ignore[arg-type]
        try:
            self._books.store.change(moved, expected=self.run.state)
        except Conflict as error:
            raise NotRunning(error.message, field=error.field) from error
        self.run = moved

    def _record(self, kind: PipelineEvent, payload: Mapping[str, JsonValue], edges: Iterable[Edge] = ()) -> None:
        self._books.events.record(kind, actor=EXECUTOR, subject=self.run.ref, payload=payload, edges=edges)

    def _ended(self, step: StepRun, state: StepState, log: Blob | None, **changes: object) -> StepRun:
        return dataclasses.replace(
            step,
            state=state,
            ended_ms=self._books.clock.now_ms(),
            log_digest=log.digest if log else None,
            **changes,  # type: ignore[arg-type]
        )

    def _step_succeeded(
        self, done: StepRun, output: CachedOutput, *, scope: str, edges: Iterable[Edge], log: Blob | None = None
    ) -> None:
        assert done.key is not None, "a step has a key before it runs"
        with self._writing():
            self._books.store.keep_output(done.key, output, scope=scope)
            blob = Blob(digest=output.value.digest, size_bytes=output.value.size_bytes)
            path = f"{_folder(done)}/output{SUFFIXES[output.value.kind]}"
            self._books.artifacts.bind(self._root, path, blob=blob)
            self._step_ended(done, log, edges=edges)

    def _step_ended(self, step: StepRun, log: Blob | None, *, edges: Iterable[Edge]) -> None:
        if log is not None:
            self._books.artifacts.bind(self._root, f"{_folder(step)}/log.txt", blob=log)
        self._write_step(step)
        self._record(PipelineEvent.STEP_FINISHED, _step_payload(step), edges)

    def _write_step(self, step: StepRun) -> None:
        steps = tuple(step if known.position == step.position else known for known in self.run.steps)
        self._move(RunState.RUNNING, steps=steps)
        self._books.store.set_step(self.run.id, step)


def _folder(step: StepRun) -> str:
    return f"{step.position:02d}-{step.name}"


def _step_payload(step: StepRun) -> dict[str, JsonValue]:
    return {
        "position": step.position,
        "step": step.step,
        "state": step.state.value,
        "key": step.key,
        "cached_from": step.cached_from,
        "output": step.output.to_json() if step.output else None,
        "log_digest": step.log_digest,
        "error": step.error,
    }
