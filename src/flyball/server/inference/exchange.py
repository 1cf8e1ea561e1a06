"""What every protocol comes down to: bytes in, a request; an answer, bytes out. No transport here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from flyball.serving.entities import Signature
from flyball.serving.requests import InferAnswer, InferRequest

JSON = "application/json"
OCTETS = "application/octet-stream"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


# Structs, because there is one of each for every request (see `serving/requests.py`).
class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks which model: the name by which it was called, its version where one is demanded, and its signature."""

    caller: str
    model: str
    signature: Signature
    version: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer, and the headers that it needs."""

    body: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was read, and how its answer is written. `timeout_s` is the time that its body gives it."""

    request: InferRequest
    write: Callable[[InferAnswer], Reply]
    timeout_s: float | None = None
