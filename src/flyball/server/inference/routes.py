"""The route table of the model server: each row says its permission and its one verb, or it cannot be made."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from flyball.governance.permissions import Permission
from flyball.server.inference.exchange import Exchange
from flyball.server.inference.http import METHOD_NOT_ALLOWED, NOT_FOUND, Answer, Call, Refused
from flyball.server.routing import Public
from flyball.serving.plane import DataPlane

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
Prepare: TypeAlias = Callable[[Call], tuple[DataPlane, Callable[[bytes], Exchange]] | None]
"""By the head of a request, tell who is asked and how the body is read; None where that has to be waited for."""

# A path is looked for among the patterns once, then remembered. Paths hold names of models, of which there are few; whoever
# makes up others empties the memory, and nothing else.
REMEMBERED = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row. `path` may name parts of it in braces (`/v2/models/{name}`); a part is what stands between two slashes.

    A route with `prepare` answers what is predicted, and may be taken without a task (see `quick`).
    """

    method: str
    path: str
    permission: Permission | Public
    handler: Handler
    summary: str
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The route of a request, and what its path says."""

    route: Route
    path: Mapping[str, str]


class RouteTable:
    """All routes. A literal path goes before a pattern."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: route.path.count("{")))
        self._patterns = [(_pattern(route.path), route) for route in self.routes]
        self._found: dict[tuple[str, str], Match] = {}

    def find(self, method: str, path: str) -> Match:
        """Return the route of a method and path; HEAD is answered by the route of GET.

        Raises:
            Refused: there is none.
        """
        match = self._found.get((method, path))
        if match is None:
            match = self._look(method, path)
            if len(self._found) >= REMEMBERED:
                self._found = {}
            self._found[method, path] = match
        return match

    def recalled(self, method: str, path: str) -> Match | None:
        """Return the route of a method and path that were asked for before; else None."""
        return self._found.get((method, path))

    def _look(self, method: str, path: str) -> Match:
        wanted = "GET" if method == "HEAD" else method
        fitting = [(route, found) for pattern, route in self._patterns if (found := pattern.fullmatch(path))]
        for route, found in fitting:
            if route.method == wanted:
                return Match(route=route, path=found.groupdict())
        if not fitting:
            raise Refused("there is nothing at this path", status=NOT_FOUND)
        allowed = ", ".join(sorted({route.method for route, _ in fitting}))
        raise Refused(
            f"{method} is not answered at this path; {allowed} is",
            status=METHOD_NOT_ALLOWED,
            headers=[(b"allow", allowed.encode())],
        )


def get(path: str, permission: Permission | Public, handler: Handler, summary: str) -> Route:
    """Return a row that reads."""
    return Route(method="GET", path=path, permission=permission, handler=handler, summary=summary)


def post(
    path: str, permission: Permission | Public, handler: Handler, summary: str, *, prepare: Prepare | None = None
) -> Route:
    """Return a row that asks for something to be done."""
    return Route(method="POST", path=path, permission=permission, handler=handler, summary=summary, prepare=prepare)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))
