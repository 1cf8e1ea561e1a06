"""What a comparison found: every column, strongest drift first, as values and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind
from flyball.kernel.canonical import JsonValue
from flyball.monitoring.entities import DataFault, FeatureDrift
from flyball.monitoring.multivariate.entities import JointDrift


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A column in one of the two tables. Numbers are None for what is none, and where no value is there.

    `missing_count` is None where the column was not read.
    """

    rows: int
    missing_count: int | None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None

    @property
    def missing_share(self) -> float | None:
        """The share of rows without a value, 0..1."""
        return None if self.missing_count is None else self.missing_count / self.rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """Shares of both tables in the same bins, 0..1: `labels` (k,) name categories, `edges` (k + 1,) bound numbers.

    The first and the last bin of numbers hold what lies beyond, too.
    """

    reference: NDArray[np.float64]
    current: NDArray[np.float64]
    edges: NDArray[np.float64] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnComparison:
    """One column of both tables.

    `drift` is None and `unwatched` says why where there is nothing to compare; of free text and of lists `joint` has what was
    found. `measures` holds every distance by name;
    `rank_error` (0..1) is by how much a share read from a sketch can be off, 0 where all rows were sorted.
    """

    name: str
    kind: ColumnKind
    reference: Side
    current: Side
    drift: FeatureDrift | None = None
    joint: JointDrift | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[DataFault, ...] = ()
    new_categories: tuple[str, ...] = ()
    vanished_categories: tuple[str, ...] = ()
    unwatched: str = ""
    rank_error: float = 0.0
    picture: Picture | None = None

    @property
    def drifted(self) -> bool:
        """Whether the column moved further than its threshold, and surely."""
        found = self.drift or self.joint
        return found is not None and found.drifted

    @property
    def strength(self) -> float:
        """How far it moved in units of its threshold, -1 where nothing was measured."""
        found = self.drift or self.joint
        return -1.0 if found is None else found.strength


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Two tables, column by column: what drifted first, then what is at fault, then the rest by strength.

    `joint` is what the columns of numbers show together, None where that was not asked for or cannot be said; `not_joint` then
    holds the reason, empty where it was not asked for.
    """

    reference_rows: int
    current_rows: int
    columns: tuple[ColumnComparison, ...]
    only_in_reference: tuple[str, ...] = ()
    only_in_current: tuple[str, ...] = ()
    joint: JointDrift | None = None
    not_joint: str = ""

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted, strongest first."""
        return tuple(column.name for column in self.columns if column.drifted)

    @property
    def faults(self) -> tuple[DataFault, ...]:
        """What is wrong with the current data, largest share first."""
        found = [fault for column in self.columns for fault in column.faults]
        return tuple(sorted(found, key=lambda fault: (-fault.share, fault.feature, fault.kind)))

    @property
    def changed(self) -> bool:
        """Whether anything drifted, also columns together, is at fault, or is missing from one of the tables."""
        together = self.joint is not None and self.joint.drifted
        return bool(self.drifted or together or self.faults or self.only_in_reference or self.only_in_current)

    def get(self, name: str) -> ColumnComparison:
        """Return a column.

        Raises:
            KeyError: there is none of that name in both tables.
        """
        return {column.name: column for column in self.columns}[name]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the comparison as JSON values, without the pictures."""
        return {
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "changed": self.changed,
            "drifted": list(self.drifted),
            "only_in_reference": list(self.only_in_reference),
            "only_in_current": list(self.only_in_current),
            "joint": _plain(self.joint),
            "not_joint": self.not_joint,
            "columns": [_column_json(column) for column in self.columns],
        }

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the comparison as one self-contained page of at most 2 MB, and write it where a path is given."""
        from flyball.monitoring.comparison.report import render

        page = render(self)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page


def _column_json(column: ColumnComparison) -> dict[str, JsonValue]:
    left_out = {"picture", "measures"}
    fields = {
        one.name: _plain(getattr(column, one.name)) for one in dataclasses.fields(column) if one.name not in left_out
    }
    return {**fields, "measures": dict(column.measures)}


def _plain(value: object) -> JsonValue:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return cast("JsonValue", value)
