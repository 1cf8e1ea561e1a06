"""The infer request of the Open Inference Protocol as protobuf messages: tensors typed, or as bytes beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import InvalidInput
from flyball.server.inference.datatypes import BYTES, Datatype, datatype_of, from_bytes, name_of, plain, to_bytes
from flyball.server.inference.exchange import Asker
from flyball.server.inference.grpc_messages import CHOICE, MESSAGES
from flyball.server.inference.infer import seconds_of
from flyball.server.inference.tensors import Tensor, check_content_type, count_of, outputs_of, rows_of
from flyball.serving.entities import Array
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.row_ids import json_of
from flyball.wire.inference import InferParameters, OutputParameters, TensorParameters

# protobuf's classes are made at run time and have no type that a checker could know.
ProtoMessage = Any
ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)

# FP16 has no typed field in the protocol; it comes and goes as bytes.
_CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
# A parameter of the protocol is one value; of several, it is their JSON.
_LISTS: Final = ("event_time_ms", "prediction_ids")
_NOTHING: Final = InferParameters()
_ANSWER, _OUTPUT = MESSAGES["ModelInferResponse"], MESSAGES["InferOutputTensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcExchange:
    """A request as it was read, and how its answer is written. `timeout_s` is the time that its parameters give it."""

    request: InferRequest
    write: Callable[[InferAnswer], ProtoMessage]
    timeout_s: float | None


def read_message(message: ProtoMessage, asker: Asker) -> GrpcExchange:
    """Read a `ModelInferRequest`. It is answered in bytes when it came in bytes.

    Raises:
        InvalidInput: a tensor whose data do not fit its shape or type; `field` names it.
        Unsupported: a datatype that is not served.
    """
    said = _parameters(message.parameters, InferParameters, where="inputs") if message.parameters else _NOTHING
    check_content_type(said.content_type, None, tensor="inputs")
    raw = message.raw_input_contents
    request = InferRequest(
        rows=rows_of(_raw_tensors(message.inputs, raw) if raw else _typed_tensors(message.inputs), asker.signature),
        request_id=message.id,
        event_time_ms=said.event_time_ms,
        prediction_ids=said.prediction_ids,
        sticky_key=said.sticky_key,
        caller=asker.caller,
        version=asker.version,
        size_bytes=message.ByteSize(),
    )
    wanted, in_bytes = _wanted(message.outputs, bool(raw) or said.binary_data_output)
    write = partial(_write, asker.model, wanted, in_bytes)
    return GrpcExchange(request=request, write=write, timeout_s=seconds_of(said.timeout))


def _raw_tensors(inputs: Sequence[ProtoMessage], raw: Sequence[bytes]) -> list[Tensor]:
    if len(raw) != len(inputs):
        raise InvalidInput(
            f"{len(raw)} raw contents for {len(inputs)} tensors; either all tensors come raw or none", field="inputs"
        )
    found = []
    for tensor, data in zip(inputs, raw, strict=True):
        if tensor.HasField("contents"):
            raise InvalidInput(f"tensor '{tensor.name}' has its data twice: typed and raw", field=tensor.name)
        datatype, shape, is_text = _described(tensor, len(data))
        values = from_bytes(data, datatype, count=count_of(shape, tensor=tensor.name), tensor=tensor.name)
        found.append(Tensor(tensor.name, values.reshape(shape), is_text))
    return found


def _typed_tensors(inputs: Iterable[ProtoMessage]) -> list[Tensor]:
    found = []
    for tensor in inputs:
        datatype, shape, is_text = _described(tensor, None)
        values = _typed(tensor, datatype)
        count = count_of(shape, tensor=tensor.name)
        if len(values) != count:
            raise InvalidInput(
                f"tensor '{tensor.name}' has {len(values)} values, its shape {list(shape)} wants {count}",
                field=tensor.name,
            )
        found.append(Tensor(tensor.name, values.reshape(shape), is_text))
    return found


def _described(tensor: ProtoMessage, size: int | None) -> tuple[Datatype, tuple[int, ...], bool]:
    """Return what a tensor says of itself, and whether its bytes are text whatever its column takes."""
    datatype, content_type = datatype_of(tensor.datatype, tensor=tensor.name), None
    if tensor.parameters:
        said = _parameters(tensor.parameters, TensorParameters, where=tensor.name)
        content_type = said.content_type
        check_content_type(content_type, datatype, tensor=tensor.name)
        if said.binary_data_size is not None and said.binary_data_size != size:
            raise InvalidInput(
                f"tensor '{tensor.name}' says {said.binary_data_size} bytes, {size or 0} came", field=tensor.name
            )
    return datatype, tuple(tensor.shape), content_type == "base64"


def _typed(tensor: ProtoMessage, datatype: Datatype) -> Array:
    name = _CONTENTS.get(datatype.name)
    for field, _ in tensor.contents.ListFields():
        if field.name != name:
            raise InvalidInput(
                f"tensor '{tensor.name}' is {datatype.name} and has its data in {field.name}; "
                + (f"they belong into {name}" if name else "send them raw"),
                field=tensor.name,
            )
    values = list(getattr(tensor.contents, name)) if name else []
    try:
        if datatype.name == BYTES:
            pieces = np.empty(len(values), dtype=object)
            pieces[:] = values
            return pieces
        return np.array(values, dtype=datatype.dtype)
    except OverflowError as error:
        raise InvalidInput(
            f"tensor '{tensor.name}' holds a number beyond {datatype.name}: {error}", field=tensor.name
        ) from error


def _parameters(given: Mapping[str, ProtoMessage], shape: type[ShapeT], *, where: str) -> ShapeT:
    what = f"the parameters of '{where}'"
    said = {name: _value(choice) for name, choice in given.items()}
    for name in _LISTS:
        text = said.get(name)
        if isinstance(text, str):
            try:
                said[name] = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise InvalidInput(f"{what}: {name} is no JSON: {error}", field=name) from error
    try:
        return msgspec.convert(said, shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=what) from error


def _value(choice: ProtoMessage) -> object:
    name = choice.WhichOneof(CHOICE)
    return None if name is None else getattr(choice, name)


def _wanted(outputs: Iterable[ProtoMessage], in_bytes: bool) -> tuple[list[str], bool]:  # noqa: FBT001 -- a fact, no switch
    """Return the names of the outputs that are asked for, and whether bytes are: all outputs are raw, or none is."""
    names, said = [], set()
    for output in outputs:
        names.append(output.name)
        if output.parameters:
            said.add(_parameters(output.parameters, OutputParameters, where=output.name).binary_data)
    said.discard(None)
    if len(said) > 1:
        raise InvalidInput("binary_data is true for some outputs; over gRPC it is the same for all", field="outputs")
    return names, said.pop() is True if said else in_bytes


def _write(model: str, wanted: Sequence[str], in_bytes: bool, answer: InferAnswer) -> ProtoMessage:  # noqa: FBT001 -- as above
    outputs = outputs_of(answer.prediction, wanted)
    names = {name: name_of(values.dtype) for name, values in outputs.items()}
    raw = in_bytes or any(name not in _CONTENTS for name in names.values())
    message = _ANSWER(
        model_name=model,
        model_version=str(answer.version),
        id=answer.request_id,
        outputs=[_output(name, names[name], values, typed=not raw) for name, values in outputs.items()],
        raw_output_contents=[to_bytes(values) for values in outputs.values()] if raw else (),
    )
    message.parameters["prediction_ids"].string_param = json_of(answer.prediction_ids).decode()
    message.parameters["role"].string_param = answer.role
    return message


def _output(name: str, datatype: str, values: Array, *, typed: bool) -> ProtoMessage:
    output = _OUTPUT(name=name, datatype=datatype, shape=values.shape)
    if typed:
        flat = plain(values)
        if datatype == BYTES:
            flat = [value if isinstance(value, bytes) else str(value).encode() for value in flat]
        getattr(output.contents, _CONTENTS[datatype]).extend(flat)
    return output
