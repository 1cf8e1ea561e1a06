"""The verbs of pipelines: submit, execute, resume, cancel, look, and find what was lost."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import JsonValue, canonical_json, digest_bytes
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, InvalidInput, LeaseLost, LimitExceeded, NotFound
from flyball.kernel.events.entities import Edge
from flyball.kernel.events.service import EventLog
from flyball.kernel.ids import new_id
from flyball.kernel.leases import LeaseStore
from flyball.pipelines.entities import MOVES, PipelineEvent, PipelineRun, RunState, StepState
from flyball.pipelines.execution import Execution, scratch_prefix
from flyball.pipelines.limits import Limits
from flyball.pipelines.ports import DatasetResolver, PipelineStore, Runner
from flyball.pipelines.processes import ProcessRunner
from flyball.pipelines.record import EXECUTOR, Attempt, Books, NotRunning

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SWEEPER = "sweep"
_SWEEP_PAGE = 1_000


class Pipelines:
    """Pipeline runs. Safe to share between threads; any number of processes may execute, each run one at a time."""

    def __init__(
        self,
        store: PipelineStore,
        artifacts: Artifacts,
        leases: LeaseStore,
        events: EventLog,
        clock: Clock,
        database: Database,
        *,
        resolver: DatasetResolver | None = None,
        runner: Runner | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._books = Books(
            store=store, artifacts=artifacts, leases=leases, events=events, clock=clock, database=database
        )
        self._store = store
        self._resolver = resolver
        self._runner = runner or ProcessRunner()
        self._limits = limits or Limits()

    def submit(
        self,
        pipeline: str,
        parameters: Mapping[str, JsonValue],
        *,
        actor: str,
        edges: Iterable[Edge] = (),
        run_id: str | None = None,
    ) -> PipelineRun:
        """Queue a run. User code is not touched here: an unknown module or parameter fails the run when it is executed.

        A caller that gives the `run_id` (from `new_id()`) can name the run in its edges, and can repeat the call safely.

        Raises:
            InvalidInput: `pipeline` is not `module:function`, or a parameter is no JSON.
            LimitExceeded: the parameters are too large.
            AlreadyExists: there is a run of that id.
        """
        if not _PATH.fullmatch(pipeline):
            raise InvalidInput(f"'{pipeline}' names no pipeline; expected module:function", field="pipeline")
        content = canonical_json(parameters)
        if len(content) > self._limits.parameters_bytes:
            raise LimitExceeded(
                f"the parameters have {len(content)} bytes, at most {self._limits.parameters_bytes} are accepted; "
                "pass large data as a dataset",
                field="parameters",
            )
        run = PipelineRun(
            id=run_id or new_id(),
            pipeline=pipeline,
            parameters=dict(parameters),
            state=RunState.QUEUED,
            actor=actor,
            created_ms=self._books.clock.now_ms(),
        )
        with self._books.database.transaction():
            self._store.add(run)
            payload = {"pipeline": pipeline, "parameters_digest": digest_bytes(content)}
            self._record(PipelineEvent.SUBMITTED, run, actor=actor, payload=payload, edges=edges)
        return self.get(run.id)

    def execute(self, run_id: str, *, environment: Mapping[str, str], holder: str) -> PipelineRun:
        """Carry a queued run to its end in this thread, and return it as it ended, failure included.

        `environment` is the whole environment of the steps, but for `PIPELINE_RUN_ID` and `PIPELINE_STEP`.

        Raises:
            NotFound: there is no such run.
            Conflict: somebody else executes it, or it is not queued.
            LeaseLost: this holder was silent for too long; what it did after that was not written.
        """
        run = self.get(run_id)
        lease = self._books.leases.acquire(_lease_name(run_id), holder=holder, ttl_ms=self._limits.lease_ttl_ms)
        try:
            _check_move(run, RunState.RUNNING)
            execution = Execution(
                Attempt(self._books, self._limits, run=run, lease=lease),
                self._books,
                runner=self._runner,
                resolver=self._resolver,
                limits=self._limits,
                environment=environment,
            )
            return execution.run()
        except (LeaseLost, NotRunning):
            now = self.get(run_id)
            if now.state is RunState.CANCELLED:
                return now
            raise
        finally:
            self._books.leases.release(lease)

    def resume(self, run_id: str, *, actor: str) -> PipelineRun:
        """Queue a failed or lost run again; steps that finished are not repeated as long as code and inputs are the same.

        Raises:
            NotFound: there is no such run.
            Conflict: it is neither failed nor lost.
        """
        return self._change(run_id, RunState.QUEUED, actor=actor, kind=PipelineEvent.RESUMED)

    def cancel(self, run_id: str, *, actor: str) -> PipelineRun:
        """End a run that is queued, running or lost; the holder of a running one notices when it next renews its lease.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended already.
        """
        return self._change(run_id, RunState.CANCELLED, actor=actor, kind=PipelineEvent.CANCELLED)

    def get(self, run_id: str) -> PipelineRun:
        """Return a run with its steps.

        Raises:
            NotFound: there is none.
        """
        run = self._store.find(run_id)
        if run is None:
            raise NotFound(f"there is no pipeline run '{run_id}'", field="run_id")
        return run

    def log(self, run_id: str, step: str | None = None) -> Iterator[bytes]:
        """Stream what a step printed, or what the pipeline printed while its plan was made.

        Raises:
            NotFound: there is no such run or step, or it printed nothing (a cached step prints nothing).
        """
        run = self.get(run_id)
        digest = run.log_digest
        if step is not None:
            found = next((known for known in run.steps if known.name == step), None)
            if found is None:
                names = ", ".join(known.name for known in run.steps)
                raise NotFound(f"pipeline run '{run_id}' has no step '{step}'; it has: {names}", field="step")
            digest = found.log_digest
        if digest is None:
            raise NotFound(f"nothing was printed by {step or 'the plan'} of pipeline run '{run_id}'", field="step")
        return self._books.artifacts.blobs.open(digest)

    def sweep_lost(self) -> list[PipelineRun]:
        """Turn running runs whose holder went silent into lost ones, and return those."""
        running = self._store.list(state=RunState.RUNNING, limit=_SWEEP_PAGE)
        found = [self._sweep(run) for run in running if self._books.leases.find(_lease_name(run.id)) is None]
        return [run for run in found if run is not None]

    def list(
        self, *, state: RunState | None = None, pipeline: str | None = None, limit: int = 100
    ) -> list[PipelineRun]:
        """Return runs, newest first."""
        return self._store.list(state=state, pipeline=pipeline, limit=limit)

    def _sweep(self, run: PipelineRun) -> PipelineRun | None:
        # Taking the lease first shuts out a late holder, and leaves alone a run that somebody took up meanwhile.
        name = _lease_name(run.id)
        try:
            lease = self._books.leases.acquire(name, holder=_SWEEPER, ttl_ms=self._limits.lease_ttl_ms)
        except Conflict:
            return None
        try:
            with self._books.database.transaction():
                self._books.leases.fence(lease)
                reason = (
                    "the process that executed it went silent; resume the run to go on after its last finished step"
                )
                lost = self._move(self.get(run.id), RunState.LOST, error=reason)
                self._record(PipelineEvent.LOST, lost, actor=EXECUTOR, payload={"reason": reason})
        except Conflict:
            return None
        finally:
            self._books.leases.release(lease)
        self._clear_scratch(run.id)
        return self.get(run.id)

    def _change(self, run_id: str, state: RunState, *, actor: str, kind: PipelineEvent) -> PipelineRun:
        with self._books.database.transaction():
            run = self.get(run_id)
            moved = self._move(run, state, error=None if state is RunState.QUEUED else run.error)
            self._record(kind, moved, actor=actor, payload={"from": run.state.value})
        return self.get(run_id)

    def _move(self, run: PipelineRun, state: RunState, *, error: str | None) -> PipelineRun:
        _check_move(run, state)
        ended_ms = None if state is RunState.QUEUED else self._books.clock.now_ms()
        moved = dataclasses.replace(run, state=state, ended_ms=ended_ms, error=error)
        self._store.change(moved, expected=run.state)
        for step in run.steps:
            if step.state is StepState.RUNNING and state in _ENDS_STEP:
                self._store.set_step(run.id, dataclasses.replace(step, state=_ENDS_STEP[state], ended_ms=ended_ms))
        return moved

    def _record(
        self,
        kind: PipelineEvent,
        run: PipelineRun,
        *,
        actor: str,
        payload: Mapping[str, JsonValue],
        edges: Iterable[Edge] = (),
    ) -> None:
        self._books.events.record(kind, actor=actor, subject=run.ref, payload=payload, edges=edges)

    def _clear_scratch(self, run_id: str) -> None:
        folder = self._limits.scratch or Path(tempfile.gettempdir())
        for left in folder.glob(f"{scratch_prefix(run_id)}*"):
            shutil.rmtree(left, ignore_errors=True)


_ENDS_STEP = {RunState.LOST: StepState.LOST, RunState.CANCELLED: StepState.CANCELLED}
"""What becomes of the step that was running."""


def _check_move(run: PipelineRun, state: RunState) -> None:
    if state not in MOVES[run.state]:
        raise Conflict(f"pipeline run '{run.id}' is {run.state}, and cannot become {state} from there", field="state")


def _lease_name(run_id: str) -> str:
    return f"pipeline-run/{run_id}"
