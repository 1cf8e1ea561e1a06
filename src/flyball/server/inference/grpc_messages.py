"""The messages of `inference.GRPCInferenceService`, made from a table of their fields when this module is imported.

The protocol is published as a .proto file; a field's number and type are all that the wire knows of it. They live in a pool of
their own, because clients of the protocol register the same names in the common one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE: Final = "inference"
SERVICE: Final = "inference.GRPCInferenceService"
_REPEATED, _MAP = "repeated ", "map "
_TENSOR: Final = {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64")}
_PARAMETERS: Final = "map InferParameter"
_CONTENTS: Final = {"parameters": (4, _PARAMETERS), "contents": (5, "InferTensorContents")}
_MODEL: Final = {"name": (1, "string"), "version": (2, "string")}
_ANSWERED: Final = {
    "model_name": (1, "string"),
    "model_version": (2, "string"),
    "id": (3, "string"),
    "parameters": (4, _PARAMETERS),
}
_REPOSITORY: Final = {"repository_name": (1, "string"), "model_name": (2, "string")}

# message: field: (number, type). Messages stand behind those they are made of.
_FIELDS: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "InferParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "double_param": (4, "double"),
        "uint64_param": (5, "uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"),
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"),
        "bytes_contents": (8, "repeated bytes"),
    },
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_MODEL, "extensions": (3, "repeated string")},
    "ModelMetadataRequest": _MODEL,
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "repeated string"),
        "platform": (3, "string"),
        "inputs": (4, "repeated TensorMetadata"),
        "outputs": (5, "repeated TensorMetadata"),
        # Not in the protocol, which has properties over HTTP only; where MLServer has them.
        "parameters": (6, _PARAMETERS),
    },
    "InferInputTensor": _TENSOR | _CONTENTS,
    "InferRequestedOutputTensor": {"name": (1, "string"), "parameters": (2, _PARAMETERS)},
    "ModelInferRequest": {
        **_ANSWERED,
        "inputs": (5, "repeated InferInputTensor"),
        "outputs": (6, "repeated InferRequestedOutputTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "InferOutputTensor": _TENSOR | _CONTENTS,
    "ModelInferResponse": {
        **_ANSWERED,
        "outputs": (5, "repeated InferOutputTensor"),
        "raw_output_contents": (6, "repeated bytes"),
    },
    "ModelIndex": {**_MODEL, "state": (3, "string"), "reason": (4, "string")},
    "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
    "RepositoryIndexResponse": {"models": (1, "repeated ModelIndex")},
    "RepositoryModelLoadRequest": _REPOSITORY,
    "RepositoryModelLoadResponse": {"model_name": (1, "string"), "isLoaded": (2, "bool")},
    "RepositoryModelUnloadRequest": _REPOSITORY,
    "RepositoryModelUnloadResponse": {"model_name": (1, "string"), "isUnloaded": (2, "bool")},
}
# Of these, at most one is set; which one is asked by this name.
CHOICE: Final = "parameter_choice"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="flyball/inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        if name == "InferParameter":
            message.oneof_decl.add(name=CHOICE)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith(_MAP):
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind.removeprefix(_MAP))
        kind = f"{_REPEATED}{message.name}.{entry.name}"
    if kind.startswith(_REPEATED):
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    kind = kind.removeprefix(_REPEATED)
    if kind[0].isupper():
        field.type, field.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    if message.oneof_decl:
        field.oneof_index = 0


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _FIELDS}


MESSAGES: Final[Mapping[str, Any]] = _classes()
"""The class of each message by its name. What protobuf makes at run time has no type that a checker could know."""
