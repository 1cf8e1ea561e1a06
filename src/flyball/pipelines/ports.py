"""The ports of pipelines: where runs are kept, what runs a task, where dataset rows come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flyball.kernel.canonical import Digest, JsonValue
from flyball.pipelines.entities import CachedOutput, PipelineRun, RunState, StepRun
from flyball.pipelines.exchange import Outcome, Task

if TYPE_CHECKING:
    import pyarrow as pa

DatasetResolver: TypeAlias = "Callable[[Mapping[str, JsonValue]], pa.Table]"
"""Return the rows that `{"dataset": "<name>/<version>", "digest": ...}` names, or raise when the digest is not theirs."""


class PipelineStore(Protocol):
    """Keep pipeline runs, and the outputs of steps by cache key.

    Threads and processes: any number may call. Atomicity: a write joins the transaction that the calling thread is in.
    What is returned is immutable.
    """

    def add(self, run: PipelineRun) -> None:
        """Keep a new run, without steps.

        Raises:
            AlreadyExists: the id is taken.
        """
        ...

    def find(self, run_id: str) -> PipelineRun | None:
        """Return a run with its steps in order of position."""
        ...

    def list(
        self, *, state: RunState | None = None, pipeline: str | None = None, limit: int = 100
    ) -> list[PipelineRun]:
        """Return runs with their steps, newest first."""
        ...

    def change(self, run: PipelineRun, *, expected: RunState) -> None:
        """Write everything of the run but its steps, provided that its state in the store is `expected`.

        Raises:
            Conflict: it is not; nothing was written. Of two that change one state at once, one gets this.
        """
        ...

    def set_steps(self, run_id: str, steps: tuple[StepRun, ...]) -> None:
        """Replace all steps of a run."""
        ...

    def set_step(self, run_id: str, step: StepRun) -> None:
        """Write one step over the one at its position."""
        ...

    def find_output(self, key: Digest, *, scope: str) -> CachedOutput | None:
        """Return what was kept under a key in a scope (empty: for every run)."""
        ...

    def keep_output(self, key: Digest, output: CachedOutput, *, scope: str) -> None:
        """Keep an output, over an earlier one with the same key and scope."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a task ended: with an outcome, or without one for a reason."""

    outcome: Outcome | None
    reason: str
    log: bytes


class Runner(Protocol):
    """Run a task outside this process. Safe to share between threads."""

    def run(
        self, task: Task, *, folder: Path, environment: Mapping[str, str], timeout_s: float, beat: Callable[[], None]
    ) -> Ended:
        """Run the task in a folder of its own; whatever it started has ended when this returns or raises.

        `environment` is all that the task gets to see of it. `beat` is called several times a second; what it raises
        ends the task, and is passed on. An output is left in the folder under `exchange.OUTPUT_FILE`.

        Raises:
            Unavailable: nothing could be started.
        """
        ...
