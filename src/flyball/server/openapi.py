"""The OpenAPI document of `/api/v1`, made from the same rows that are served."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

import flyball
from flyball.server.routing import PUBLIC, Dialect, Route
from flyball.server.table import all_routes
from flyball.wire.v1.failure import ErrorBody

_TEMPLATE = re.compile(r"\{(?P<name>[a-z_]+)(:path)?\}")
_REF = "#/components/schemas/{name}"
_BODILESS = frozenset({"GET", "DELETE"})


def document() -> dict[str, Any]:
    """Return the document; equal route tables give equal documents."""
    routes = [route for route in all_routes() if route.dialect is Dialect.V1 and route.path.startswith("/api/v1/")]
    shapes = {shape for route in routes for shape in (route.request, route.response) if shape is not None} | {ErrorBody}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    by_shape = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in sorted(routes, key=lambda row: (row.path, row.method)):
        path = _TEMPLATE.sub(r"{\g<name>}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_shape, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Flyball", "version": flyball.__version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, by_shape: dict[type[msgspec.Struct], Any], components: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": found["name"], "in": "path", "required": True, "schema": {"type": "string"}}
        for found in _TEMPLATE.finditer(route.path)
    ]
    content = {"application/json": {"schema": by_shape[route.response]}} if route.response else {"*/*": {}}
    error = {"description": "An error", "content": {"application/json": {"schema": by_shape[ErrorBody]}}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.handler.__module__.rsplit('.', 1)[-1]}_{route.handler.__name__}",
        "responses": {str(route.status): {"description": "Done", "content": content}, "default": error},
        "x-permission": str(route.permission),
    }
    if route.permission != PUBLIC:
        operation["security"] = [{"token": []}]
    if route.request is not None and (route.streamed or route.method in _BODILESS):
        parameters += _query(components[route.request.__name__])
    elif route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_shape[route.request]}},
        }
    if route.streamed:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": shape}
        for name, shape in schema.get("properties", {}).items()
    ]


def main() -> None:
    """Write the document to the path given."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
