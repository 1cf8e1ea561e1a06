"""The route table's rows: a route says its permission, its shapes and its one verb, or it cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flyball.governance.entities import Principal
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, LimitExceeded
from flyball.server.direct import EXTENSION
from flyball.server.streaming import Incoming

if TYPE_CHECKING:
    from flyball.server.platform import Platform

BodyT = TypeVar("BodyT")
Public = Literal["public"]
PUBLIC: Public = "public"
"""Declared by the few routes that answer without an identity; there is no way to leave a permission out."""

V1_PREFIX = "/api/v1/"
NOBODY = "anonymous"


class Dialect(StrEnum):
    """How a route speaks of errors, and how strict it reads."""

    V1 = "v1"
    MLFLOW = "mlflow"


class Lane(StrEnum):
    """Where a route's handler runs."""

    POOL = "pool"
    """In a thread of its own, for as long as it takes."""
    READS = "reads"
    """With other short reads (see `lanes`)."""
    WRITES = "writes"
    """With other short writes, in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[BodyT]):
    """One request, authorised and parsed, as a handler sees it."""

    platform: Platform
    principal: Principal | None
    path: Mapping[str, str]
    body: BodyT
    request: Request

    @property
    def actor(self) -> str:
        """The identity that acts."""
        return self.principal.identity if self.principal else NOBODY

    def chunks(self, limit_bytes: int) -> Iterator[bytes]:
        """Yield the raw body as it arrives, for handlers of routes that stream.

        Raises:
            LimitExceeded: more than `limit_bytes` came.
            InvalidInput: the client went away before the end, so that nothing half-sent is kept.
        """
        received = 0
        try:
            for piece in self._pieces():
                received += len(piece)
                if received > limit_bytes:
                    raise LimitExceeded(f"the body is larger than the limit of {limit_bytes} bytes")
                yield piece
        except ClientDisconnect as error:
            raise InvalidInput("the client went away before the end of the body; send it again") from error

    def _pieces(self) -> Iterator[bytes]:
        lender = self.request.scope.get("extensions", {}).get(EXTENSION)
        borrowed = None if lender is None else lender.body()
        return Incoming(self.request.stream()).pieces() if borrowed is None else borrowed


Answer = msgspec.Struct | Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table.

    `request` is the shape of the JSON body, or of the query where the method has no body. A `streamed` route takes bytes as
    its body, which the handler reads by `Call.chunks`; `request` is then the shape of its query. Without a shape, a route of
    our own API takes no keys at all. `path` uses Starlette's templates.
    """

    method: str
    path: str
    permission: Permission | Public
    handler: Callable[[Call[Any]], Answer]
    summary: str
    request: type[msgspec.Struct] | None = None
    response: type[msgspec.Struct] | None = None
    dialect: Dialect = Dialect.V1
    status: int = 200
    streamed: bool = False
    lane: Lane = Lane.POOL
    together: Callable[[Sequence[Call[Any]]], Sequence[Answer | Exception]] | None = None
    """Answers many calls at once, each as `handler` would; for routes that have a lane."""
