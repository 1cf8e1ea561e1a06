"""Turn clauses of the search language into SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, and_, cast, false, func, or_, true

from flyball.kernel.errors import InvalidInput
from flyball.tracking.search import Clause, Operator
from flyball.tracking.search.clauses import Value

_GLOB_SPECIAL = re.compile(r"[*?\[]")


def compare(column: ColumnElement[Any], operator: Operator, value: Value, *, dialect: str) -> ColumnElement[bool]:
    """Compare a column with a value; LIKE minds the case on both databases, ILIKE on neither."""
    match operator:
        case Operator.LIKE:
            return _like(column, str(value), dialect)
        case Operator.ILIKE:
            return func.lower(column).like(func.lower(str(value)), escape="" if dialect == "postgresql" else None)
        case Operator.IN if isinstance(value, tuple):
            return column.in_(value)
        case Operator.NOT_IN if isinstance(value, tuple):
            return column.not_in(value)
        case Operator.EQ | Operator.NE | Operator.GT | Operator.GE | Operator.LT | Operator.LE:
            return _COMPARISONS[operator](column, value)
    raise InvalidInput(f"'{operator}' does not compare with a value", field="filter")


def compare_metric(table: FromClause, operator: Operator, value: Value) -> ColumnElement[bool]:
    """Compare a metric, whose NaN is unequal to every number and in no order to it."""
    compared = compare(table.c.value, operator, value, dialect="")
    if operator is Operator.NE:
        return or_(table.c.is_nan == true(), compared)
    return and_(table.c.is_nan == false(), compared)


def as_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Let a number be compared as the text that clients see."""
    return cast(column, Text)


def in_code_order(column: ColumnElement[Any], *, dialect: str) -> ColumnElement[Any]:
    """Sort text by code points, whatever locale the database was made with."""
    return column.collate("C") if dialect == "postgresql" and isinstance(column.type, Text) else column


def presence(clause: Clause, exists: ColumnElement[bool]) -> ColumnElement[bool] | None:
    """Return the condition for IS NULL and IS NOT NULL, None for another operator."""
    if clause.operator is Operator.IS_NULL:
        return ~exists
    return exists if clause.operator is Operator.IS_NOT_NULL else None


def _like(column: ColumnElement[Any], pattern: str, dialect: str) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return column.like(pattern, escape="")
    # SQLite's LIKE ignores the case of ASCII letters; its GLOB does not.
    escaped = _GLOB_SPECIAL.sub(lambda found: f"[{found[0]}]", pattern)
    return column.op("GLOB", is_comparison=True)(escaped.replace("%", "*").replace("_", "?"))


_COMPARISONS: Mapping[Operator, Callable[[ColumnElement[Any], Value], ColumnElement[bool]]] = {
    Operator.EQ: lambda column, value: column == value,
    Operator.NE: lambda column, value: column != value,
    Operator.GT: lambda column, value: column > value,
    Operator.GE: lambda column, value: column >= value,
    Operator.LT: lambda column, value: column < value,
    Operator.LE: lambda column, value: column <= value,
}
