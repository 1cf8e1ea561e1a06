"""Bodies that come folded (gzip, deflate): unfolded up to the limit of any body, and not a byte further."""

from __future__ import annotations

import zlib
from typing import Final

from flyball.kernel.errors import InvalidInput, LimitExceeded
from flyball.server.inference.http import UNREAD_TYPE, Refused

IDENTITY: Final = "identity"
# zlib's numbers for the wrapping around the same method; HTTP's "deflate" is the one that zlib calls by its own name.
_WRAPPINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def unfolded(body: bytes, encoding: str, *, limit_bytes: int) -> bytes:
    """Return a body as it was before its content encoding.

    Raises:
        Refused: an encoding that is not read here.
        LimitExceeded: it unfolds to more than that.
        InvalidInput: it is not what it says, or ends too early.
    """
    name = encoding.strip().lower()
    if name == IDENTITY:
        return body
    if name not in _WRAPPINGS:
        raise Refused(f"content encoding '{name}' is not read here; read: gzip, deflate", status=UNREAD_TYPE)
    stream = zlib.decompressobj(_WRAPPINGS[name])
    try:
        whole = stream.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(f"the body is no {name}: {error}", field="body") from error
    if len(whole) > limit_bytes:
        raise LimitExceeded(f"the body unfolds to more than the limit of {limit_bytes} bytes; send fewer rows at once")
    if not stream.eof or stream.unused_data:
        raise InvalidInput(f"the body is no whole {name} stream", field="body")
    return whole
