"""From an HTTP error back to the error that the server raised."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from flyball.kernel import errors
from flyball.kernel.errors import FlyballError
from flyball.wire.v1.failure import ErrorBody

_BY_CODE: dict[str, type[FlyballError]] = {
    kind.code.value: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FlyballError)
}


def raise_for(status: int, content: bytes) -> NoReturn:
    """Raise what the server said; an answer that is not ours (a proxy's) becomes a plain error with its status."""
    try:
        detail = msgspec.json.decode(content, type=ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = content[:200].decode(errors="replace").strip()
        raise FlyballError(f"the server answered with status {status}: {text}") from None
    raise error_of(detail.code, detail.message, field=detail.field)


def error_of(code: str, message: str, *, field: str | None = None) -> FlyballError:
    """Return the error of a public name; the root of all where this release does not know it."""
    return _BY_CODE.get(code, FlyballError)(message, field=field)
