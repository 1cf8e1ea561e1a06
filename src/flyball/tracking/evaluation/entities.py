"""Evaluation datasets and their records, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flyball.kernel.canonical import JsonValue
from flyball.kernel.events import EventKind, Ref, ref


class EvaluationEvent(EventKind):
    """What happens to evaluation datasets; documented in `docs/reference/events.md`."""

    CREATED = "evaluation_dataset.created"
    RECORDS_WRITTEN = "evaluation_dataset.records_written"
    RECORDS_DELETED = "evaluation_dataset.records_deleted"
    TAGGED = "evaluation_dataset.tagged"
    LINKED = "evaluation_dataset.linked"
    DELETED = "evaluation_dataset.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationDataset:
    """A name under which records are kept. Two may have one name; the id tells them apart.

    `schema` and `profile` are the JSON texts that clients show: the types of the records' fields, and how many records there are;
    empty before there are any. `digest` changes with the time of the last change.
    """

    id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    schema: str = ""
    profile: str = ""
    digest: str
    created_ms: int
    updated_ms: int
    created_by: str = ""
    updated_by: str = ""

    @property
    def ref(self) -> Ref:
        """Name this dataset in events."""
        return ref("evaluation-dataset", self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """One input with what came out, what was expected, and where it is from. There is one record for equal inputs."""

    id: str
    dataset_id: str
    inputs: Mapping[str, JsonValue]
    outputs: JsonValue = None
    expectations: Mapping[str, JsonValue] | None = None
    tags: Mapping[str, JsonValue] = field(default_factory=dict)
    source: Mapping[str, JsonValue] | None = None
    input_digest: str
    created_ms: int
    updated_ms: int
    created_by: str = ""
    updated_by: str = ""
