"""SQL predicates over features: checked word by word before they run, and run where they can reach nothing but the rows.

A predicate is parsed by DuckDB and accepted when every node of it is on the list below: comparisons, arithmetic, logic and a
few pure functions over columns and constants. No subquery, no file, no setting, no function that is not named here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.schema import FEATURE_PREFIX

if TYPE_CHECKING:
    import duckdb

LONGEST = 1_000
MEMORY = "256MB"
TIME_LIMIT_S = 30.0
# Predicates nest no deeper than people write them; a parser's stack is no place for surprises.
DEEPEST = 30
# The classes of expression that DuckDB's parser makes, and what pure functions may be called.
CLASSES = frozenset(
    {"COMPARISON", "CONJUNCTION", "OPERATOR", "CONSTANT", "COLUMN_REF", "BETWEEN", "FUNCTION", "CASE", "CAST", "TYPE"}
)
SIGNS = frozenset({"+", "-", "*", "/", "//", "%", "~~", "!~~", "~~*", "!~~*"})
ROUNDINGS = frozenset({"abs", "ceil", "ceiling", "floor", "round", "sqrt", "ln", "log", "log10", "exp", "sign"})
NUMBERS = frozenset({"least", "greatest", "isnan", "isfinite", "isinf"})
TEXTS = frozenset({"lower", "upper", "length", "trim", "contains", "starts_with", "ends_with", "prefix", "suffix"})
FUNCTIONS = SIGNS | ROUNDINGS | NUMBERS | TEXTS
# A cast to one of these has no side effects and no great size.
CASTS = frozenset(
    {"BOOLEAN", "BOOL", "INT", "REAL", "TEXT", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR"}
)
# A name that no feature has, for the place of a row.
_PLACE = "place of the row"
_WORD = re.compile(r"[a-z_]+")


def columns_of(predicate: str, *, field: str = "slices") -> tuple[str, ...]:
    """Return the features that a predicate speaks of, in order, after checking every word of it.

    Raises:
        InvalidInput: it is no predicate, or says what a predicate may not.
    """
    if not predicate.strip() or len(predicate) > LONGEST:
        raise InvalidInput(f"a predicate has 1 to {LONGEST} characters", field=field)
    found: list[str] = []
    for node in _nodes(_parse(predicate, field), 0, predicate, field):
        _check(node, predicate, field)
        if node["class"] == "COLUMN_REF":
            names = cast("list[str]", node["column_names"])
            if len(names) != 1:
                raise InvalidInput(f"'{'.'.join(names)}' in '{predicate}' is no feature", field=field)
            found.append(names[0])
    if not found:
        raise InvalidInput(f"'{predicate}' speaks of no feature", field=field)
    return tuple(dict.fromkeys(found))


def check_predicate(predicate: str, features: Mapping[str, pa.DataType], *, field: str = "slices") -> None:
    """Check that a predicate can be evaluated over features of these types.

    Raises:
        InvalidInput: as `columns_of`, or its types do not fit.
        UnknownKey: it names a feature that is not there, with near misses.
    """
    for name in columns_of(predicate, field=field):
        if name not in features:
            raise UnknownKey.among(name, list(features), where=f"the features of '{predicate}'")
    table = pa.table({FEATURE_PREFIX + name: pa.array([], type=kind) for name, kind in features.items()})
    rows_where(table, [predicate], field=field)


def rows_where(
    table: pa.Table, predicates: Sequence[str], *, field: str = "slices", time_limit_s: float = TIME_LIMIT_S
) -> list[NDArray[np.bool_]]:
    """Return for each predicate which rows it is true of; where it is null it is not.

    Args:
        table: with the features as `feature.<name>`.
        predicates: at least the ones to be evaluated; none give none.
        field: what an error names.
        time_limit_s: for all together.

    Raises:
        InvalidInput: a predicate that may not run, speaks of a missing feature, does not fit, or takes too long.
    """
    if not predicates:
        return []
    wanted = list(dict.fromkeys(name for one in predicates for name in columns_of(one, field=field)))
    missing = [name for name in wanted if FEATURE_PREFIX + name not in table.column_names]
    if missing:
        raise InvalidInput(f"there is no feature '{missing[0]}'", field=field)
    columns = [table.column(FEATURE_PREFIX + name) for name in wanted]
    places = pa.array(np.arange(table.num_rows, dtype=np.int64))
    rows = pa.table([*columns, places], names=[*wanted, _PLACE])
    return _run([_statement(f'"{_PLACE}"', one) for one in predicates], rows, field=field, time_limit_s=time_limit_s)


def quoted(feature: str) -> str:
    """Return a feature's name as it stands in a predicate."""
    plain = _WORD.fullmatch(feature) is not None
    return feature if plain else '"' + feature.replace('"', '""') + '"'


def _statement(selected: str, predicate: str) -> str:
    """Return the one statement that a predicate is checked in and run in; the line break ends a comment."""
    return f"SELECT {selected} FROM rows WHERE ({predicate}\n)"  # noqa: S608 -- what comes out is checked node by node


def _run(statements: Sequence[str], rows: pa.Table, *, field: str, time_limit_s: float) -> list[NDArray[np.bool_]]:
    import duckdb

    connection = _sandbox()
    # The timer stops a statement that runs; one that has not begun when it fires is stopped by the clock.
    ends_at = monotonic() + time_limit_s
    timer = threading.Timer(time_limit_s, connection.interrupt)
    timer.start()
    found: list[NDArray[np.bool_]] = []
    try:
        connection.register("rows", rows)
        for statement in statements:
            kept = np.zeros(rows.num_rows, dtype=bool)
            kept[connection.sql(statement).to_arrow_table().column(0).to_numpy()] = True
            found.append(kept)
            _stop_after(ends_at)
    except duckdb.InterruptException as error:
        raise InvalidInput(f"the predicates took more than {time_limit_s:.0f} s", field=field) from error
    except duckdb.Error as error:
        raise InvalidInput(f"a predicate cannot be evaluated: {str(error).splitlines()[0]}", field=field) from error
    finally:
        timer.cancel()
        connection.close()
    return found


def _stop_after(ends_at: float) -> None:
    import duckdb

    if monotonic() > ends_at:
        raise duckdb.InterruptException("too late")


def _sandbox() -> duckdb.DuckDBPyConnection:
    """Return an engine that can read no file, load nothing, see no variable of ours, and change none of this."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": MEMORY,
            "max_temp_directory_size": "0B",
            "threads": "1",
            "lock_configuration": "true",
        },
    )


def _parse(predicate: str, field: str) -> JsonValue:
    """Return DuckDB's own tree of the predicate, as the WHERE of a statement that has nothing else."""
    import duckdb

    connection = _sandbox()
    try:
        answer = connection.execute("SELECT json_serialize_sql(?)", [_statement("1", predicate)]).fetchone()
    except duckdb.Error as error:
        raise InvalidInput(f"'{predicate}' is no predicate: {error}", field=field) from error
    finally:
        connection.close()
    tree = json.loads(answer[0] if answer else "{}")
    if tree.get("error") or len(tree.get("statements", [])) != 1:
        raise InvalidInput(f"'{predicate}' is no predicate: {tree.get('error_message', 'it ends early')}", field=field)
    return _where_of(tree["statements"][0]["node"], predicate, field)


def _where_of(node: Mapping[str, JsonValue], predicate: str, field: str) -> JsonValue:
    """Return the WHERE, after checking that the predicate did not close it and go on with something else."""
    rest: dict[str, JsonValue] = {
        "modifiers": [],
        "group_sets": [],
        "group_expressions": [],
        "having": None,
        "qualify": None,
        "sample": None,
    }
    alone = node.get("type") == "SELECT_NODE" and all(node.get(name) == empty for name, empty in rest.items())
    source = cast("Mapping[str, JsonValue]", node.get("from_table") or {})
    if not alone or source.get("type") != "BASE_TABLE" or not node.get("where_clause"):
        raise InvalidInput(f"'{predicate}' is more than a predicate", field=field)
    return node["where_clause"]


def _nodes(value: JsonValue, depth: int, predicate: str, field: str) -> Iterator[dict[str, JsonValue]]:
    if depth > 2 * DEEPEST:  # each level of an expression is two of JSON: the node and its list of children
        raise InvalidInput(f"'{predicate}' nests too deeply", field=field)
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for part in value.values():
            yield from _nodes(part, depth + 1, predicate, field)
    elif isinstance(value, list):
        for part in value:
            yield from _nodes(part, depth + 1, predicate, field)


def _check(node: Mapping[str, JsonValue], predicate: str, field: str) -> None:
    kind = str(node["class"])
    if kind not in CLASSES:
        raise InvalidInput(f"'{predicate}' has what a slice may not: {kind.lower().replace('_', ' ')}", field=field)
    if kind == "FUNCTION":
        _allow(str(node["function_name"]).lower(), FUNCTIONS, "function", predicate, field)
    if kind == "CAST" and "cast_type" in node:  # DuckDB 1.4; from 2.0 on the type is a node of its own
        _allow(str(cast("Mapping[str, JsonValue]", node["cast_type"])["id"]).upper(), CASTS, "type", predicate, field)
    if kind == "TYPE":
        _allow(str(node["type_name"]).upper(), CASTS, "type", predicate, field)


def _allow(name: str, known: Collection[str], what: str, predicate: str, field: str) -> None:
    if name not in known:
        offered = ", ".join(sorted(one for one in known if one[0].isalpha()))
        raise InvalidInput(f"'{predicate}' uses the {what} '{name}'; a slice may use {offered}", field=field)
