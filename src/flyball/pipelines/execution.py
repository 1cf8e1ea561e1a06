"""Execute a run under a lease: make the plan, then reuse or run each step in turn."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import FlyballError, LeaseLost
from flyball.kernel.events.entities import Edge, ref
from flyball.pipelines.entities import PipelineRun, StepRun, Value, ValueKind
from flyball.pipelines.exchange import OUTPUT_FILE, Plan, PlannedStep, PlanTask, Raised, Returned, StepTask, Task
from flyball.pipelines.inputs import InputFiles
from flyball.pipelines.keys import dataset_references, step_key
from flyball.pipelines.limits import Limits
from flyball.pipelines.outputs import Outputs
from flyball.pipelines.ports import DatasetResolver, Ended, Runner
from flyball.pipelines.record import Attempt, Books, NotRunning

# Not under the prefix of the settings, where a variable that nobody knows is an error.
RUN_VARIABLE = "PIPELINE_RUN_ID"
STEP_VARIABLE = "PIPELINE_STEP"


class Execution:
    """One attempt at a run, from its start to its end."""

    def __init__(
        self,
        attempt: Attempt,
        books: Books,
        *,
        runner: Runner,
        resolver: DatasetResolver | None,
        limits: Limits,
        environment: Mapping[str, str],
    ) -> None:
        self._attempt = attempt
        self._books = books
        self._runner = runner
        self._resolver = resolver
        self._limits = limits
        self._environment = environment
        self._outputs = Outputs(books.artifacts, beat=attempt.beat)
        self._values: list[Value] = []

    def run(self) -> PipelineRun:
        """Carry the run to its end, which may be failure.

        Raises:
            LeaseLost: the lease expired on the way; nothing was written after that.
            NotRunning: the run was cancelled on the way.
        """
        self._attempt.start()
        try:
            with tempfile.TemporaryDirectory(
                prefix=scratch_prefix(self._attempt.run.id), dir=self._limits.scratch, ignore_cleanup_errors=True
            ) as folder:
                result = self._work(Path(folder))
            return self._attempt.succeed(result)
        except (LeaseLost, NotRunning):
            raise
        except _Failed as failure:
            return self._attempt.fail(str(failure))
        except FlyballError as error:  # what the platform could not do for the run: a full disk, a dataset that is gone
            return self._attempt.fail(error.message)
        except Exception as error:
            self._attempt.fail(f"internal error: {type(error).__name__}")
            raise

    def _work(self, folder: Path) -> JsonValue:
        plan = self._plan(folder)
        with ExitStack() as lent:
            inputs = InputFiles(self._books.artifacts.blobs, self._resolver, folder=folder, lent=lent)
            for planned, step in zip(plan.steps, self._attempt.run.steps, strict=True):
                self._values.append(self._step(step, planned, plan=plan, inputs=inputs, folder=folder))
        return self._outputs.result(plan.result, self._values, limit_bytes=self._limits.result_bytes)

    def _plan(self, folder: Path) -> Plan:
        run = self._attempt.run
        task = PlanTask(pipeline=run.pipeline, parameters=dict(run.parameters))
        ended = self._in_child(task, folder / "plan", variables={}, timeout_s=self._limits.plan_timeout_s)
        plan = ended.outcome
        if not isinstance(plan, Plan):
            self._attempt.planned((), self._outputs.keep_log(ended.log))
            raise _Failed(_reason(ended, "the plan"))
        steps = (
            StepRun(position=position, name=planned.name, step=planned.step)
            for position, planned in enumerate(plan.steps)
        )
        self._attempt.planned(tuple(steps), self._outputs.keep_log(ended.log))
        return plan

    def _step(self, step: StepRun, planned: PlannedStep, *, plan: Plan, inputs: InputFiles, folder: Path) -> Value:
        self._attempt.beat()
        key = step_key(plan, planned, self._values)
        step = dataclasses.replace(step, key=key)
        edges = self._used(planned)
        for scope in self._scopes(step, planned):
            found = self._books.store.find_output(key, scope=scope)
            if found is not None and self._outputs.intact(found.value):
                self._attempt.step_reused(step, found, scope=scope, edges=edges)
                return found.value
        step = self._attempt.step_started(step)
        task = StepTask(
            name=planned.name,
            step=planned.step,
            sources=plan.sources,
            arguments={name: inputs.place(argument, self._values) for name, argument in planned.arguments.items()},
        )
        scopes = self._scopes(step, planned)
        return self._compute(step, task, folder=folder / f"step-{step.position}", scopes=scopes, edges=edges)

    def _compute(
        self, step: StepRun, task: StepTask, *, folder: Path, scopes: tuple[str, ...], edges: tuple[Edge, ...]
    ) -> Value:
        ended = self._in_child(
            task, folder, variables={STEP_VARIABLE: step.name}, timeout_s=self._limits.step_timeout_s
        )
        log = self._outputs.keep_log(ended.log)
        if not isinstance(ended.outcome, Returned):
            reason = _reason(ended, f"step '{step.name}'")
            self._attempt.step_failed(step, reason, log)
            raise _Failed(reason)
        value = self._outputs.keep(folder / OUTPUT_FILE, ValueKind(ended.outcome.kind))
        scope = scopes[0] if ended.outcome.unplanned else scopes[-1]
        self._attempt.step_returned(step, value, log, scope=scope, edges=edges)
        return value

    def _in_child(self, task: Task, folder: Path, *, variables: Mapping[str, str], timeout_s: float) -> Ended:
        folder.mkdir()
        environment = {**self._environment, RUN_VARIABLE: self._attempt.run.id, **variables}
        return self._runner.run(
            task, folder=folder, environment=environment, timeout_s=timeout_s, beat=self._attempt.beat
        )

    def _scopes(self, step: StepRun, planned: PlannedStep) -> tuple[str, ...]:
        # A step that is not cached is still not repeated when its own run is resumed: it has a scope of its own.
        own = f"{self._attempt.run.id}/{step.position}"
        return (own, "") if planned.cache else (own,)

    def _used(self, planned: PlannedStep) -> tuple[Edge, ...]:
        return tuple(
            Edge(subject=self._attempt.run.ref, relation="used", object=ref("dataset-version", found.dataset))
            for found in dataset_references(planned.arguments)
        )


class _Failed(Exception):
    """The user's part of the run failed; the text is the reason."""


def scratch_prefix(run_id: str) -> str:
    """Name the beginning of the folders in which attempts at a run keep their files."""
    return f"flyball-pipeline-{run_id}-"


def _reason(ended: Ended, what: str) -> str:
    if isinstance(ended.outcome, Raised):
        return ended.outcome.message
    return f"{what} {ended.reason or 'left an outcome of the wrong kind'}"
