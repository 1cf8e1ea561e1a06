"""Shapes of the Open Inference Protocol, version 2, as JSON, with its binary tensors and its model repository."""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import InvalidInput

Scalar: TypeAlias = bool | int | float | str | None
"""A value in JSON; null stands for a missing number, because JSON has no NaN."""

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a request: a key it does not know is an error, not a wish."""


class Shape(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A part of an answer."""


class RowParameters(Body):
    """What a caller may say about its rows: when they happened, what to call them, and what to route by."""

    event_time_ms: int | list[int] | None = None
    prediction_ids: list[str] | None = None
    sticky_key: str | None = None


class InferParameters(RowParameters):
    """The same for a request of tensors, and how they are written.

    `binary_data_output` asks for all outputs as bytes, `content_type` says what the tensors stand for, and `timeout` is the
    time that the caller has, in microseconds.
    """

    binary_data_output: bool = False
    content_type: str | None = None
    timeout: int | None = None


class TensorParameters(Body):
    """`binary_data_size`: the data lie behind the JSON and are that long. `content_type`: what they stand for."""

    binary_data_size: int | None = None
    content_type: str | None = None


class InputTensor(Body):
    """Rows of one column (`[n]`, `[n, 1]`), all columns in the signature's order (`[n, k]`), or a tensor; data flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: Raw | UnsetType = UNSET
    parameters: TensorParameters | None = None


class OutputParameters(Body):
    """`binary_data`: whether the data come behind the JSON; as the request says where it is left out."""

    binary_data: bool | None = None


class RequestedOutput(Body):
    """An output that the caller wants; all of them when none is named."""

    name: str
    parameters: OutputParameters | None = None


class InferBody(Body):
    """`POST /v2/models/{name}/infer`. Some clients repeat the name and version of the path in the body."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: InferParameters | None = None
    outputs: list[RequestedOutput] | None = None
    model_name: str | None = None
    model_version: str | None = None


class SizeParameters(Shape):
    """How many bytes behind the JSON belong to a tensor."""

    binary_data_size: int


class OutputTensor(Shape):
    """An output. Its data are here, flat, or `binary_data_size` bytes of what follows the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: SizeParameters | UnsetType = UNSET
    data: list[Scalar] | UnsetType = UNSET


class AnswerParameters(Shape):
    """Under which ids labels will be joined to the rows (a list of texts), and in which role the version answered."""

    prediction_ids: Raw
    role: str


class InferAnswerBody(Shape):
    """The answer to an infer request."""

    model_name: str
    model_version: str
    id: str
    parameters: AnswerParameters
    outputs: list[OutputTensor]


class TensorMetadata(Shape):
    """A column as a tensor; `-1` stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Shape):
    """`GET /v2/models/{name}`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] = {}


class ServerMetadata(Shape):
    """`GET /v2`."""

    name: str
    version: str
    extensions: list[str]


class Liveness(Shape):
    """`GET /v2/health/live`."""

    live: bool


class Readiness(Shape):
    """`GET /v2/health/ready`."""

    ready: bool


class ModelReadiness(Shape):
    """`GET /v2/models/{name}/ready`."""

    name: str
    ready: bool


class IndexBody(Body):
    """`POST /v2/repository/index`: `ready` leaves out what cannot be asked."""

    ready: bool = False


class IndexedModel(Shape):
    """A version in the index. `state` is READY or UNAVAILABLE, `reason` says why."""

    name: str
    version: str
    state: str
    reason: str


class RepositoryBody(Body):
    """`POST /v2/repository/models/{name}/load` and `/unload`; parameters are in the way of a signed version, so none is taken."""

    parameters: dict[str, Scalar] | None = None


class ErrorBody(Shape):
    """The body of every error."""

    error: str


def decode(body: bytes | memoryview, shape: type[ShapeT], *, what: str) -> ShapeT:
    """Parse a JSON body into a shape. A bare NaN, which some clients write, is read as null.

    Raises:
        UnknownKey: a key the shape does not have, with near misses.
        InvalidInput: no JSON, a wrong type or a missing key; `field` is its path.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=what) from error
    except RecursionError as error:
        raise InvalidInput(f"{what} is nested too deeply", field="body") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"NaN" not in bytes(body) and b"Infinity" not in bytes(body):
            raise InvalidInput(f"{what} is no JSON: {error}; write a missing number as null", field="body") from error
    return decode(_without_nan(bytes(body), what=what), shape, what=what)


def _without_nan(body: bytes, *, what: str) -> bytes:
    """Write Python's dialect of JSON as JSON."""
    try:
        return msgspec.json.encode(json.loads(body, parse_constant=_missing))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is no JSON: {error}; write a missing number as null", field="body") from error


def _missing(constant: str) -> None:
    if constant != "NaN":
        _refuse_infinity(constant)


def _refuse_infinity(constant: str) -> NoReturn:
    raise InvalidInput(f"{constant} is no number of JSON, and no model here is asked about it", field="body")
