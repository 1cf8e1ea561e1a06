"""What a source holds, as values: our own words for experiments, runs and models, with the ids and places of the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from flyball.registry.entities import ModelVersion, RegisteredModel
from flyball.tracking.entities import Run

Point: TypeAlias = tuple[str, int, int, float]
"""Key, time in ms, step, value. A tuple and no dataclass: millions of them pass."""

# A batch is written in one transaction; it holds the write lock of SQLite for a fraction of a second.
BATCH_POINTS = 50_000


class Kind(StrEnum):
    """What is imported, each with an id of its own."""

    EXPERIMENT = "experiment"
    RUN = "run"
    LOGGED_MODEL = "logged-model"
    FILES = "files"
    MODEL = "registered-model"
    VERSION = "model-version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How much a source holds; None where counting would cost as much as reading."""

    experiments: int
    runs: int | None = None
    logged_models: int | None = None
    registered_models: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run, and the points of its metrics in batches of at most `BATCH_POINTS`, to be read once."""

    run: Run
    batches: Iterator[list[Point]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A registered model with its versions. `last` is the highest number ever given out, also to a deleted version."""

    model: RegisteredModel
    versions: tuple[ModelVersion, ...]
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the files of a run or a logged model lie at the source. `root` is where they go here."""

    kind: Kind
    key: str
    uri: str

    @property
    def root(self) -> str:
        """The root of the files in our artifact store."""
        return f"model/{self.key}" if self.kind is Kind.LOGGED_MODEL else f"run/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file at the source: its path below its place."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The record of a thing that was taken over: from where, under which name here, with which content.

    Of a run that is not complete, `digest` is the number of points that are here.
    """

    source: str
    kind: Kind
    source_key: str
    target_key: str
    digest: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    """A source in words. `name` tells it from every other one, and holds no password."""

    name: str
    kind: str
    detail: Mapping[str, str] = field(default_factory=dict)
