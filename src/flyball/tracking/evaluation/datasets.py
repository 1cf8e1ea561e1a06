"""The verbs of evaluation datasets."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput, LimitExceeded, NotFound
from flyball.kernel.events import EventLog
from flyball.kernel.ids import new_id
from flyball.tracking.entities import Page
from flyball.tracking.evaluation.entities import EvaluationDataset, EvaluationEvent, EvaluationRecord
from flyball.tracking.evaluation.ports import EvaluationRecordStore, EvaluationStore, Question
from flyball.tracking.evaluation.records import USER_TAG, Said, begin, input_digest, join, parse_records, widened
from flyball.tracking.ports import ExperimentStore
from flyball.tracking.search import (
    Field,
    Ordering,
    Vocabulary,
    check_max_results,
    page_of,
    parse_filter,
    parse_order,
    parse_page_token,
)

DATASETS_PER_PAGE = 1_000
MOST_DATASETS_PER_PAGE = 50_000
RECORDS_PER_PAGE = 1_000
MOST_RECORDS_PER_PAGE = 50_000
MOST_RECORDS_AT_ONCE = 100_000
NAME_CHARACTERS = 255
KEY_CHARACTERS = 255
VALUE_CHARACTERS = 5_000
DIGEST_CHARACTERS = 8
_TIMES = frozenset({"created_time", "last_update_time"})
_FILTER = Vocabulary(
    noun="evaluation datasets",
    fields=frozenset({Field.ATTRIBUTE, Field.TAG}),
    numbers=_TIMES,
    texts=frozenset({"name", "created_by", "last_updated_by"}),
    lists=frozenset({"name"}),
)
_ORDER = Vocabulary(
    noun="evaluation datasets", fields=frozenset({Field.ATTRIBUTE}), numbers=_TIMES, texts=frozenset({"name"})
)
_NEWEST_FIRST = (Ordering(field=Field.ATTRIBUTE, key="created_time", ascending=False),)


class EvaluationDatasets:
    """Datasets and their records. Each change locks the dataset's row, so two never overlap."""

    def __init__(
        self,
        store: EvaluationStore,
        *,
        records: EvaluationRecordStore,
        experiments: ExperimentStore,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._store = store
        self._records = records
        self._experiments = experiments
        self._events = events
        self._clock = clock
        self._database = database

    def create(
        self, name: str, *, actor: str, experiment_ids: Sequence[str] = (), tags: Mapping[str, JsonValue] | None = None
    ) -> EvaluationDataset:
        """Make a dataset without records.

        Raises:
            InvalidInput: a name or a tag that cannot be.
        """
        now, clean = self._clock.now_ms(), _clean_tags(tags or {})
        made = EvaluationDataset(
            id=f"d-{new_id()}",
            name=_within(name, NAME_CHARACTERS, field="name"),
            tags=clean,
            digest=_digest(name, now),
            created_ms=now,
            updated_ms=now,
            created_by=clean.get(USER_TAG, ""),
            updated_by=clean.get(USER_TAG, ""),
        )
        with self._database.transaction():
            self._store.add(made)
            self._store.set_experiments(made.id, experiment_ids)
            payload: dict[str, JsonValue] = {"name": name, "tags": dict(clean), "experiments": list(experiment_ids)}
            self._record(EvaluationEvent.CREATED, made, payload, actor=actor)
        return made

    def get(self, dataset_id: str) -> EvaluationDataset:
        """Return a dataset.

        Raises:
            NotFound: there is none of this id.
        """
        return _found(self._store.find(dataset_id) if _can_be(dataset_id) else None, dataset_id)

    def search(
        self,
        filter_text: str = "",
        *,
        experiment_ids: Sequence[str] = (),
        order_by: Sequence[str] = (),
        limit: int | None = None,
        page_token: str = "",
    ) -> Page[EvaluationDataset]:
        """Find datasets, newest first unless an order is given.

        Raises:
            InvalidInput: a filter, an order, a limit or a page token that cannot be read.
        """
        question = Question(
            clauses=parse_filter(filter_text, _FILTER),
            order=parse_order(order_by, _ORDER) or _NEWEST_FIRST,
            experiments=tuple(experiment_ids) if experiment_ids else None,
            limit=check_max_results(DATASETS_PER_PAGE if limit is None else limit, limit=MOST_DATASETS_PER_PAGE),
            offset=parse_page_token(page_token),
        )
        return page_of(self._store.search(question), offset=question.offset, limit=question.limit)

    def delete(self, dataset_id: str, *, actor: str) -> None:
        """Remove a dataset and its records; without effect when it is not there, as clients expect."""
        with self._database.transaction():
            gone = self._find_locked(dataset_id)
            if gone is not None:
                payload: dict[str, JsonValue] = {"name": gone.name, "records": self._records.count(dataset_id)}
                self._store.remove(dataset_id)
                self._record(EvaluationEvent.DELETED, gone, payload, actor=actor)

    # Tags and experiments

    def set_tags(self, dataset_id: str, tags: Mapping[str, JsonValue], *, actor: str) -> None:
        """Set tags beside those that are there; a null changes nothing."""
        clean = _clean_tags(tags)
        with self._database.transaction():
            dataset = self._lock(dataset_id)
            self._store.save(dataclasses.replace(dataset, tags={**dataset.tags, **clean}))
            self._record(EvaluationEvent.TAGGED, dataset, {"tags": dict(clean)}, actor=actor)

    def delete_tag(self, dataset_id: str, key: str, *, actor: str) -> None:
        """Remove a tag; without effect when it or the dataset is not there, as clients expect."""
        with self._database.transaction():
            dataset = self._find_locked(dataset_id)
            if dataset is not None and key in dataset.tags:
                kept = {other: value for other, value in dataset.tags.items() if other != key}
                self._store.save(dataclasses.replace(dataset, tags=kept))
                self._record(EvaluationEvent.TAGGED, dataset, {"tags_removed": [key]}, actor=actor)

    def experiments(self, dataset_id: str) -> list[str]:
        """Return the experiments a dataset belongs to; none when it is not there, as clients expect."""
        return self._store.experiments(dataset_id) if _can_be(dataset_id) else []

    def link(self, dataset_id: str, experiment_ids: Sequence[str], *, actor: str) -> EvaluationDataset:
        """Let a dataset belong to more experiments.

        Raises:
            NotFound: there is no such dataset or experiment.
        """
        with self._database.transaction():
            dataset = self._lock(dataset_id)
            self._check_experiments(experiment_ids)
            wanted = [*self._store.experiments(dataset_id), *experiment_ids]
            return self._relinked(dataset, list(dict.fromkeys(wanted)), actor=actor)

    def unlink(self, dataset_id: str, experiment_ids: Sequence[str], *, actor: str) -> EvaluationDataset:
        """Let a dataset belong to fewer experiments; those it does not belong to change nothing."""
        with self._database.transaction():
            dataset = self._lock(dataset_id)
            before = self._store.experiments(dataset_id)
            kept = [each for each in before if each not in set(experiment_ids)]
            return self._relinked(dataset, kept, actor=actor) if kept != before else dataset

    def _relinked(self, dataset: EvaluationDataset, experiment_ids: list[str], *, actor: str) -> EvaluationDataset:
        self._store.set_experiments(dataset.id, experiment_ids)
        changed = dataclasses.replace(dataset, updated_ms=self._clock.now_ms())
        self._store.save(changed)
        self._record(EvaluationEvent.LINKED, dataset, {"experiments": list(experiment_ids)}, actor=actor)
        return changed

    # Records

    def upsert(self, dataset_id: str, text: str, *, actor: str) -> tuple[int, int]:
        """Write records, and return how many inputs were new and how many known.

        Raises:
            NotFound: there is no such dataset.
            InvalidInput: `text` is no JSON list of records; nothing is written.
            LimitExceeded: more than 100,000 at once.
        """
        said = parse_records(text)
        if len(said) > MOST_RECORDS_AT_ONCE:
            raise LimitExceeded(f"at most {MOST_RECORDS_AT_ONCE} records at once; send them in parts", field="records")
        with self._database.transaction():
            dataset = self._lock(dataset_id)
            inserted = self._write(dataset, said)
            changed = self._after(dataset, said)
            self._store.save(changed)
            counts: dict[str, JsonValue] = {"inserted": inserted, "updated": len(said) - inserted}
            self._record(EvaluationEvent.RECORDS_WRITTEN, changed, {**counts, "digest": changed.digest}, actor=actor)
        return inserted, len(said) - inserted

    def _write(self, dataset: EvaluationDataset, said: Sequence[Said]) -> int:
        now = self._clock.now_ms()
        digests = [input_digest(each.inputs) for each in said]
        known = dict(self._records.by_inputs(dataset.id, set(digests)))
        inserted = 0
        for digest, each in zip(digests, said, strict=True):
            if digest in known:
                known[digest] = join(known[digest], each, now_ms=now)
            else:
                known[digest] = begin(each, record_id=f"dr-{new_id()}", dataset_id=dataset.id, now_ms=now)
                inserted += 1
        self._records.put(list(known.values()))
        return inserted

    def _after(self, dataset: EvaluationDataset, said: Sequence[Said]) -> EvaluationDataset:
        now = self._clock.now_ms()
        return dataclasses.replace(
            dataset,
            schema=widened(dataset.schema, said) if said else dataset.schema,
            profile=_profile(self._records.count(dataset.id)),
            digest=_digest(dataset.name, now),
            updated_ms=now,
            updated_by=next((each.user for each in reversed(said) if each.user), ""),
        )

    def records(
        self, dataset_id: str, *, limit: int | None = None, page_token: str = ""
    ) -> tuple[list[EvaluationRecord], str | None]:
        """Return records, oldest first, and where the next page begins; none when the dataset is not there.

        Raises:
            InvalidInput: a limit or a page token that cannot be read.
        """
        size = check_max_results(limit or RECORDS_PER_PAGE, limit=MOST_RECORDS_PER_PAGE)
        after = _cursor(page_token)
        found = self._records.page(dataset_id, after=after, limit=size + 1) if _can_be(dataset_id) else []
        more = len(found) > size
        return found[:size], _token(found[size - 1]) if more else None

    def delete_records(self, dataset_id: str, record_ids: Sequence[str], *, actor: str) -> int:
        """Remove records, and return how many were there.

        Raises:
            NotFound: there is no such dataset.
        """
        with self._database.transaction():
            dataset = self._lock(dataset_id)
            removed = self._records.remove(dataset_id, [each for each in record_ids if _can_be(each)])
            if removed:
                profile = _profile(self._records.count(dataset_id))
                self._store.save(dataclasses.replace(dataset, profile=profile or "null"))
                self._record(EvaluationEvent.RECORDS_DELETED, dataset, {"deleted": removed}, actor=actor)
        return removed

    def _lock(self, dataset_id: str) -> EvaluationDataset:
        return _found(self._find_locked(dataset_id), dataset_id)

    def _find_locked(self, dataset_id: str) -> EvaluationDataset | None:
        return self._store.lock(dataset_id) if _can_be(dataset_id) else None

    def _check_experiments(self, experiment_ids: Sequence[str]) -> None:
        for experiment_id in experiment_ids:
            if self._experiments.find(experiment_id) is None:
                raise NotFound(f"No Experiment with id={experiment_id[:80]}", field="experiment_ids")

    def _record(
        self, kind: EvaluationEvent, dataset: EvaluationDataset, payload: Mapping[str, JsonValue], *, actor: str
    ) -> None:
        self._events.record(kind, actor=actor, subject=dataset.ref, payload=payload)


def _can_be(key: str) -> bool:
    """Tell whether a text can be an id: no database keeps a NUL character."""
    return "\x00" not in key


def _found(dataset: EvaluationDataset | None, dataset_id: str) -> EvaluationDataset:
    if dataset is None:
        raise NotFound(f"Evaluation dataset with id '{dataset_id[:80]}' not found", field="dataset_id")
    return dataset


def _digest(name: str, now_ms: int) -> str:
    return hashlib.sha256(f"{name}:{now_ms}".encode()).hexdigest()[:DIGEST_CHARACTERS]


def _profile(count: int) -> str:
    return json.dumps({"num_records": count}) if count else ""


def _clean_tags(tags: Mapping[str, JsonValue]) -> dict[str, str]:
    return {
        _within(key, KEY_CHARACTERS, field="tags"): _within(str(value), VALUE_CHARACTERS, field="tags")
        for key, value in tags.items()
        if value is not None
    }


def _within(text: str, limit: int, *, field: str) -> str:
    if "\x00" in text:
        raise InvalidInput(f"'{field}' has a NUL character, which no database keeps", field=field)
    if len(text) > limit:
        raise LimitExceeded(f"'{field}' exceeds the maximum length of {limit} characters", field=field)
    return text


def _token(record: EvaluationRecord) -> str:
    return base64.b64encode(f"{record.created_ms}:{record.id}".encode()).decode()


def _cursor(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    try:
        created_ms, _, record_id = base64.b64decode(token, validate=True).decode().partition(":")
        return int(created_ms), record_id
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            "Invalid page token: send the next_page_token of the page before", field="page_token"
        ) from error
