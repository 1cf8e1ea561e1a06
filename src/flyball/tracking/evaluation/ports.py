"""The port of evaluation datasets. Any number of threads and processes; every verb joins the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flyball.tracking.evaluation.entities import EvaluationDataset, EvaluationRecord
from flyball.tracking.search import Clause, Ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A parsed search. `experiments` None means any or none."""

    clauses: tuple[Clause, ...] = ()
    order: tuple[Ordering, ...] = ()
    experiments: tuple[str, ...] | None = None
    limit: int
    offset: int = 0


class EvaluationStore(Protocol):
    """Keep datasets with their tags and the experiments they belong to."""

    def add(self, dataset: EvaluationDataset) -> None:
        """Keep a new dataset with its tags."""
        ...

    def find(self, dataset_id: str) -> EvaluationDataset | None:
        """Return a dataset, None when there is none."""
        ...

    def lock(self, dataset_id: str) -> EvaluationDataset | None:
        """Return a dataset and let nobody else change it or its records until the transaction ends."""
        ...

    def save(self, dataset: EvaluationDataset) -> None:
        """Replace tags, schema, profile, digest and the last change of a locked dataset."""
        ...

    def remove(self, dataset_id: str) -> None:
        """Remove a dataset with everything of it."""
        ...

    def search(self, question: Question) -> list[EvaluationDataset]:
        """Return the datasets that stand every clause, ordered, from the offset, at most one more than the limit."""
        ...

    def experiments(self, dataset_id: str) -> list[str]:
        """Return the experiments a dataset belongs to, in the order in which they were added."""
        ...

    def set_experiments(self, dataset_id: str, experiment_ids: Sequence[str]) -> None:
        """Replace the experiments a dataset belongs to."""
        ...


class EvaluationRecordStore(Protocol):
    """Keep the records of datasets."""

    def by_inputs(self, dataset_id: str, digests: Collection[str]) -> Mapping[str, EvaluationRecord]:
        """Return the records with these digests of their inputs."""
        ...

    def put(self, records: Sequence[EvaluationRecord]) -> None:
        """Add records, or replace those of the same id."""
        ...

    def remove(self, dataset_id: str, record_ids: Collection[str]) -> int:
        """Remove records, and return how many were there."""
        ...

    def count(self, dataset_id: str) -> int:
        """Return how many records a dataset has."""
        ...

    def page(self, dataset_id: str, *, after: tuple[int, str] | None, limit: int) -> list[EvaluationRecord]:
        """Return records by time of creation and id, those after a given one."""
        ...
