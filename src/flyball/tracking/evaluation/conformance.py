"""The promises of the stores of evaluation datasets, for every implementation."""

from __future__ import annotations

import dataclasses

import pytest

from flyball.tracking.evaluation.entities import EvaluationDataset, EvaluationRecord
from flyball.tracking.evaluation.ports import EvaluationRecordStore, EvaluationStore, Question
from flyball.tracking.search import Clause, Field, Operator, Ordering


def dataset(dataset_id: str = "a", *, created_ms: int = 1, **changes: object) -> EvaluationDataset:
    """Make a dataset."""
    made = EvaluationDataset(
        id=dataset_id, name=f"name-{dataset_id}", digest="cccccccc", created_ms=created_ms, updated_ms=created_ms
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def record(record_id: str, dataset_id: str = "a", *, created_ms: int = 1, **changes: object) -> EvaluationRecord:
    """Make a record."""
    made = EvaluationRecord(
        id=record_id,
        dataset_id=dataset_id,
        inputs={"q": record_id},
        input_digest=f"digest-{record_id}",
        created_ms=created_ms,
        updated_ms=created_ms,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


class EvaluationStoresConformance:
    """Derive, and give fixtures `datasets` and `records` on one database."""

    @pytest.fixture
    def datasets(self) -> EvaluationStore:
        raise AssertionError("override this fixture")

    @pytest.fixture
    def records(self) -> EvaluationRecordStore:
        raise AssertionError("override this fixture")

    def test_a_dataset_is_kept_changed_and_removed(self, datasets: EvaluationStore) -> None:
        datasets.add(dataset(tags={"a": "1"}))
        assert datasets.find("a") == datasets.lock("a") == dataset(tags={"a": "1"})
        changed = dataset(tags={"b": ""}, schema="{}", profile="{}", digest="d", updated_ms=9, updated_by="ann")
        datasets.save(changed)
        assert datasets.find("a") == changed
        datasets.remove("a")
        assert (datasets.find("a"), datasets.lock("a")) == (None, None)

    def test_datasets_are_found_by_what_they_say_and_where_they_belong(self, datasets: EvaluationStore) -> None:
        for at, name in enumerate("abc"):
            datasets.add(dataset(name, created_ms=at, tags={"k": name}))
        datasets.set_experiments("a", ["7", "0"])
        datasets.set_experiments("b", ["7"])
        newest = (Ordering(field=Field.ATTRIBUTE, key="created_time", ascending=False),)
        tagged = Clause(field=Field.TAG, key="k", operator=Operator.NE, value="a")
        named = Clause(field=Field.ATTRIBUTE, key="name", operator=Operator.ILIKE, value="NAME-%")
        for question, found in (
            (Question(order=newest, limit=2), ["c", "b", "a"]),
            (Question(order=newest, limit=1, offset=1), ["b", "a"]),
            (Question(order=newest, limit=9, experiments=("7",)), ["b", "a"]),
            (Question(order=newest, limit=9, experiments=("0", "9")), ["a"]),
            (Question(clauses=(tagged, named), order=newest, limit=9), ["c", "b"]),
        ):
            assert [each.id for each in datasets.search(question)] == found

    def test_experiments_keep_their_order_and_go_with_the_dataset(self, datasets: EvaluationStore) -> None:
        datasets.add(dataset())
        datasets.set_experiments("a", ["7", "0", "7"])
        assert datasets.experiments("a") == ["7", "0"]
        datasets.set_experiments("a", [])
        assert datasets.experiments("a") == []
        datasets.set_experiments("a", ["1"])
        datasets.remove("a")
        assert datasets.experiments("a") == []

    def test_records_are_written_replaced_counted_and_removed(
        self, datasets: EvaluationStore, records: EvaluationRecordStore
    ) -> None:
        datasets.add(dataset())
        datasets.add(dataset("b"))
        full = record("2", outputs=["x", None, 1.5], expectations={"e": True}, tags={"t": "v"}, source={"s": {}})
        records.put([record("1"), full, record("3", "b")])
        assert records.by_inputs("a", ["digest-2", "digest-3", "absent"]) == {"digest-2": full}
        changed = dataclasses.replace(full, outputs=None, updated_ms=9)
        records.put([changed])
        assert records.by_inputs("a", ["digest-2"]) == {"digest-2": changed}
        assert (records.count("a"), records.count("b"), records.count("absent")) == (2, 1, 0)
        assert records.remove("a", ["1", "3", "absent"]) == 1
        datasets.remove("a")
        assert (records.count("a"), records.count("b")) == (0, 1)

    def test_records_come_in_pages_oldest_first(
        self, datasets: EvaluationStore, records: EvaluationRecordStore
    ) -> None:
        datasets.add(dataset())
        records.put([record("b", created_ms=2), record("a", created_ms=2), record("c", created_ms=1)])
        assert [each.id for each in records.page("a", after=None, limit=2)] == ["c", "a"]
        assert [each.id for each in records.page("a", after=(2, "a"), limit=9)] == ["b"]
        assert [each.id for each in records.page("a", after=(1, "c"), limit=9)] == ["a", "b"]
