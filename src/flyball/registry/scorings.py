"""Which version scored what in a batch: an event a job, with the lineage from its answers to the model and the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.kernel.events import Edge, EventLog, Ref, ref
from flyball.registry.entities import ModelVersion, RegistryEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """A batch job that is done. `job` is the digest of what was asked for, `output_digest` that of the answers.

    `files` are the inputs by name, of which at most a hundred are listed; `dataset` is the dataset version that they were.
    """

    job: Digest
    model_digest: Digest
    rows: int
    output_digest: Digest
    files: Mapping[str, Digest]
    file_count: int
    dataset: Ref | None = None

    @property
    def ref(self) -> Ref:
        """The job's place in the lineage: the same job with the same answers is the same."""
        return ref("scoring", f"{self.job[:32]}-{self.output_digest[:32]}")


class Scorings:
    """Records of batch jobs; each is written once."""

    def __init__(self, *, events: EventLog, database: Database) -> None:
        self._events = events
        self._database = database

    def record(self, scoring: Scoring, version: ModelVersion, *, actor: str) -> Ref:
        """Write down what a version has scored; a job that is told twice is one.

        Raises:
            Conflict: the files that scored are not those of the version.
        """
        if scoring.model_digest != version.digest:
            raise Conflict(
                f"the files that scored have digest {scoring.model_digest[:16]}..., {version.name}/{version.version} has "
                f"{version.digest[:16]}...",
                field="model_digest",
            )
        with self._database.transaction():
            if not self._events.store.edges_from(scoring.ref):
                self._events.record(
                    RegistryEvent.VERSION_SCORED,
                    actor=actor,
                    subject=scoring.ref,
                    payload=_facts(scoring, version),
                    edges=_lineage(scoring, version),
                )
        return scoring.ref


def _facts(scoring: Scoring, version: ModelVersion) -> dict[str, JsonValue]:
    files: dict[str, JsonValue] = dict(scoring.files)
    return {
        "model": version.name,
        "version": version.version,
        "digest": version.digest,
        "job": scoring.job,
        "rows": scoring.rows,
        "output_digest": scoring.output_digest,
        "files": files,
        "file_count": scoring.file_count,
        "dataset": scoring.dataset,
    }


def _lineage(scoring: Scoring, version: ModelVersion) -> list[Edge]:
    used = [version.ref] if scoring.dataset is None else [version.ref, scoring.dataset]
    return [Edge(subject=scoring.ref, relation="used", object=thing) for thing in used]
