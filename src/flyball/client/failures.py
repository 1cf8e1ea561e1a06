"""From an HTTP error back to the error that the server raised."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from flyball.kernel import errors
from flyball.kernel.errors import FlyballError


class _Detail(msgspec.Struct):
    code: str
    message: str
    field: str | None = None


class _Body(msgspec.Struct):
    error: _Detail


_BY_CODE: dict[str, type[FlyballError]] = {
    kind.code.value: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FlyballError)
}


def raise_for(status: int, content: bytes) -> NoReturn:
    """Raise what the server said; an answer that is not ours (a proxy's) becomes a plain error with its status."""
    try:
        detail = msgspec.json.decode(content, type=_Body).error
    except msgspec.DecodeError:
        text = content[:200].decode(errors="replace")
        raise FlyballError(f"the server answered with status {status}: {text}") from None
    raise _BY_CODE.get(detail.code, FlyballError)(detail.message, field=detail.field)
