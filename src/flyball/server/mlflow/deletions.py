"""Read the message of a DELETE: the MLflow client sends it as a body, other clients put it into the query."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from flyball.kernel.documents import invalid_document
from flyball.server.routing import Call

MAX_BYTES = 65_536

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)


def deletion(call: Call[None], shape: type[ShapeT]) -> ShapeT:
    """Return the message of a request whose route declares no body.

    Raises:
        InvalidInput: a field has another type.
        LimitExceeded: the body is larger than any such message.
    """
    raw = b"".join(call.chunks(MAX_BYTES))
    try:
        return msgspec.convert(_object(raw) or dict(call.request.query_params), type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what="the request") from error


def _object(raw: bytes) -> dict[str, object]:
    """Read a malformed body as an empty message, as MLflow's server does."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
