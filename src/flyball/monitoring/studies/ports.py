"""The port of studies: where they are kept."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from flyball.monitoring.studies.entities import Study, StudyKind, StudyState


class StudyStore(Protocol):
    """Keep studies and their results. Any number of threads and processes; each verb joins the caller's transaction."""

    def add(self, study: Study) -> None:
        """Keep a new study."""
        ...

    def find(self, study_id: str) -> Study | None:
        """Return a study, None when there is none."""
        ...

    def change(self, study: Study, *, expected: StudyState) -> None:
        """Replace a study that is still in the expected state; its result stays.

        Raises:
            Conflict: it is in another state meanwhile, or gone.
        """
        ...

    def keep_result(self, study_id: str, result: str) -> None:
        """Keep what came of a study."""
        ...

    def result(self, study_id: str) -> str | None:
        """Return what came of a study, None before its end."""
        ...

    def list(
        self,
        *,
        states: Collection[StudyState] = (),
        monitor: str | None = None,
        kind: StudyKind | None = None,
        before: str = "",
        limit: int,
    ) -> list[Study]:
        """Return studies, newest first, in every state where none is named; only those older than the one called `before`."""
        ...

    def remove_ended(self, *, before_ms: int, limit: int) -> int:
        """Remove studies that ended before a moment, the oldest first, and return how many."""
        ...
