"""From a request's bytes to the shape its route asks for: strict for our own API, lenient where the MLflow protocol is.

Whatever does not fit is an error that names the field, before a handler sees any of it.
"""

from __future__ import annotations

import re

import msgspec
from starlette.requests import ClientDisconnect, Request

from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import InvalidInput, LimitExceeded, UnknownKey
from flyball.server.mlflow.requests import read_message
from flyball.server.routing import Dialect, Route

BODILESS = frozenset({"GET", "DELETE", "HEAD"})
WHAT = "the request"
_EMPTY_BODIES = frozenset({b"", b"{}"})
# A NUL escaped in JSON, not a backslash followed by "u0000". PostgreSQL cannot keep a NUL in text.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


async def read_request(route: Route, request: Request, *, limit_bytes: int) -> msgspec.Struct | None:
    """Return the request in the shape of its route, None where the route has none.

    Raises:
        InvalidInput: an unknown key, a wrong type, a missing field, a key given twice, or no JSON.
        LimitExceeded: the body is larger than `limit_bytes`, or nested too deeply.
    """
    if route.dialect is Dialect.MLFLOW:
        return await _read_leniently(route, request, limit_bytes)
    _refuse_nul_in_path(request)
    if route.streamed or request.method in BODILESS:
        return _query(route, request)
    _refuse_keys(list(request.query_params))
    raw = await _body(request, limit_bytes)
    if route.request is None:
        if raw.strip() not in _EMPTY_BODIES:
            raise InvalidInput("this route takes no body; send none", field="body")
        return None
    return _decode(raw, route.request)


async def _read_leniently(route: Route, request: Request, limit_bytes: int) -> msgspec.Struct | None:
    if route.request is None:
        return None
    raw = b"" if request.method in BODILESS and not _has_body(request) else await _body(request, limit_bytes)
    return read_message(request, raw, route.request)


def _has_body(request: Request) -> bool:
    """Tell whether a request that needs no body brings one all the same."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in request.scope["headers"])


def _query(route: Route, request: Request) -> msgspec.Struct | None:
    if route.request is None:
        _refuse_keys(list(request.query_params))
        return None
    values = _values(request, route.request)
    for key, value in values.items():
        if not isinstance(value, list) and len(request.query_params.getlist(key)) > 1:
            raise InvalidInput(f"'{key[:80]}' is given more than once", field=key[:80])
        if "\0" in str(value):
            raise InvalidInput(f"'{key[:80]}' has a NUL character; leave it out", field=key[:80])
    return _convert(values, route.request)


def _values(request: Request, shape: type[msgspec.Struct]) -> dict[str, object]:
    """Take repeated parameters as lists exactly where the shape says list."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    lists = {name for name, field in fields.items() if "list" in str(field.type) or "tuple" in str(field.type)}
    values = request.query_params
    return {key: values.getlist(key) if key in lists else values[key] for key in values}


def _convert(values: dict[str, object], shape: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(values, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=WHAT) from error


def _decode(raw: bytes, shape: type[msgspec.Struct]) -> msgspec.Struct:
    if b"\\u0000" in raw and _NUL.search(raw):
        raise InvalidInput(
            "the body has a NUL character (\\u0000), which no database keeps; leave it out", field="body"
        )
    try:
        raw.decode()  # parts that are kept as they came are not looked at below
        return msgspec.json.decode(raw or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=WHAT) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is no JSON: {error}", field="body") from error
    except RecursionError as error:
        raise LimitExceeded("the body is nested too deeply", field="body") from error


async def _body(request: Request, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    received = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(chunk)
        if received > limit_bytes:
            raise LimitExceeded(f"the body is larger than the limit of {limit_bytes} bytes", field="body")
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_keys(keys: list[str]) -> None:
    if keys:
        raise UnknownKey(f"unknown key '{keys[0][:80]}' in the query; this route takes none", field=keys[0][:80])


def _refuse_nul_in_path(request: Request) -> None:
    for name, value in request.path_params.items():
        if "\0" in str(value):
            raise InvalidInput(f"'{name}' in the path has a NUL character; leave it out", field=name)
