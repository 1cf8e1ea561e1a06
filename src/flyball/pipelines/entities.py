"""Pipeline runs, their steps, the values between them, and the states they pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.events.entities import EventKind, Ref, ref


class RunState(StrEnum):
    """Where a pipeline run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"


MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.LOST, RunState.CANCELLED}),
    RunState.FAILED: frozenset({RunState.QUEUED}),
    RunState.LOST: frozenset({RunState.QUEUED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
"""The state machine: from each state, the states that may follow."""


class StepState(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"


class ValueKind(StrEnum):
    """What may pass between steps; there is no pickle, so a stored value is readable without Flyball."""

    JSON = "json"
    TABLE = "table"
    """A `pyarrow.Table`, kept as Parquet."""
    BYTES = "bytes"


class PipelineEvent(EventKind):
    """What happens to a pipeline run."""

    SUBMITTED = "pipeline_run.submitted"
    STARTED = "pipeline_run.started"
    STEP_FINISHED = "pipeline_run.step_finished"
    SUCCEEDED = "pipeline_run.succeeded"
    FAILED = "pipeline_run.failed"
    LOST = "pipeline_run.lost"
    RESUMED = "pipeline_run.resumed"
    CANCELLED = "pipeline_run.cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A stored value: its bytes lie in the artifact store under `digest`."""

    kind: ValueKind
    digest: Digest
    size_bytes: int

    def to_json(self) -> dict[str, JsonValue]:
        """Return the value's name in results, events and cache keys."""
        return {"kind": self.kind.value, "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedOutput:
    """What a step once returned. `run_id` is the run that computed it."""

    value: Value
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One step of one pipeline run, in the order of the plan."""

    position: int
    name: str
    """Unique in the run: the function's name, with `-2`, `-3` ... when it is called again."""
    step: str
    """`module:function`."""
    state: StepState = StepState.WAITING
    key: Digest | None = None
    """The cache key, known once the inputs are."""
    cached: bool = False
    cached_from: str | None = None
    """The run that computed a cached output."""
    started_ms: int | None = None
    ended_ms: int | None = None
    output: Value | None = None
    log_digest: Digest | None = None
    """What the step printed, as an artifact; None for a cached step."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """A pipeline, the parameters it was given, and how far it came."""

    id: str
    pipeline: str
    """`module:function`."""
    parameters: Mapping[str, JsonValue]
    state: RunState
    actor: str
    """Who submitted it."""
    created_ms: int
    started_ms: int | None = None
    """When the present attempt began."""
    ended_ms: int | None = None
    attempt: int = 0
    """How many times it was started."""
    steps: tuple[StepRun, ...] = ()
    result: JsonValue = None
    """What the pipeline returned; a table or bytes stand in it as `{"kind": ..., "digest": ...}`."""
    error: str | None = None
    """Why it failed or was lost."""
    log_digest: Digest | None = None
    """What the pipeline printed while its plan was made."""

    @property
    def ref(self) -> Ref:
        """The run's name in events and lineage."""
        return run_ref(self.id)


def run_ref(run_id: str) -> Ref:
    """Name a pipeline run in events and lineage."""
    return ref("pipeline-run", run_id)
