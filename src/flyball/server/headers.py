"""Headers that tell a browser to trust nothing of an answer that the answer does not ask for itself."""

from __future__ import annotations

from typing import Final

from starlette.types import Message, Send

# A stored file may be a web page that somebody wrote: opened from here it gets no script, no frame and no origin.
DEFAULTS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


_ENCODED: Final = [(name.encode(), value.encode()) for name, value in DEFAULTS.items()]
JSON_HEADERS: Final = ((b"content-type", b"application/json"), *_ENCODED)
"""Headers of an answer in JSON, apart from its length."""


def with_secure_headers(send: Send) -> Send:
    """Add the headers that an answer does not set itself to what is sent."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message["headers"] = given + [header for header in _ENCODED if header[0] not in names]
        await send(message)

    return send_with_headers
