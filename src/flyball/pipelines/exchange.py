"""What the platform and the child process tell each other: tasks on standard input, outcomes in a file."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

OUTCOME_FILE = "outcome.json"
OUTPUT_FILE = "output"


class Literal(msgspec.Struct, frozen=True, tag="json"):
    """A JSON value."""

    value: Any


class FromStep(msgspec.Struct, frozen=True, tag="step"):
    """The output of an earlier step of the plan."""

    position: int


class FromDataset(msgspec.Struct, frozen=True, tag="dataset"):
    """The rows of a dataset version; `digest` is that of its content."""

    dataset: str
    digest: str


class FromFile(msgspec.Struct, frozen=True, tag="file"):
    """A value that lies in a file; it takes the place of a step's output or a dataset when a step is run."""

    kind: str
    path: str


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list with at least one member that is no plain JSON."""

    items: tuple[Argument, ...]


class Fields(msgspec.Struct, frozen=True, tag="fields"):
    """An object with at least one member that is no plain JSON."""

    fields: dict[str, Argument]


Argument: TypeAlias = Literal | FromStep | FromDataset | FromFile | Items | Fields


class PlannedStep(msgspec.Struct, frozen=True):
    """A call of a step, before its inputs are known. `code` is the digest of the source it may run."""

    name: str
    step: str
    cache: bool
    code: str
    arguments: dict[str, Argument]


class Plan(msgspec.Struct, frozen=True, tag="plan"):
    """Every call that the pipeline makes, in order; a step refers only to steps before it."""

    steps: tuple[PlannedStep, ...]
    result: Argument
    sources: dict[str, str]
    """Digest of each source file, by path, that was loaded when the plan was made."""
    python: str
    flyball: str
    packages: str
    """Digest of the names and versions of everything installed."""


class PlanTask(msgspec.Struct, frozen=True, tag="plan"):
    """Make the plan of a pipeline."""

    pipeline: str
    parameters: dict[str, Any]


class StepTask(msgspec.Struct, frozen=True, tag="step"):
    """Run one step, provided that the sources still are what the plan saw."""

    name: str
    step: str
    sources: dict[str, str]
    arguments: dict[str, Argument]


class Returned(msgspec.Struct, frozen=True, tag="returned"):
    """The step returned a value, which lies in the output file.

    `unplanned` lists the project's source files that were first loaded by the step, so that no cache key covers them.
    """

    kind: str
    unplanned: tuple[str, ...] = ()


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """The plan could not be made, or the step did not return a value that can be kept."""

    message: str
    field: str | None = None


Task: TypeAlias = PlanTask | StepTask
Outcome: TypeAlias = Plan | Returned | Raised
