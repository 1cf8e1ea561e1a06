"""The promises of the port of studies, as a pytest class."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyball.kernel.errors import Conflict
from flyball.monitoring.studies.entities import Study, StudyKind, StudyState
from flyball.monitoring.studies.ports import StudyStore


def asked(number: int, **changes: object) -> Study:
    """Return a study; a greater number is a later one."""
    study = Study(
        id=f"{number:032x}",
        kind=StudyKind.BACKTEST,
        monitor="watch",
        request='{"document":"é"}',
        state=StudyState.QUEUED,
        actor="user:tester",
        created_ms=number,
    )
    return replace(study, **changes)  # type: ignore[arg-type]


class StudyStoreConformance:
    """A fixture `store` provides an empty store."""

    def test_a_study_comes_back_as_it_was(self, store: StudyStore) -> None:
        store.add(asked(1))
        assert store.find(asked(1).id) == asked(1)
        assert store.find(asked(2).id) is None

    def test_a_change_keeps_every_field(self, store: StudyStore) -> None:
        store.add(asked(1))
        ended = asked(
            1,
            state=StudyState.FAILED,
            started_ms=5,
            ended_ms=9,
            attempts=1,
            stage="replaying",
            done=3,
            total=7,
            error="too short",
            error_code="invalid_input",
        )
        store.change(ended, expected=StudyState.QUEUED)
        assert store.find(ended.id) == ended

    def test_a_study_that_moved_on_is_not_changed(self, store: StudyStore) -> None:
        store.add(asked(1, state=StudyState.CANCELLED))
        with pytest.raises(Conflict, match="is not queued any more"):
            store.change(asked(1, state=StudyState.RUNNING), expected=StudyState.QUEUED)
        assert store.find(asked(1).id) == asked(1, state=StudyState.CANCELLED)

    def test_a_result_is_kept_and_stays_when_the_study_changes(self, store: StudyStore) -> None:
        store.add(asked(1))
        assert store.result(asked(1).id) is None
        store.keep_result(asked(1).id, "{}")
        store.change(asked(1, state=StudyState.DONE), expected=StudyState.QUEUED)
        assert store.result(asked(1).id) == "{}"
        assert store.result(asked(2).id) is None

    def test_studies_are_listed_newest_first_page_by_page(self, store: StudyStore) -> None:
        for number in (2, 1, 3):
            store.add(asked(number))
        assert store.list(limit=2) == [asked(3), asked(2)]
        assert store.list(limit=2, before=asked(2).id) == [asked(1)]

    def test_a_list_holds_what_is_asked_for(self, store: StudyStore) -> None:
        other = asked(2, monitor="other", kind=StudyKind.CALIBRATION, state=StudyState.DONE)
        store.add(asked(1))
        store.add(other)
        assert store.list(monitor="other", limit=9) == [other]
        assert store.list(kind=StudyKind.CALIBRATION, limit=9) == [other]
        assert store.list(states={StudyState.QUEUED, StudyState.RUNNING}, limit=9) == [asked(1)]

    def test_what_ended_long_ago_is_removed_oldest_first(self, store: StudyStore) -> None:
        studies = [asked(number, state=StudyState.DONE, ended_ms=10 * number) for number in (1, 2, 3)]
        for study in (*studies, asked(4)):
            store.add(study)
        assert store.remove_ended(before_ms=30, limit=1) == 1
        assert store.list(limit=9) == [asked(4), studies[2], studies[1]]
        assert store.remove_ended(before_ms=30, limit=9) == 1
        assert store.list(limit=9) == [asked(4), studies[2]]
