"""The shapes of an endpoint's requests and answers as JSON Schema, and examples of them, made from a model's signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from flyball.server.inference.datatypes import DATATYPES, OF_KIND, name_of
from flyball.serving.entities import ColumnKind, ColumnSpec, Signature

Node: TypeAlias = dict[str, Any]

_INT32: Final = 2**31
_VALUES: Final[Mapping[ColumnKind, Node]] = {
    ColumnKind.BOOLEAN: {"type": "boolean"},
    ColumnKind.INTEGER: {"type": "integer", "minimum": -_INT32, "maximum": _INT32 - 1},
    ColumnKind.LONG: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    ColumnKind.FLOAT: {"type": ["number", "null"], "format": "float"},
    ColumnKind.DOUBLE: {"type": ["number", "null"], "format": "double"},
    ColumnKind.STRING: {"type": "string"},
    ColumnKind.BINARY: {"type": "string", "contentEncoding": "base64"},
    ColumnKind.DATETIME: {"type": "string", "format": "date-time"},
}
_EXAMPLES: Final[Mapping[ColumnKind, object]] = {
    ColumnKind.BOOLEAN: True,
    ColumnKind.INTEGER: 1,
    ColumnKind.LONG: 1,
    ColumnKind.FLOAT: 0.5,
    ColumnKind.DOUBLE: 0.5,
    ColumnKind.STRING: "text",
    ColumnKind.BINARY: "Ynl0ZXM=",
    ColumnKind.DATETIME: "2026-01-31T12:00:00Z",
}
_ID: Final[Node] = {"type": "string", "minLength": 1, "maxLength": 200}
_PARAMETERS: Final[Node] = {
    "event_time_ms": {
        "description": "When the rows happened, in milliseconds since 1970: one moment for all, or one a row.",
        "oneOf": [{"type": "integer", "minimum": 0}, {"type": "array", "items": {"type": "integer", "minimum": 0}}],
    },
    "prediction_ids": {
        "description": "Names for the rows, under which labels are joined later.",
        "type": "array",
        "items": _ID,
        "uniqueItems": True,
    },
    "sticky_key": {"description": "What routing is drawn by: the same key gets the same version.", "type": "string"},
}
_TENSOR_PARAMETERS: Final[Node] = {
    "binary_data_output": {"description": "Send all outputs as bytes behind the JSON.", "type": "boolean"},
    "content_type": {"type": "string", "enum": ["np", "pd", "str", "datetime", "base64"]},
    "timeout": {"description": "The time that the request has, in microseconds.", "type": "integer", "minimum": 1},
}


def schemas_of(signature: Signature) -> Node:
    """Return the schema of each part by its name."""
    return {
        "Row": _row(signature),
        "Invocation": _ways(signature),
        "InferRequest": _infer_request(signature),
        "Predictions": {
            "type": "object",
            "required": ["predictions", "prediction_ids", "model_version"],
            "properties": {
                "predictions": {"type": "array", "items": _label(signature)},
                "prediction_ids": {"type": "array", "items": _ID},
                "model_version": {"type": "string"},
            },
        },
        "InferAnswer": {
            "type": "object",
            "required": ["model_name", "model_version", "id", "outputs"],
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": _ID,
                "parameters": {"type": "object"},
                "outputs": {"type": "array", "items": _tensor({"type": "string"}, {"type": "string"})},
            },
        },
        "ModelMetadata": {"type": "object", "required": ["name", "versions", "platform", "inputs", "outputs"]},
        "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    }


def _row(signature: Signature) -> Node:
    return {
        "type": "object",
        "required": [spec.name for spec in signature.inputs if spec.required],
        "properties": {spec.name: _value(spec) for spec in signature.inputs},
        "additionalProperties": False,
    }


def _value(spec: ColumnSpec) -> Node:
    if spec.tensor is None:
        return dict(_VALUES[spec.kind])
    said = f"{name_of_tensor(spec)} of shape {list(spec.tensor.shape)}"
    return {"type": "array", "description": said} if spec.tensor.shape else {"description": said}


def _ways(signature: Signature) -> Node:
    """Return the four ways in which a table may be sent; the frame only where columns have names."""
    columns = {"type": "array", "items": {}, "minItems": 1}
    params = {"type": "object", "properties": _PARAMETERS, "additionalProperties": False}
    ways: dict[str, Node] = {"inputs": {}, "instances": {"type": "array", "minItems": 1}}
    if signature.named:
        ways["dataframe_records"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}
        ways["dataframe_split"] = {
            "type": "object",
            "required": ["columns", "data"],
            "properties": {
                "columns": {"type": "array", "items": {"enum": list(signature.names)}, "uniqueItems": True},
                "data": {"type": "array", "minItems": 1, "items": columns},
                "index": {"type": "array"},
            },
            "additionalProperties": False,
        }
    one_of = [
        {
            "type": "object",
            "required": [way],
            "properties": {way: schema, "params": params},
            "additionalProperties": False,
        }
        for way, schema in ways.items()
    ]
    return {"oneOf": one_of, "examples": [{"dataframe_records": [example_row(signature)]}] if signature.named else []}


def _infer_request(signature: Signature) -> Node:
    tensors = [_tensor({"const": spec.name}, {"const": name_of_tensor(spec)}) for spec in signature.inputs]
    matrix = _tensor({"type": "string"}, {"enum": list(DATATYPES)})
    parameters = {"type": "object", "properties": _PARAMETERS | _TENSOR_PARAMETERS, "additionalProperties": False}
    output = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": _ID,
            "inputs": {
                "description": "A tensor for each column, or one for all columns in this order.",
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [*tensors, matrix]},
            },
            "outputs": {"type": "array", "items": output},
            "parameters": parameters,
        },
        "additionalProperties": False,
        "examples": [example_infer(signature.inputs)],
    }


def _tensor(name: Node, datatype: Node) -> Node:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": name,
            "datatype": datatype,
            "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }


def name_of_tensor(spec: ColumnSpec) -> str:
    """Return the datatype in which a column is usually sent."""
    return OF_KIND[spec.kind] if spec.tensor is None else name_of(np.dtype(spec.tensor.dtype))


def _label(signature: Signature) -> Node:
    return {} if signature.output is None else dict(_VALUES.get(signature.output, {}))


def example_row(signature: Signature) -> Node:
    """Return a row that the signature takes, as JSON."""
    return {spec.name: _example(spec) for spec in signature.inputs}


def _example(spec: ColumnSpec) -> object:
    if spec.tensor is None:
        return _EXAMPLES[spec.kind]
    value: object = "text" if spec.tensor.dtype == "object" else 0
    for size in reversed(spec.tensor.shape):
        value = [value] * max(size, 1)
    return value


def example_infer(specs: Sequence[ColumnSpec]) -> Node:
    """Return an infer request of one row that these columns take."""
    inputs = []
    for spec in specs:
        shape = [1, *(max(size, 1) for size in spec.tensor.shape)] if spec.tensor else [1]
        inputs.append({"name": spec.name, "shape": shape, "datatype": name_of_tensor(spec), "data": [_example(spec)]})
    return {"inputs": inputs}
