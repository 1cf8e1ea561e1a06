"""The infer request of the Open Inference Protocol over HTTP: JSON, and tensors as bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from msgspec import UNSET, Raw, UnsetType

from flyball.kernel.errors import InvalidInput
from flyball.server.inference.datatypes import datatype_of, from_bytes, name_of, plain, to_bytes
from flyball.server.inference.exchange import JSON, OCTETS, Asker, Exchange, Reply
from flyball.server.inference.json_arrays import read_array, read_flat
from flyball.server.inference.tensors import (
    MATRIX_DIMENSIONS,
    Tensor,
    check_content_type,
    count_of,
    outputs_of,
    rows_of,
)
from flyball.serving.entities import Array, Matrix, Signature
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.row_ids import json_of
from flyball.serving.signature import MatrixRows, NamedRows, Rows
from flyball.wire.inference import (
    AnswerParameters,
    InferAnswerBody,
    InferBody,
    InferParameters,
    InputTensor,
    OutputTensor,
    RequestedOutput,
    SizeParameters,
    decode,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
MICROSECONDS = 1_000_000
_NOTHING = InferParameters()
_FLOATS = frozenset({"FP32", "FP64"})


def read_infer(body: bytes, asker: Asker, *, header_length: int | None = None) -> Exchange:
    """Read an infer request. `header_length` is how much of the body is JSON, where bytes follow.

    Raises:
        InvalidInput: a tensor whose data do not fit its shape or type; `field` names it.
        Unsupported: a datatype that is not served.
    """
    length = len(body) if header_length is None else header_length
    if not 0 <= length <= len(body):
        raise InvalidInput(f"{HEADER_LENGTH} is {length}, the body has {len(body)} bytes", field=HEADER_LENGTH)
    view = memoryview(body)
    asked = decode(view[:length], InferBody, what="the infer request")
    _check_names(asked, asker)
    parameters = asked.parameters or _NOTHING
    check_content_type(parameters.content_type, None, tensor="inputs")
    request = InferRequest(
        rows=_one_matrix(asked.inputs, asker.signature)
        or _side_by_side(asked.inputs, asker.signature)
        or rows_of(_tensors(asked.inputs, view[length:]), asker.signature),
        request_id=asked.id or "",
        event_time_ms=parameters.event_time_ms,
        prediction_ids=parameters.prediction_ids,
        sticky_key=parameters.sticky_key,
        caller=asker.caller,
        version=asker.version,
        size_bytes=len(body),
    )
    return Exchange(
        request=request, write=partial(_write, asked, asker.model), timeout_s=seconds_of(parameters.timeout)
    )


def _check_names(asked: InferBody, asker: Asker) -> None:
    if asked.model_name is not None and asked.model_name != asker.model:
        raise InvalidInput(
            f"the body is for model '{asked.model_name}', the path for '{asker.model}'", field="model_name"
        )
    if asked.model_version and asker.version is not None and asked.model_version != str(asker.version):
        raise InvalidInput(
            f"the body is for version '{asked.model_version}', the path for {asker.version}", field="model_version"
        )


def seconds_of(timeout: int | None) -> float | None:
    """Return the time that a request gives itself, which the protocol's clients count in microseconds.

    Raises:
        InvalidInput: no time at all.
    """
    if timeout is None:
        return None
    if timeout <= 0:
        raise InvalidInput(f"timeout is {timeout}; give microseconds, more than none", field="timeout")
    return timeout / MICROSECONDS


def _one_matrix(inputs: Sequence[InputTensor], signature: Signature) -> Rows | None:
    """Return the rows of a request as most are: one tensor [n, k] of numbers, flat; None for any other, and for a wrong one."""
    if len(inputs) != 1 or len(signature.inputs) == 1:
        return None
    [tensor] = inputs
    shape, data = tensor.shape, tensor.data
    if tensor.parameters is not None or tensor.datatype not in _FLOATS or isinstance(data, UnsetType):
        return None
    if len(shape) != MATRIX_DIMENSIONS or min(shape) < 0:
        return None
    try:
        values = read_flat(data, tensor.datatype)
    except msgspec.ValidationError:
        return None
    return MatrixRows(values=values.reshape(shape)) if len(values) == shape[0] * shape[1] else None


def _side_by_side(inputs: Sequence[InputTensor], signature: Signature) -> Rows | None:
    """Return columns of JSON numbers that are alike as one matrix, which costs little more than one of them; else None."""
    first = inputs[0] if inputs else None
    if first is None or len(inputs) != len(signature.inputs) or len(inputs) == 1 or first.datatype not in _FLOATS:
        return None
    pieces: list[bytes | Raw] = []
    for tensor in inputs:
        if tensor.datatype != first.datatype or tensor.shape != first.shape or tensor.parameters is not None:
            return None
        if isinstance(tensor.data, UnsetType):
            return None
        pieces.append(tensor.data)
    names = tuple(tensor.name for tensor in inputs)
    if len(first.shape) != 1 or len(set(names)) != len(names) or any(spec.tensor for spec in signature.inputs):
        return None
    joined = Raw(b"[" + b",".join(pieces) + b"]")
    shape = (len(inputs), first.shape[0])
    try:
        values = read_array(joined, datatype_of(first.datatype, tensor=first.name), shape, tensor=first.name)
    except InvalidInput:  # which tensor it is about is found out one by one
        return None
    return NamedRows(columns=Matrix(names, values.T))


def _tensors(inputs: Sequence[InputTensor], tail: memoryview) -> list[Tensor]:
    found, at = [], 0
    for tensor in inputs:
        datatype = datatype_of(tensor.datatype, tensor=tensor.name)
        count = count_of(tensor.shape, tensor=tensor.name)
        parameters = tensor.parameters
        size = None
        if parameters is not None:
            check_content_type(parameters.content_type, datatype, tensor=tensor.name)
            size = parameters.binary_data_size
        if size is None:
            if tensor.data is UNSET:
                raise InvalidInput(f"tensor '{tensor.name}' has no data", field=tensor.name)
            found.append(Tensor(tensor.name, read_array(tensor.data, datatype, tensor.shape, tensor=tensor.name)))
            continue
        at += _size(tensor, size, len(tail) - at)
        values = from_bytes(tail[at - size : at], datatype, count=count, tensor=tensor.name)
        is_text = parameters is not None and parameters.content_type == "base64"
        found.append(Tensor(tensor.name, values.reshape(tensor.shape), is_text))
    if at != len(tail):
        raise InvalidInput(f"{len(tail) - at} bytes behind the JSON belong to no tensor", field="inputs")
    return found


def _size(tensor: InputTensor, size: int, left: int) -> int:
    if tensor.data is not UNSET:
        raise InvalidInput(f"tensor '{tensor.name}' has its data twice: in the JSON and behind it", field=tensor.name)
    if not 0 <= size <= left:
        raise InvalidInput(
            f"tensor '{tensor.name}' says {size} bytes, {left} are left behind the JSON; is {HEADER_LENGTH} right?",
            field=tensor.name,
        )
    return size


def _write(asked: InferBody, model: str, answer: InferAnswer) -> Reply:
    """Write an answer, with the outputs that were asked for.

    Raises:
        InvalidInput: an output that there is not.
    """
    in_bytes = asked.parameters is not None and asked.parameters.binary_data_output
    wanted: Sequence[str] = ()
    as_bytes: Mapping[str, bool] = {}
    if asked.outputs:
        wanted, as_bytes = [output.name for output in asked.outputs], _as_bytes(asked.outputs)
    outputs: list[OutputTensor] = []
    tail: list[bytes] = []
    for name, values in outputs_of(answer.prediction, wanted).items():
        is_binary = as_bytes.get(name, in_bytes)
        outputs.append(_output(name, values, tail if is_binary else None))
    head = msgspec.json.encode(
        InferAnswerBody(
            model_name=model,
            model_version=str(answer.version),
            id=answer.request_id,
            parameters=AnswerParameters(prediction_ids=Raw(json_of(answer.prediction_ids)), role=answer.role),
            outputs=outputs,
        )
    )
    if not tail:
        return Reply(body=head, media_type=JSON)
    return Reply(body=b"".join([head, *tail]), media_type=OCTETS, headers=((HEADER_LENGTH, str(len(head))),))


def _as_bytes(outputs: Sequence[RequestedOutput]) -> dict[str, bool]:
    """Return for each output that says it whether its data come as bytes."""
    return {
        output.name: output.parameters.binary_data
        for output in outputs
        if output.parameters is not None and output.parameters.binary_data is not None
    }


def _output(name: str, values: Array, tail: list[bytes] | None) -> OutputTensor:
    """Describe an output; its data go behind the JSON where there is a tail for them."""
    shape, datatype = list(values.shape), name_of(values.dtype)
    if tail is None:
        return OutputTensor(name=name, shape=shape, datatype=datatype, data=plain(values))
    tail.append(to_bytes(values))
    return OutputTensor(
        name=name, shape=shape, datatype=datatype, parameters=SizeParameters(binary_data_size=len(tail[-1]))
    )
