"""The head of an answer as bytes: lines that are checked before they are sent, and those that come again and again ready-made."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from uvicorn._types import HTTPResponseStartEvent

Headers = tuple[tuple[bytes, bytes], ...]

_BODILESS_STATUSES: Final = frozenset({204, 304})
_OK: Final = 200
# Names whose values hardly vary, so that they need not be looked through again; none of them carries a secret.
_REPEATED: Final = frozenset(
    {
        b"cache-control",
        b"content-security-policy",
        b"content-type",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"date",
        b"referrer-policy",
        b"x-content-type-options",
    }
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def head_lines(head: HTTPResponseStartEvent, *, length: int) -> list[bytes] | None:
    """Return the status line and the headers of an answer that says its length; None for any other."""
    status = head["status"]
    if status < _OK or status in _BODILESS_STATUSES:
        return None
    lines = [STATUS_LINE[status]]
    is_measured = False
    for given, value in head.get("headers", ()):
        name = given.lower()
        if name in _REPEATED:
            lines.append(line(name, value))
            continue
        if name in {b"connection", b"transfer-encoding"}:
            return None
        if name == b"content-length":
            if is_measured or value != b"%d" % length:
                return None
            is_measured = True
        lines.append(checked_line(name, value))
    return lines if is_measured else None


def checked_line(name: bytes, value: bytes) -> bytes:
    """Write a header as a line.

    Raises:
        RuntimeError: it holds what would be read as another header.
    """
    if not _NAME.fullmatch(name) or _FORBIDDEN_IN_VALUE.search(value):
        raise RuntimeError(f"invalid HTTP header {name[:80]!r}")
    return b"%b: %b\r\n" % (name, value)


line = lru_cache(maxsize=128)(checked_line)


@lru_cache(maxsize=32)
def prepared_head(status: int, headers: Headers) -> bytes:
    """Write the status line and headers that come again and again."""
    return STATUS_LINE[status] + b"".join(checked_line(name, value) for name, value in headers)
