"""Open Inference tensors to columns and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import Array, ColumnKind, ColumnSpec, Signature
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, Rows
from flyball.wire.inference import (
    AnswerParameters,
    InferAnswerBody,
    InferBody,
    InputTensor,
    ModelMetadata,
    OutputTensor,
    Scalar,
    TensorMetadata,
)

PREDICTION, SCORE = "prediction", "score"
# datatype: what numpy keeps it as, and the types that JSON may bring for it
_DATATYPES: dict[str, tuple[str, frozenset[type]]] = {
    "BOOL": ("bool", frozenset({bool})),
    "BYTES": ("object", frozenset({str})),
    **{
        f"{sign}INT{bits}": (f"{sign.lower()}int{bits}", frozenset({int}))
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": (f"float{bits}", frozenset({int, float, type(None)})) for bits in (16, 32, 64)},
}
_OF_KIND = {
    ColumnKind.BOOLEAN: "BOOL",
    ColumnKind.INTEGER: "INT32",
    ColumnKind.LONG: "INT64",
    ColumnKind.FLOAT: "FP32",
    ColumnKind.DOUBLE: "FP64",
    ColumnKind.STRING: "BYTES",
    ColumnKind.BINARY: "BYTES",
    ColumnKind.DATETIME: "BYTES",
}
_OF_DTYPE = {kept_as: datatype for datatype, (kept_as, _allowed) in _DATATYPES.items()}
_MATRIX_DIMENSIONS = 2


def to_request(body: InferBody, signature: Signature, *, caller: str, size_bytes: int) -> InferRequest:
    """Translate an infer request.

    Raises:
        InvalidInput: a tensor whose data do not fit its shape or type; `field` names it.
        Unsupported: a datatype that is not served.
    """
    return InferRequest(
        rows=_rows(body.inputs, signature),
        request_id=body.id,
        event_time_ms=body.parameters.event_time_ms,
        prediction_ids=body.parameters.prediction_ids,
        sticky_key=body.parameters.sticky_key,
        caller=caller,
        size_bytes=size_bytes,
    )


def to_answer(answer: InferAnswer, body: InferBody, *, model: str) -> InferAnswerBody:
    """Translate an answer, with the outputs that were asked for.

    Raises:
        InvalidInput: an output that there is not.
    """
    prediction = answer.prediction
    outputs = {PREDICTION: _output(PREDICTION, prediction.labels)}
    if prediction.scores is not None:
        outputs[SCORE] = _output(SCORE, prediction.scores)
    outputs |= {name: _output(name, values) for name, values in prediction.outputs.items()}
    wanted = [output.name for output in body.outputs] or list(outputs)
    for name in wanted:
        if name not in outputs:
            raise InvalidInput(f"there is no output '{name}'; there are: {', '.join(outputs)}", field="outputs")
    return InferAnswerBody(
        model_name=model,
        model_version=str(answer.version),
        id=answer.request_id,
        parameters=AnswerParameters(prediction_ids=list(answer.prediction_ids), role=answer.role),
        outputs=[outputs[name] for name in wanted],
    )


def to_metadata(name: str, signature: Signature, *, versions: Sequence[int]) -> ModelMetadata:
    """Describe the tensors of a model."""
    inputs = [_describe(spec) for spec in signature.inputs]
    outputs = []
    if signature.output is not None:
        widest = {ColumnKind.INTEGER: ColumnKind.LONG, ColumnKind.FLOAT: ColumnKind.DOUBLE}
        datatype = _OF_KIND[widest.get(signature.output, signature.output)]
        outputs = [TensorMetadata(name=PREDICTION, datatype=datatype, shape=[-1])]
    return ModelMetadata(
        name=name, versions=[str(version) for version in versions], platform="flyball", inputs=inputs, outputs=outputs
    )


def _describe(spec: ColumnSpec) -> TensorMetadata:
    if spec.tensor is None:
        return TensorMetadata(name=spec.name, datatype=_OF_KIND[spec.kind], shape=[-1])
    return TensorMetadata(name=spec.name, datatype=_OF_DTYPE[spec.tensor.dtype], shape=[-1, *spec.tensor.shape])


def _rows(tensors: Sequence[InputTensor], signature: Signature) -> Rows:
    if not tensors:
        raise InvalidInput("'inputs' is empty; send a tensor for each column, or one for all", field="inputs")
    if any(spec.tensor is not None for spec in signature.inputs):
        return _tensors(tensors, named=signature.named)
    if len(tensors) == 1 and len(tensors[0].shape) == _MATRIX_DIMENSIONS:
        return MatrixRows(values=_array(tensors[0]))
    columns: dict[str, Array] = {}
    for tensor in tensors:
        if tensor.name in columns:
            raise InvalidInput(f"tensor '{tensor.name}' is sent twice", field=tensor.name)
        columns[tensor.name] = _column(tensor)
    return NamedRows(columns=columns)


def _tensors(tensors: Sequence[InputTensor], *, named: bool) -> Rows:
    if not named and len(tensors) == 1:
        return PositionalRows(columns=(_array(tensors[0]),))
    names = [tensor.name for tensor in tensors]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"tensor '{name}' is sent twice", field=name)
    return NamedRows(columns={tensor.name: _array(tensor) for tensor in tensors})


def _column(tensor: InputTensor) -> Array:
    if tensor.shape[1:] not in ([], [1]):
        raise InvalidInput(
            f"tensor '{tensor.name}' has shape {tensor.shape}; a column has [rows] or [rows, 1], and a matrix of all "
            "columns comes alone",
            field=tensor.name,
        )
    return _array(tensor).ravel()


def _array(tensor: InputTensor) -> Array:
    if tensor.datatype not in _DATATYPES:
        raise Unsupported(
            f"tensor '{tensor.name}' is {tensor.datatype}; served here: {', '.join(_DATATYPES)}", field=tensor.name
        )
    kept_as, allowed = _DATATYPES[tensor.datatype]
    values = _flat(tensor)
    strange = set(map(type, values)) - allowed
    if strange:
        names = ", ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in strange))
        raise InvalidInput(f"tensor '{tensor.name}' is {tensor.datatype} and its data hold {names}", field=tensor.name)
    try:
        return np.array(values, dtype=kept_as).reshape(tensor.shape)
    except OverflowError as error:
        raise InvalidInput(
            f"tensor '{tensor.name}' holds a number beyond {tensor.datatype}: {error}", field=tensor.name
        ) from error


def _flat(tensor: InputTensor) -> list[Scalar]:
    if any(size < 0 for size in tensor.shape) or not tensor.shape:
        raise InvalidInput(f"tensor '{tensor.name}' has the impossible shape {tensor.shape}", field=tensor.name)
    nested = [row for row in tensor.data if isinstance(row, list)]
    if nested and (len(nested) != len(tensor.data) or {len(row) for row in nested} != {math.prod(tensor.shape[1:])}):
        raise InvalidInput(
            f"tensor '{tensor.name}' has rows that do not fit its shape {tensor.shape}", field=tensor.name
        )
    values = [value for row in nested for value in row] or [
        value for value in tensor.data if not isinstance(value, list)
    ]
    if len(values) != math.prod(tensor.shape):
        raise InvalidInput(
            f"tensor '{tensor.name}' has {len(values)} values, its shape {tensor.shape} wants {math.prod(tensor.shape)}",
            field=tensor.name,
        )
    return values


def _output(name: str, values: Array) -> OutputTensor:
    return OutputTensor(
        name=name, shape=list(values.shape), datatype=_OF_DTYPE[values.dtype.name], data=values.ravel().tolist()
    )
