"""Requests of the MLflow protocol for fuzzing, made from the route table: what its shapes ask for, bent in every way."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import inspect
from tests.api.accepted_requests import Recipe, recipe_of

from flyball.server.routing import Route

KNOWN = ("experiment_id", "run_id", "model_id", "name", "version", "alias", "path")
"""What the server has when a request arrives; a request holds `<run_id>`, which is filled in when it is sent."""

WORDS = (
    "", " ", "a", "0", "-1", "1", "latest", "None", "Production", "READY", "FINISHED", "ALL", "DELETED_ONLY", "mlflow.runName",
    "mlflow.user", "loss", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a//b", "%2e%2e", "a#b", "file:///etc/passwd",
    "runs:/<run_id>/model", "models:/<name>/<version>", "models:/<name>@<alias>", "models:/<model_id>",
    "mlflow-artifacts:/<path>", "s3://bucket/key", "\0", "a\0b", "\u202e", "\ud800", "\U0001f3c3", "é" * 300, "x" * 9_000,
    "'", '"', "`", "\\", "%", "_", "; DROP TABLE runs; --", "{}", "[]", "null", "true", "NaN", "Infinity", "1e400",
    "9" * 30, "٣", "0x10", "1_000", "\n", "m-" + "0" * 32, "0" * 32,
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 5, 100, 50_000, 50_001, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**40, 10**400,
    0.0, -0.0, 0.5, -1.5, 5e-324, 1.7976931348623157e308, 1e22,
)  # fmt: skip
FILTER_PARTS = (
    "metrics.loss", "metrics.`loss`", 'metrics."a b"', "params.depth", "tags.team", "tags.`mlflow.runName`", "attributes.status",
    "attr.start_time", "run_id", "run_name", "name", "version_number", "source_path", "dataset.name", "datasets.context",
    "creation_time", "last_update_time", "end_time", "params", "metrics.", ".", "x.y.z", "=", "!=", ">", ">=", "<", "<=", "LIKE",
    "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL", "AND", "and", "OR", "(", ")", "('a', 'b')", "('a',)", "()", "(1, 2)",
    "'a'", '"a"', "'%'", "'_%\\'", "'", '"', "`", "1", "-1", "1e5", "1e999", "nan", "inf", "9" * 25, "''", "ASC", "DESC", ",",
    ";", "--", "'\0'", "'\U0001f3c3'", "\u3000", "%", "'<run_id>'", "'<name>'", "((((((((((",
)  # fmt: skip
CONTENT_TYPES = (
    "application/json", "application/json; charset=utf-8", "application/json; charset=utf-16", "text/plain", "",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream", "a/b/c", "\u00e9",
)  # fmt: skip
RAW_BODIES = (
    b"", b"{", b"}", b"null", b"[]", b"[{}]", b'"text"', b"1", b"1e999", b"NaN", b"\xff\xfe", b'{"a": "\xff"}', b'{"a": "\\ud800"}',
    b"\xef\xbb\xbf{}", b"{}{}", b'{"run_id": "a", "run_id": "b"}', b"run_id=a&key=b", b"\x1f\x8b\x08\x00", b"\x00" * 64,
    b"[" * 20_000, b'{"a":' * 20_000, b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", b'{"' + b"k" * 20_000 + b'": 1}',
    b'{"max_results": ' + b"9" * 5_000 + b"}", b'{"key": "a", "value": 1e-999999999}', b'{"tags": ' + b"{}," * 3_000 + b"}",
)  # fmt: skip
QUERIES = (
    "",
    "",
    "",
    "a",
    "=",
    "&&",
    "a=1&a=2",
    "run_id=%zz",
    "run_id=%ff%fe",
    "path=%00",
    "max_results=9e9;x",
    "%",
    "x[]=1",
    "?",
)
# What is left out only by a request that is bent on purpose.
NEEDED = frozenset(
    {
        "experiment_id",
        "experiment_ids",
        "run_id",
        "run_ids",
        "model_id",
        "name",
        "new_name",
        "key",
        "version",
        "alias",
        "source",
        "stage",
    }
)
RIGHT = {
    "source": ("models:/<model_id>",),
    "filter": (
        "",
        "metrics.loss > 0.1",
        "params.depth = '3' AND tags.team LIKE 'gr%'",
        "name = '<name>'",
        "tags.team = 'grid'",
    ),
    "order_by": ("metrics.loss DESC", "name ASC", "start_time"),
    "page_token": ("",),
    "statu": ("FINISHED", "LOGGED_MODEL_READY", "READY"),
    "view_type": ("ALL",),
    "run_view_type": ("ACTIVE_ONLY",),
    "stage": ("Production",),
    "metric_key": ("loss",),
    "path": ("", "a.txt", "MLmodel"),
    "deployment_job_id": ("",),
    "artifact_location": ("",),
    "new_name": ("renamed", "<name>"),
}
METHODS = ("HEAD", "OPTIONS", "PATCH", "PUT", "DELETE", "GET", "POST", "TRACE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request as it will be sent, the known names still to be filled in."""

    method: str
    path: str
    query: str
    body: bytes | None
    headers: Mapping[str, str]

    def filled(self, known: Mapping[str, str]) -> tuple[str, str, bytes | None]:
        """Return method, address and body with the names that this server knows."""
        address, body = self.path + ("?" + self.query if self.query else ""), self.body
        for key, value in known.items():
            address = address.replace(quote(f"<{key}>", safe=""), quote(value, safe="/"))
            body = None if body is None else body.replace(f"<{key}>".encode(), value.encode())
        return self.method, address, body


def accepted(route: Route) -> Attempt:
    """Return the request of a route that is accepted."""
    recipe = recipe_of(route)
    return _cooked(route, recipe, query=recipe.query, body=recipe.body)


def attempts(route: Route) -> SearchStrategy[Attempt]:
    """Return requests for a route: mostly nearly right, because what is quite wrong is refused at the door."""
    return _from_shape(route) | _from_recipe(route)


def _cooked(route: Route, recipe: Recipe, *, query: object, body: object) -> Attempt:
    assert isinstance(query, Mapping)
    return Attempt(
        method=route.method,
        path=quote(recipe.path or _template(route), safe="/"),
        query=_written(query),
        body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"content-type": CONTENT_TYPES[0]},
    )


def _template(route: Route) -> str:
    """Return the path with the names of what it is about in its holes."""
    return re.sub(r"\{(\w+)(:path)?\}", r"<\1>", route.path)


@st.composite
def _from_recipe(draw: DrawFn, route: Route) -> Attempt:
    """Draw what is accepted but for one of its values, wherever in it that stands."""
    recipe = recipe_of(route)
    in_body = isinstance(recipe.body, Mapping)
    fields = recipe.body if isinstance(recipe.body, Mapping) else recipe.query
    places = list(_places(fields))
    if not places:
        return accepted(route)
    place = draw(st.sampled_from(places))
    name = next((key for key in reversed(place) if isinstance(key, str)), "")
    odd = draw(_text(name) | _numbers(name) | _anything() | st.just(_ABSENT))
    bent = _replaced(fields, place, odd)
    return _cooked(route, recipe, query=recipe.query if in_body else bent, body=bent if in_body else recipe.body)


_ABSENT: object = object()


def _places(value: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the keys that lead to each value within a value."""
    parts: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield (*above, key)
        yield from _places(part, (*above, key))


def _replaced(value: Any, place: Sequence[str | int], new: object) -> Any:
    """Return a copy with another value, or none, at a place."""
    key, *rest = place
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    if rest:
        copy[key] = _replaced(copy[key], rest, new)
    elif new is _ABSENT:
        del copy[key]
    else:
        copy[key] = new
    return copy


def _from_shape(route: Route) -> SearchStrategy[Attempt]:

    @st.composite
    def attempt(draw: DrawFn) -> Attempt:
        odd = draw(st.integers(0, 9))
        method = draw(st.sampled_from(METHODS)) if odd == 0 else route.method
        bodiless = method in {"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}
        query = draw(st.sampled_from(QUERIES)) if odd == 1 or not bodiless else draw(_query(route))
        body = None if bodiless and odd != 2 else draw(_body(route, odd))
        content_type = draw(st.sampled_from(CONTENT_TYPES)) if odd == 3 else CONTENT_TYPES[0]
        headers = {"content-type": content_type.encode("latin-1", "replace").decode("latin-1")}
        return Attempt(method=method, path=draw(_path(route)), query=query, body=body, headers=headers)

    return attempt()


def _path(route: Route) -> SearchStrategy[str]:
    """Fill the template of a path."""
    literal, *holes = route.path.split("{")

    @st.composite
    def filled(draw: DrawFn) -> str:
        parts = [literal]
        for hole in holes:
            name, _, rest = hole.partition("}")
            text = draw(st.sampled_from([f"<{name.partition(':')[0]}>"] * 3) | _text(name.partition(":")[0]))
            safe = "/" if ":path" in name else ""
            parts.append(quote(text, safe=safe, errors="replace") + rest)
        return "".join(parts)

    return filled()


def _query(route: Route) -> SearchStrategy[str]:
    """Write a shape as a query: each list as a repeated key, each number as text."""
    if route.request is None:
        return st.sampled_from(QUERIES)

    return _struct(inspect.type_info(route.request)).map(_written)


def _written(values: Mapping[str, Any]) -> str:
    pairs = [(key, one) for key, value in values.items() for one in (value if isinstance(value, list) else [value])]
    return "&".join(f"{_quoted(key)}={_quoted(one)}" for key, one in pairs)


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text[:3_000], safe="", errors="replace")


def _body(route: Route, odd: int) -> SearchStrategy[bytes]:
    if odd == 4 or route.streamed or route.request is None:
        return st.sampled_from(RAW_BODIES) | st.binary(max_size=200)
    shaped = _struct(inspect.type_info(route.request)).map(lambda values: json.dumps(values).encode())
    if odd == 5:  # cut short
        return st.tuples(shaped, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    return shaped


def _struct(shape: inspect.Type) -> SearchStrategy[dict[str, Any]]:
    """Return objects of a shape: right throughout, right but for one field, or bent everywhere and with a field too many."""
    assert isinstance(shape, inspect.StructType)
    right = {field.encode_name: _right(field.encode_name, field.type) for field in shape.fields}
    bent = {field.encode_name: _field(field.encode_name, field.type) for field in shape.fields}

    @st.composite
    def values(draw: DrawFn) -> dict[str, Any]:
        names = sorted(right)
        if not names or draw(st.integers(0, 2)) == 0:
            left_out = draw(st.sets(st.sampled_from(names), max_size=max(1, len(names) // 2))) if names else set()
            found = {name: draw(bent[name]) for name in names if name not in left_out}
            return found | draw(st.dictionaries(st.sampled_from(WORDS), _anything(), max_size=1))
        found = {name: draw(right[name]) for name in names if name in NEEDED or draw(st.booleans())}
        if draw(st.booleans()):
            odd = draw(st.sampled_from(names))
            found[odd] = draw(bent[odd])
        return found

    return values()


def _right(name: str, kind: inspect.Type) -> SearchStrategy[Any]:
    """Return values that a server with what ours has can take."""
    if isinstance(kind, inspect.UnionType):
        return _right(name, next(one for one in kind.types if not isinstance(one, inspect.NoneType)))
    if isinstance(kind, inspect.StructType):
        return st.fixed_dictionaries(
            {field.encode_name: _right(field.encode_name, field.type) for field in kind.fields}
        )
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return st.lists(_right(name, kind.item_type), min_size=1, max_size=3)
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        return st.sampled_from([0, 1, 2, 5, 100])
    if isinstance(kind, inspect.StrType):
        return st.sampled_from(_right_texts(name.removesuffix("s").replace("run_uuid", "run_id")))
    return _of_kind(name, kind)


def _right_texts(name: str) -> tuple[str, ...]:
    if name in KNOWN and name != "path":
        return (f"<{name}>",)
    return RIGHT.get(name, ("a", "loss", "depth", "team", "Ünïcode \U0001f3c3"))


def _field(name: str, kind: inspect.Type) -> SearchStrategy[Any]:
    fitting = _of_kind(name, kind)
    return st.integers(0, 11).flatmap(lambda at: _anything() if at == 0 else fitting)


def _of_kind(name: str, kind: inspect.Type) -> SearchStrategy[Any]:
    """Return values of a kind that the shape allows."""
    if isinstance(kind, inspect.UnionType):
        kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)] or list(kind.types)
        return st.one_of([_of_kind(name, one) for one in kinds])
    if isinstance(kind, inspect.StructType):
        return _struct(kind)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return st.lists(_field(name, kind.item_type), max_size=4)
    if isinstance(kind, inspect.DictType):
        return st.dictionaries(st.sampled_from(WORDS), _anything(), max_size=3)
    for known, strategy in _SIMPLE:
        if isinstance(kind, known):
            return strategy(name)
    return _anything()


def _text(name: str) -> SearchStrategy[str]:
    """Return texts for a field: what the server knows of that name, the field's own language, and anything at all."""
    if "filter" in name or name in {"order_by", "field_name"}:
        return st.lists(st.sampled_from(FILTER_PARTS), max_size=8).map(" ".join)
    if name == "page_token":
        documents = st.sampled_from(
            ['{"offset": 1}', '{"offset": -1}', '{"offset": 1e9}', '{"offset": "a"}', "{}", "[]", "\0"]
        )
        return documents.map(lambda text: base64.b64encode(text.encode()).decode()) | st.sampled_from(WORDS)
    singular = name.removesuffix("s").replace("run_uuid", "run_id")
    known = [f"<{singular}>"] * 4 if singular in KNOWN else []
    if name in {"source", "artifact_location"}:
        known = ["mlflow-artifacts:/<path>", "models:/<model_id>", "runs:/<run_id>/model"]
    anything = st.sampled_from(WORDS) | st.text(max_size=30)
    return st.sampled_from(known) | anything if known else anything


def _numbers(_name: str) -> SearchStrategy[Any]:
    whole = st.sampled_from(NUMBERS) | st.integers(-(2**65), 2**65)
    return whole | whole.map(str) | st.floats() | st.sampled_from(["NaN", "Infinity", "-Infinity", "1e5", "0x1", ""])


def _anything() -> SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(WORDS)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS[:8]), inner, max_size=3),
        max_leaves=6,
    )


_SIMPLE: tuple[tuple[type[inspect.Type], Callable[[str], SearchStrategy[Any]]], ...] = (
    (inspect.StrType, _text),
    (inspect.IntType, _numbers),
    (inspect.FloatType, _numbers),
    (inspect.BoolType, lambda _name: st.booleans()),
    (inspect.EnumType, lambda _name: st.sampled_from(WORDS)),
    (inspect.LiteralType, lambda _name: st.sampled_from(WORDS)),
)
