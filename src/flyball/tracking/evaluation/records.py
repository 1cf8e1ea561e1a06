"""What a record says, read and joined: equal inputs are one record, and a later word adds to an earlier one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.tracking.evaluation.entities import EvaluationRecord

USER_TAG = "mlflow.user"
SOURCE_TYPES = ("UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE")
EMPTY_SCHEMA: Mapping[str, JsonValue] = {"inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0"}

Json = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a request says about one input. `has_outputs` tells an output that is null from none at all."""

    inputs: Json
    outputs: JsonValue
    has_outputs: bool
    expectations: Json | None
    tags: Json | None
    source: Json | None

    @property
    def user(self) -> str:
        """Who says it, by the tag that clients set."""
        return str((self.tags or {}).get(USER_TAG) or "")


def parse_records(text: str) -> list[Said]:
    """Read the records of a request.

    Raises:
        InvalidInput: it is no JSON list of records; the message names the place.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"'records' is no JSON: {error}", field="records") from error
    if not isinstance(value, list):
        raise InvalidInput("'records' must be a JSON list of records", field="records")
    return [_said(each, f"records[{at}]") for at, each in enumerate(value)]


def _said(value: object, place: str) -> Said:
    if not isinstance(value, dict):
        raise InvalidInput(f"{place} must be a JSON object", field="records")
    inputs = value.get("inputs", {})
    if not isinstance(inputs, dict):
        raise InvalidInput(f"{place}.inputs must be a JSON object", field="records")
    return Said(
        inputs=inputs,
        outputs=cast("JsonValue", value.get("outputs", {})),
        has_outputs="outputs" in value,
        expectations=_object(value.get("expectations"), f"{place}.expectations"),
        tags=_object(value.get("tags"), f"{place}.tags"),
        source=_source(value.get("source"), f"{place}.source"),
    )


def _object(value: object, place: str) -> Json | None:
    if value is not None and not isinstance(value, dict):
        raise InvalidInput(f"{place} must be a JSON object", field="records")
    return value


def _source(value: object, place: str) -> Json | None:
    found = _object(value, place)
    if not found:
        return None
    kind = str(found.get("source_type")).upper()
    if kind not in SOURCE_TYPES:
        raise InvalidInput(
            f"Invalid dataset record source type: {kind[:80]}. Valid source types: {list(SOURCE_TYPES)}",
            field="records",
        )
    return {"source_type": kind, "source_data": _object(found.get("source_data"), f"{place}.source_data") or {}}


def input_digest(inputs: Mapping[str, JsonValue]) -> str:
    """Return what tells two inputs apart, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def begin(said: Said, *, record_id: str, dataset_id: str, now_ms: int) -> EvaluationRecord:
    """Make the first record of an input."""
    return EvaluationRecord(
        id=record_id,
        dataset_id=dataset_id,
        inputs=said.inputs,
        outputs=said.outputs,
        expectations=said.expectations,
        tags=said.tags or {},
        source=said.source,
        input_digest=input_digest(said.inputs),
        created_ms=now_ms,
        updated_ms=now_ms,
        created_by=said.user,
        updated_by=said.user,
    )


def join(record: EvaluationRecord, said: Said, *, now_ms: int) -> EvaluationRecord:
    """Add to a record what is said later about the same input; where it comes from stays."""
    return replace(
        record,
        outputs=said.outputs if said.has_outputs else record.outputs,
        expectations={**(record.expectations or {}), **said.expectations} if said.expectations else record.expectations,
        tags={**record.tags, **(said.tags or {})},
        updated_ms=now_ms,
        updated_by=said.user or record.updated_by,
    )


def widened(schema: str, records: Iterable[Said]) -> str:
    """Add to a schema the fields that it does not know yet; the first type of a field stays."""
    known = cast("dict[str, JsonValue]", json.loads(schema) if schema else json.loads(json.dumps(EMPTY_SCHEMA)))
    for said in records:
        _widen(known, "inputs", said.inputs)
        _widen(known, "expectations", said.expectations or {})
        if isinstance(said.outputs, dict):
            _widen(known, "outputs", said.outputs)
        elif said.outputs is not None and not known["outputs"]:
            known["outputs"] = type_of(said.outputs)
    return json.dumps(known)


def _widen(schema: dict[str, JsonValue], part: str, values: Mapping[str, JsonValue]) -> None:
    fields = schema[part]
    if isinstance(fields, dict):  # outputs that were plain values at first have one type for all
        for key, value in values.items():
            fields.setdefault(key, type_of(value))


def type_of(value: JsonValue) -> str:
    """Name the type of a JSON value as clients do."""
    return "null" if value is None else _TYPES[type(value)]


_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    list: "array",
    dict: "object",
}
