"""From a request's bytes to a message of the protocol: lenient where MLflow's server is, in its words where something does not fit.

A malformed body reads as an empty message, a body encoded twice (old clients) is decoded twice, and a field of another type
is an error that shows the value. MLflow's server drops such a field, and all that follow it, unless it happens to check it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping

import msgspec
from starlette.requests import Request

from flyball.kernel.errors import InvalidInput

SEE_DOCS = " See the API docs for more information about request parameters."
MAX_SHOWN = 2_000
"""Characters of a wrong value that an error repeats."""

_JSON = "application/json"
_WITH_CONTENT_TYPE = frozenset({"POST", "PUT"})
_QUERIED = frozenset({"GET", "HEAD"})
_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`")
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]")


def read_message(request: Request, raw: bytes, shape: type[msgspec.Struct]) -> msgspec.Struct:
    """Return the message of a request: its query where it is a GET that has one, else its body.

    Raises:
        InvalidInput: the body is not declared as JSON, or a field has another type.
    """
    if request.method in _WITH_CONTENT_TYPE:
        check_content_type(request)
    if request.method in _QUERIED and request.query_params:
        return _convert(_query(request, shape), shape)
    try:
        return msgspec.json.decode(raw or b"{}", type=shape, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _convert(_object(raw), shape)


def check_content_type(request: Request) -> None:
    """Accept a body that says it is JSON.

    Raises:
        InvalidInput: it says something else, or nothing.
    """
    declared = request.headers.get("content-type")
    if declared is None:
        raise InvalidInput("Bad Request. Content-Type header is missing.", field="content-type")
    if declared.split(";")[0].strip() != _JSON:
        raise InvalidInput(f"Bad Request. Content-Type must be one of ['{_JSON}'].", field="content-type")


def invalid_value(value: object, field: str, *, hint: str = "") -> InvalidInput:
    """Say in MLflow's words that a value does not fit."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)[:MAX_SHOWN]
    said = hint or f" Hint: Value was of type '{type(value).__name__}'.{SEE_DOCS}"
    return InvalidInput(f"Invalid value {shown} for parameter '{field}' supplied: {said}", field=field)


def _query(request: Request, shape: type[msgspec.Struct]) -> dict[str, object]:
    """Take repeated parameters as lists exactly where the shape says list; elsewhere the first counts."""
    values: dict[str, object] = {}
    for name, is_list in fields_of(shape):
        given = request.query_params.getlist(name)
        if given:
            values[name] = given if is_list else given[0]
    return values


@functools.cache
def fields_of(shape: type[msgspec.Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the fields' names, and whether each is a list; worked out once, for `runs/get` asks at every turn."""
    return tuple(
        (field.encode_name, "list" in str(field.type) or "tuple" in str(field.type))
        for field in msgspec.structs.fields(shape)
    )


def _object(raw: bytes) -> Mapping[str, object]:
    """Read what is no message in the first place as Python does, which knows NaN; what stays unreadable is empty."""
    value: object = raw.decode(errors="replace")
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return {}
    return value if isinstance(value, dict) and _is_text(value) else {}


def _is_text(value: object) -> bool:
    """Tell whether all texts of a document can be written: half of a surrogate pair cannot, though Python reads it."""
    try:
        return bool(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _convert(values: Mapping[str, object], shape: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(values, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise _fault(values, str(error)) from error


def _fault(values: Mapping[str, object], text: str) -> InvalidInput:
    found = _PATH.search(text)
    path = found["path"] if found else ""
    value: object = values
    for step in _STEP.finditer(path):
        value = _below(value, step)
    return invalid_value(value, path.removeprefix("."))


def _below(value: object, step: re.Match[str]) -> object:
    if isinstance(value, dict):
        return value.get(step["field"])
    return value[int(step["index"])] if isinstance(value, list | tuple) and step["index"] else None
