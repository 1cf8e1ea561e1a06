"""Send a stored file: streamed, never shown by the browser, and never ended as if whole when its bytes are damaged."""

from __future__ import annotations

import contextlib
import mimetypes
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from flyball.artifacts.entities import Entry
from flyball.server.direct import EXTENSION
from flyball.server.streaming import read_ahead

# Sent as plain text, so that people can read them in the browser's download list and tools do not guess.
TEXT_NAMES = frozenset({"MLmodel", "MLproject", "mlproject"})
TEXT_SUFFIXES = frozenset(
    {".txt", ".log", ".err", ".cfg", ".conf", ".cnf", ".cf", ".ini", ".properties", ".prop", ".hocon", ".toml", ".yaml",
     ".yml", ".xml", ".json", ".js", ".py", ".py3", ".csv", ".tsv", ".md", ".rst", ".ipynb"}
)  # fmt: skip


SHORTEST_DIRECT_BYTES = 4 << 20

# What may stand in a header without quotes.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def download(entry: Entry, chunks: Iterator[bytes]) -> Response:
    """Answer with a file as an attachment."""
    name = posixpath.basename(entry.path)
    headers = {
        # Set here, because a response that is told its type adds a charset, which nobody knows.
        "content-type": media_type(name),
        "content-disposition": disposition(name),
        "x-content-type-options": "nosniff",
        "content-length": str(entry.size_bytes),
    }
    return _Download(hold_back(chunks), size_bytes=entry.size_bytes or 0, headers=headers)


class _Download(StreamingResponse):
    """A file, which goes past the event loop where it is long and its connection lends its socket (see `direct`)."""

    def __init__(self, pieces: Iterator[bytes], *, size_bytes: int, headers: Mapping[str, str]) -> None:
        super().__init__(read_ahead(pieces), headers=headers)
        self._pieces = pieces
        self._size_bytes = size_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lender = scope.get("extensions", {}).get(EXTENSION)
        if lender is None or self._size_bytes < SHORTEST_DIRECT_BYTES or scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        first = await run_in_threadpool(next, self._pieces, b"")
        await send({"type": "http.response.body", "body": first, "more_body": True})
        with contextlib.suppress(ClientDisconnect):
            await lender.write(self._pieces)
            await send({"type": "http.response.body", "body": b""})


def media_type(name: str) -> str:
    """Guess the type from the name.

    >>> media_type("MLmodel"), media_type("a.png"), media_type("model.skops")
    ('text/plain', 'image/png', 'application/octet-stream')
    """
    suffix = posixpath.splitext(name)[1]
    if name in TEXT_NAMES or suffix in TEXT_SUFFIXES:
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def disposition(name: str) -> str:
    """Write the header that makes a download of any file name (RFC 6266, with RFC 8187 for other than ASCII).

    >>> disposition("model.pkl"), disposition('a "b".txt')
    ('attachment; filename=model.pkl', 'attachment; filename="a _b_.txt"')
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "download"
    plain = "".join(mark if mark.isprintable() and mark not in '"\\' else "_" for mark in ascii_name)
    shown = plain if _TOKEN.fullmatch(plain) else f'"{plain}"'
    if name.isascii():
        return f"attachment; filename={shown}"
    return f"attachment; filename={shown}; filename*=UTF-8''{quote(name, safe='')}"


def hold_back(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each chunk when the next is there.

    The store finds damage after the last chunk. Held back until then, the client misses bytes of the promised length and
    knows that the file is broken.
    """
    held = b""
    for chunk in chunks:
        if held:
            yield held
        held = chunk
    if held:
        yield held
