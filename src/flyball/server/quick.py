"""Calls that come by the thousand each second: admitted and read in one step.

Only what is plain is taken: a literal path that has a lane, a caller whose very head was admitted less than a second ago, a
body that reads at once. Everything else goes the usual way (see `app`), and so does whatever has to be refused: this says no
to nobody.
"""

from __future__ import annotations

import functools
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request

from flyball.governance.entities import Principal
from flyball.kernel.errors import FlyballError
from flyball.server.authentication import Authenticator, Recalled
from flyball.server.dispatch import RouteTable
from flyball.server.hosts import HostRule
from flyball.server.mlflow.clients import check_client
from flyball.server.mlflow.requests import check_content_type, fields_of
from flyball.server.platform import Platform
from flyball.server.routing import PUBLIC, Call, Dialect, Lane, Route

MOST_HEADS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """What was found out about the head of a request, apart from its path."""

    recalled: Recalled
    sends_json: bool


class QuickCalls:
    """Reads the calls that need no waiting. For the event loop's thread only."""

    def __init__(
        self,
        platform: Platform,
        routes: RouteTable,
        *,
        hosts: HostRule,
        authenticator: Authenticator,
        limit_bytes: int,
    ) -> None:
        self._platform = platform
        self._routes = routes
        self._hosts = hosts
        self._authenticator = authenticator
        self._limit_bytes = limit_bytes
        self._heads: dict[tuple[tuple[bytes, bytes], ...], _Admitted] = {}

    def read(self, scope: MutableMapping[str, Any], body: bytes) -> tuple[Route, Call[Any]] | None:
        """Return the route and the call of a request; None where it has to go the usual way."""
        match = self._routes.find_literal(scope["method"], scope["path"])
        if match is None or match.route.lane is Lane.POOL or match.route.dialect is not Dialect.MLFLOW:
            return None
        admitted = self._admitted(scope)
        if admitted is None or len(body) > self._limit_bytes or not _may(admitted.recalled.principal, match.route):
            return None
        message = _message(match.route, scope, body, sends_json=admitted.sends_json)
        if message is None:
            return None
        return match.route, Call(
            platform=self._platform,
            principal=admitted.recalled.principal,
            path=match.path_params,
            body=message,
            request=Request(scope),
        )

    def _admitted(self, scope: MutableMapping[str, Any]) -> _Admitted | None:
        # The length is of the body, and differs where nothing else does.
        head = tuple([header for header in scope["headers"] if header[0] != b"content-length"])
        found = self._heads.get(head)
        if found is None or not self._authenticator.holds(found.recalled):
            found = self._admit(Request(scope))
            if found is None:
                return None
            if len(self._heads) >= MOST_HEADS:
                self._heads = {}
            self._heads[head] = found
        return found

    def _admit(self, request: Request) -> _Admitted | None:
        if self._hosts.refusal(request.scope["headers"]) is not None:
            return None
        recalled = self._authenticator.recall(request)
        if recalled is None:
            return None
        try:
            check_client(request.headers.get("user-agent", ""))
        except FlyballError:
            return None
        return _Admitted(recalled=recalled, sends_json=_sends_json(request))


def _sends_json(request: Request) -> bool:
    try:
        check_content_type(request)
    except FlyballError:
        return False
    return True


def _may(principal: Principal, route: Route) -> bool:
    return route.permission != PUBLIC and principal.allows(route.permission)


def _message(route: Route, scope: MutableMapping[str, Any], body: bytes, *, sends_json: bool) -> msgspec.Struct | None:
    if route.request is None:
        return None
    try:
        if route.method == "POST":
            return _decoder(route.request).decode(body) if sends_json else None
        values = None if body else _query(scope["query_string"], route.request)
        return None if values is None else msgspec.convert(values, type=route.request, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@functools.cache
def _decoder(shape: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(shape, strict=False)


def _query(raw: bytes, shape: type[msgspec.Struct]) -> dict[str, str] | None:
    """Read a query of single values in plain letters; None for every other, also for an empty one."""
    if not raw or b"%" in raw or b"+" in raw:
        return None
    values: dict[str, str] = {}
    for pair in raw.decode("ascii").split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(name, value)
    fields = fields_of(shape)
    if any(is_list and name in values for name, is_list in fields):
        return None
    return {name: values[name] for name, _ in fields if name in values}
