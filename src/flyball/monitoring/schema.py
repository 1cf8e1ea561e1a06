"""The one schema of captured predictions, and the check that a batch follows it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.entities import AnswerKind, PredictionKey, Role

FEATURE_PREFIX = "feature."
# What holds several values a row, as lists. It is kept and can be read; monitors judge features only.
TENSOR_PREFIX = "tensor."
OUTPUT_PREFIX = "output."
PROBABILITIES = "probabilities"
PREDICTION = "prediction"
SCORE = "score"
# What capture wrote in a feature's place where it is hidden, and the share of predictions that were captured.
HASHED_PREFIX = "hashed."
SHARE = "share"
LABEL = "label"
FIXED: dict[str, pa.DataType] = {
    "prediction_id": pa.string(),
    "request_id": pa.string(),
    "time_ms": pa.int64(),
    "served_ms": pa.int64(),
    "version": pa.int32(),
    "version_digest": pa.string(),
    "role": pa.string(),
    "latency_ms": pa.float64(),
    "caller": pa.string(),
}
VALUE_TYPES = (pa.float64(), pa.int64(), pa.string(), pa.bool_())
LIST_TYPES = tuple(pa.list_(kind) for kind in VALUE_TYPES)
MAX_ID_LENGTH = 200


def check_predictions(table: pa.Table) -> None:
    """Check a batch against the schema.

    Raises:
        UnknownKey: a column that no prediction has.
        InvalidInput: a missing column, a wrong type, a hole where none may be, or an impossible value; `field` names it.
    """
    names = table.column_names
    if len(set(names)) != len(names):
        raise InvalidInput("a batch of predictions has two columns of one name", field="columns")
    for name in names:
        _check_name(name)
    for name, wanted in FIXED.items():
        _check_column(table, name, [wanted])
    _check_column(table, PREDICTION, VALUE_TYPES)
    for name in names:
        if name in FIXED or name == PREDICTION:
            continue
        _check_type(table, name, _wanted(name))
    _check_values(table)


def _check_name(name: str) -> None:
    known = [*FIXED, PREDICTION, SCORE, PROBABILITIES, SHARE]
    if name not in known and not name.startswith((FEATURE_PREFIX, HASHED_PREFIX, TENSOR_PREFIX, OUTPUT_PREFIX)):
        raise UnknownKey.among(name, known, where="a batch of predictions")


def prediction_keys(table: pa.Table) -> list[PredictionKey]:
    """Return the index entries of a batch, row by row."""
    kind = answer_kind(table.schema.field(PREDICTION).type)
    columns = (table.column(name).to_pylist() for name in ("prediction_id", "role", "version", "time_ms"))
    return [
        PredictionKey(prediction_id=name, answer=_answer(role, version), time_ms=time_ms, kind=kind)
        for name, role, version, time_ms in zip(*columns, strict=True)
    ]


def answer_kind(kind: pa.DataType) -> AnswerKind:
    """Return what kind of label a prediction column calls for."""
    if pa.types.is_boolean(kind):
        return AnswerKind.BOOLEAN
    return AnswerKind.TEXT if pa.types.is_string(kind) else AnswerKind.NUMBER


def feature_names(table: pa.Table) -> list[str]:
    """Return the names of the features, without their prefix, in the order of the columns."""
    return [name.removeprefix(FEATURE_PREFIX) for name in table.column_names if name.startswith(FEATURE_PREFIX)]


def tensor_names(table: pa.Table) -> list[str]:
    """Return the names of the tensors among the inputs, which are no features, without their prefix."""
    return [name.removeprefix(TENSOR_PREFIX) for name in table.column_names if name.startswith(TENSOR_PREFIX)]


def is_judged(name: str) -> bool:
    """Tell whether a column is one that a window's inputs and answers are judged by."""
    return name in {"time_ms", "version", "role", PREDICTION, SCORE} or name.startswith((FEATURE_PREFIX, TENSOR_PREFIX))


def _wanted(name: str) -> Iterable[pa.DataType]:
    if name in {SCORE, SHARE}:
        return (pa.float64(),)
    if name.startswith(HASHED_PREFIX):
        return (pa.string(),)
    return LIST_TYPES if _is_list(name) else VALUE_TYPES


def _is_list(name: str) -> bool:
    return name == PROBABILITIES or name.startswith((TENSOR_PREFIX, OUTPUT_PREFIX))


def _answer(role: str, version: int) -> str:
    return f"shadow/{version}" if role == Role.SHADOW else ""


def _check_column(table: pa.Table, name: str, wanted: Iterable[pa.DataType]) -> None:
    if name not in table.column_names:
        raise InvalidInput(f"a batch of predictions lacks the column '{name}'", field=name)
    _check_type(table, name, wanted)
    if table.column(name).null_count:
        raise InvalidInput(f"column '{name}' of a batch of predictions has a hole", field=name)


def _check_type(table: pa.Table, name: str, wanted: Iterable[pa.DataType]) -> None:
    found = table.schema.field(name).type
    if found not in set(wanted):
        expected = " or ".join(str(kind) for kind in wanted)
        raise InvalidInput(f"column '{name}' of a batch of predictions is {found}, not {expected}", field=name)


def _check_values(table: pa.Table) -> None:
    if table.num_rows == 0:
        return
    if pc.min(table.column("time_ms")).as_py() < 0:
        raise InvalidInput("a prediction lies before 1970; event times are milliseconds since then", field="time_ms")
    unknown = set(pc.unique(table.column("role")).to_pylist()) - set(Role)
    if unknown:
        raise InvalidInput(f"'{unknown.pop()}' is no role; known: {', '.join(Role)}", field="role")
    if SHARE in table.column_names:
        _check_share(table.column(SHARE))
    lengths = pc.utf8_length(table.column("prediction_id"))
    if pc.min(lengths).as_py() < 1 or pc.max(lengths).as_py() > MAX_ID_LENGTH:
        raise InvalidInput(f"a prediction id has 1 to {MAX_ID_LENGTH} characters", field="prediction_id")


def _check_share(shares: pa.ChunkedArray) -> None:
    given = shares.drop_null()
    if len(given) and not 0 < pc.min(given).as_py() <= pc.max(given).as_py() <= 1:
        raise InvalidInput("the share of captured predictions lies above 0 and is at most 1", field=SHARE)
