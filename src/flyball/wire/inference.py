"""Shapes of a model server: the Open Inference Protocol (version 2, REST) and MLflow's `/invocations`."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec

from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import InvalidInput

Scalar: TypeAlias = bool | int | float | str | None
"""A value of a table in JSON; null stands for a missing number, because JSON has no NaN."""

Row: TypeAlias = list[Scalar]

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a request: a key it does not know is an error, not a wish."""


class Shape(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A part of an answer."""


class NoParameters(Body):
    """The parameters of tensors: none is known here, so none is accepted."""


class InferParameters(Body):
    """What a caller may say about its rows: when they happened, what to call them, and what to route by."""

    event_time_ms: int | list[int] | None = None
    prediction_ids: list[str] | None = None
    sticky_key: str | None = None


class InputTensor(Body):
    """Rows of one column (`[n]`, `[n, 1]`), or all columns in the signature's order (`[n, k]`); data flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Scalar | Row]
    parameters: NoParameters = msgspec.field(default_factory=NoParameters)


class RequestedOutput(Body):
    """An output that the caller wants; all of them when none is named."""

    name: str
    parameters: NoParameters = msgspec.field(default_factory=NoParameters)


class InferBody(Body):
    """`POST /v2/models/{name}/infer`."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: InferParameters = msgspec.field(default_factory=InferParameters)
    outputs: list[RequestedOutput] = []


class OutputTensor(Shape):
    """An output, one value a row."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Scalar]


class AnswerParameters(Shape):
    """Under which ids labels will be joined to the rows, and in which role the version answered."""

    prediction_ids: list[str]
    role: str


class InferAnswerBody(Shape):
    """The answer to an infer request."""

    model_name: str
    model_version: str
    id: str
    parameters: AnswerParameters
    outputs: list[OutputTensor]


class Split(Body):
    """A pandas frame in its `split` orientation; the index plays no part."""

    columns: list[str]
    data: list[Row]
    index: list[int | str] | None = None


class InvocationsBody(Body):
    """`POST /invocations`: exactly one of the four ways to write rows; `params` as in an infer request."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Scalar]] | None = None
    inputs: dict[str, Scalar | Row] | list[Scalar | Row | dict[str, Scalar]] | None = None
    instances: list[Scalar | Row | dict[str, Scalar]] | None = None
    params: InferParameters = msgspec.field(default_factory=InferParameters)


class InvocationsAnswer(Shape):
    """MLflow's answer (`predictions`), and what is needed to join labels to it."""

    predictions: list[Scalar]
    prediction_ids: list[str]
    model_version: str


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


class ErrorBody(Shape):
    """The body of every error."""

    error: str


def decode(body: bytes, shape: type[ShapeT], *, what: str) -> ShapeT:
    """Parse a JSON body into a shape.

    Raises:
        UnknownKey: a key the shape does not have, with near misses.
        InvalidInput: no JSON, a wrong type or a missing key; `field` is its path.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{what} is no JSON: {error}; write a missing number as null", field="body") from error
