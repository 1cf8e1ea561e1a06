"""Tensors of the Open Inference Protocol to rows, and predictions to tensors; however they were written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.server.inference.datatypes import BYTES, OF_KIND, Datatype, name_of, texts_of
from flyball.serving.entities import Array, ColumnKind, ColumnSpec, Matrix, Prediction, Signature
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, Rows
from flyball.wire.inference import ModelMetadata, TensorMetadata

PREDICTION, SCORE, PROBABILITIES = "prediction", "score", "probabilities"
MATRIX_DIMENSIONS = 2
# What clients of the protocol say a tensor stands for, and the datatypes of which it can be said; all of it is what the
# signature makes of the tensor anyway.
_CONTENT_TYPES: Final[Mapping[str, frozenset[str] | None]] = {
    "np": None,
    "pd": None,
    "str": frozenset({BYTES}),
    "datetime": frozenset({BYTES}),
    "base64": frozenset({BYTES}),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request: its values in its shape. `is_text` says of BYTES that they are text, whatever the column."""

    name: str
    values: Array
    is_text: bool = True


def count_of(shape: Sequence[int], *, tensor: str) -> int:
    """Return how many values a shape holds.

    Raises:
        InvalidInput: no shape, or a negative size in it.
    """
    if not shape or min(shape) < 0:
        raise InvalidInput(f"tensor '{tensor}' has the impossible shape {list(shape)}", field=tensor)
    return math.prod(shape)


def check_content_type(content_type: str | None, datatype: Datatype | None, *, tensor: str) -> None:
    """Refuse what a tensor cannot stand for.

    Raises:
        InvalidInput: a content type that is not known here, or not of this datatype.
    """
    if content_type is None:
        return
    if content_type not in _CONTENT_TYPES:
        raise InvalidInput(
            f"'{tensor}': content type '{content_type}' is not known here; known: {', '.join(_CONTENT_TYPES)}",
            field=tensor,
        )
    wanted = _CONTENT_TYPES[content_type]
    if wanted is not None and datatype is not None and datatype.name not in wanted:
        raise InvalidInput(f"tensor '{tensor}' is {datatype.name} and cannot be '{content_type}'", field=tensor)


def rows_of(tensors: Sequence[Tensor], signature: Signature) -> Rows:
    """Make rows of tensors: one a column, or one for all columns in the signature's order, whatever it is called.

    Raises:
        InvalidInput: no tensor, the same one twice, or one that is no column; `field` names it.
    """
    if not tensors:
        raise InvalidInput("'inputs' is empty; send a tensor for each column, or one for all", field="inputs")
    if len(tensors) == 1:
        alone = _alone(tensors[0], signature)
        if alone is not None:
            return alone
    _refuse_twice([tensor.name for tensor in tensors])
    return NamedRows(columns=_columns(tensors, {spec.name: spec for spec in signature.inputs}))


def _alone(tensor: Tensor, signature: Signature) -> Rows | None:
    """Return the rows of a tensor that brings all columns, or is the only one that the model wants; None for a column."""
    if len(signature.inputs) == 1:
        [spec] = signature.inputs
        values = _typed(tensor, spec)
        return PositionalRows(columns=(values if spec.tensor is not None else _column(tensor.name, values),))
    values = tensor.values
    if values.ndim != MATRIX_DIMENSIONS:
        return None
    if values.dtype != object:
        return MatrixRows(values=values)
    columns = [Tensor(tensor.name, column, tensor.is_text) for column in values.T]
    return PositionalRows(columns=tuple(_typed(column, spec) for column, spec in _paired(columns, signature)))


def _paired(columns: Sequence[Tensor], signature: Signature) -> list[tuple[Tensor, ColumnSpec | None]]:
    specs: Sequence[ColumnSpec | None] = signature.inputs
    return list(zip(columns, specs if len(specs) == len(columns) else [None] * len(columns), strict=True))


def _columns(tensors: Sequence[Tensor], specs: Mapping[str, ColumnSpec]) -> Mapping[str, Array]:
    """Return columns by name; as one matrix where they are alike, because a matrix is checked and joined at once."""
    columns = {}
    for tensor in tensors:
        spec = specs.get(tensor.name)
        typed = _typed(tensor, spec)
        columns[tensor.name] = typed if spec is not None and spec.tensor is not None else _column(tensor.name, typed)
    kinds = {(column.dtype, len(column), column.ndim) for column in columns.values()}
    [dtype, _rows, dimensions] = next(iter(kinds))
    if len(kinds) > 1 or dtype.kind != "f" or dimensions != 1:
        return columns
    return Matrix(tuple(columns), np.array(list(columns.values())).T)


def _typed(tensor: Tensor, spec: ColumnSpec | None) -> Array:
    """Return a tensor's values, bytes as texts unless the column takes bytes."""
    if tensor.values.dtype != object or (spec is not None and spec.kind is ColumnKind.BINARY and not tensor.is_text):
        return tensor.values
    return texts_of(tensor.values, tensor=tensor.name)


def _column(name: str, values: Array) -> Array:
    if values.ndim == 1:
        return values
    if values.shape[1:] != (1,):
        raise InvalidInput(
            f"tensor '{name}' has shape {list(values.shape)}; a column has [rows] or [rows, 1], and a matrix of all "
            "columns comes alone",
            field=name,
        )
    return values[:, 0]


def _refuse_twice(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"tensor '{name}' is sent twice", field=name)


def outputs_of(prediction: Prediction, wanted: Sequence[str]) -> dict[str, Array]:
    """Return the outputs that were asked for, all of them when none is named; `probabilities` only when it is.

    Raises:
        InvalidInput: an output that there is not.
    """
    outputs = {PREDICTION: prediction.labels}
    if prediction.scores is not None:
        outputs[SCORE] = prediction.scores
    outputs |= prediction.outputs
    if not wanted:
        return outputs
    if prediction.probabilities is not None:
        outputs.setdefault(PROBABILITIES, prediction.probabilities)
    for name in wanted:
        if name not in outputs:
            raise InvalidInput(f"there is no output '{name}'; there are: {', '.join(outputs)}", field="outputs")
    return {name: outputs[name] for name in wanted}


def to_metadata(
    name: str, signature: Signature, *, versions: Sequence[int], properties: Mapping[str, str] | None = None
) -> ModelMetadata:
    """Describe the tensors of a model, and how it is served."""
    outputs = []
    if signature.output is not None:
        widest = {ColumnKind.INTEGER: ColumnKind.LONG, ColumnKind.FLOAT: ColumnKind.DOUBLE}
        datatype = OF_KIND[widest.get(signature.output, signature.output)]
        outputs = [TensorMetadata(name=PREDICTION, datatype=datatype, shape=[-1])]
    return ModelMetadata(
        name=name,
        versions=[str(version) for version in versions],
        platform="flyball",
        inputs=[_described(spec) for spec in signature.inputs],
        outputs=outputs,
        properties=dict(properties or {}),
    )


def _described(spec: ColumnSpec) -> TensorMetadata:
    if spec.tensor is None:
        return TensorMetadata(name=spec.name, datatype=OF_KIND[spec.kind], shape=[-1])
    return TensorMetadata(name=spec.name, datatype=name_of(np.dtype(spec.tensor.dtype)), shape=[-1, *spec.tensor.shape])
