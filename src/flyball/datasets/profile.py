"""The profile of a table: what each column looked like, small enough to keep beside a model as its reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput, NotFound

TopValue: TypeAlias = "str | float | bool"


class ColumnKind(StrEnum):
    """How a column is described; decided by its type and, for text, by how many different values it has."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    """Text with few different values; `top` lists all of them."""
    BOOLEAN = "boolean"
    TEXT = "text"
    """Text with many different values; `top` lists the most frequent."""
    TIME = "time"
    LIST = "list"
    """Lists of numbers, such as embeddings. No profile describes them; comparisons and monitors hold them as points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column. What a kind has no use for is None or empty; so are the numbers of a column without values.

    Numbers describe the values that are there: nulls, NaN and infinities count as missing. A time is a number of
    milliseconds since 1970-01-01 UTC (a time of day: since midnight).
    """

    name: str
    kind: ColumnKind
    count: int
    """Values that are there."""
    missing_count: int
    """Rows without a value: `count + missing_count` is the number of rows."""
    distinct_count: int
    """Different values."""
    minimum: float | None = None
    """Numeric and time only."""
    maximum: float | None = None
    """Numeric and time only."""
    mean: float | None = None
    """Numeric, and for a boolean the share of true."""
    std: float | None = None
    """Standard deviation of the rows seen (divided by n), numeric only; 0 for a constant column."""
    quantiles: tuple[float, ...] = ()
    """Numeric only: 101 values at the levels 0, 0.01, ..., 1, with straight lines between neighbouring values."""
    edges: tuple[float, ...] = ()
    """Numeric only: edges of the histogram, increasing, one more than `counts`; a constant column has one bin [v, v]."""
    counts: tuple[int, ...] = ()
    """Values a bin; each bin holds its left edge, the last one both."""
    top: tuple[tuple[TopValue, int], ...] = ()
    """Most frequent values with their counts, the most frequent first and equals sorted. For a number only where there are
    few different ones; then, and for categorical and boolean, all values are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A table, column by column in its order."""

    row_count: int
    columns: tuple[ColumnProfile, ...]

    def find(self, name: str) -> ColumnProfile | None:
        """Return the profile of a column, None when there is no such column."""
        return next((column for column in self.columns if column.name == name), None)

    def get(self, name: str) -> ColumnProfile:
        """Return the profile of a column.

        Raises:
            NotFound: there is no such column; the message lists those there are.
        """
        column = self.find(name)
        if column is None:
            known = ", ".join(column.name for column in self.columns)
            raise NotFound(f"the profile has no column '{name}'; it has: {known}", field=name)
        return column

    def to_json(self) -> dict[str, JsonValue]:
        """Return the profile as JSON values; it has a canonical form."""
        return {"row_count": self.row_count, "columns": [_column_json(column) for column in self.columns]}

    @classmethod
    def from_json(cls, value: JsonValue) -> Profile:
        """Read a profile back.

        Raises:
            InvalidInput: this is no profile; the message says where it differs.
        """
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no profile: {error}", field="profile") from error


def _column_json(column: ColumnProfile) -> Mapping[str, JsonValue]:
    fields = {field.name: getattr(column, field.name) for field in dataclasses.fields(column)}
    fields["kind"] = column.kind.value
    return cast("Mapping[str, JsonValue]", fields)
