"""Find the route of a request: literal paths by one look into a table, templates by their patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.convertors import Convertor
from starlette.routing import compile_path

from flyball.server.routing import Route

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The route of a request, and what its path says."""

    route: Route
    path_params: Mapping[str, Any]


class RouteTable:
    """All routes. A literal path goes before a template, so that `/runs/search` is not taken for a run called `search`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[str, dict[str, Match]] = {}
        self._templates: list[tuple[re.Pattern[str], dict[str, Convertor[Any]], Route]] = []
        for route in sorted(routes, key=lambda route: (route.path.count("{"), ":path}" in route.path)):
            if "{" in route.path:
                pattern, _, convertors = compile_path(route.path)
                self._templates.append((pattern, convertors, route))
            else:
                match = Match(route=route, path_params=_NOTHING)
                self._literal.setdefault(route.path, {}).setdefault(route.method, match)

    def find(self, method: str, path: str) -> Match | None:
        """Return the route of a method and path; HEAD is answered by the route of GET."""
        wanted = "GET" if method == "HEAD" else method
        literal = self.find_literal(wanted, path)
        if literal is not None:
            return literal
        for pattern, convertors, route in self._templates:
            found = pattern.match(path) if route.method == wanted else None
            if found:
                values = {name: convertors[name].convert(text) for name, text in found.groupdict().items()}
                return Match(route=route, path_params=values)
        return None

    def find_literal(self, method: str, path: str) -> Match | None:
        """Return the route of a method and a path that no template is needed for."""
        methods = self._literal.get(path)
        return None if methods is None else methods.get(method)

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path is served by, in order."""
        served = set(self._literal.get(path, ())) | {
            route.method for pattern, _, route in self._templates if pattern.match(path)
        }
        return sorted(served | ({"HEAD"} if "GET" in served else set()))
