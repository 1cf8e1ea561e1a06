"""A column of the reference, as a profile and as a summary: either can be had from the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flyball.datasets.profile import ColumnKind, ColumnProfile, Profile
from flyball.measures.sketch import Sketch, sketch_of_quantiles, weighted_sketch
from flyball.monitoring.columns import category_text
from flyball.monitoring.summaries import ColumnSummary, TableSummary

QUANTILES = np.arange(101) / 100


def summary_of(profile: ColumnProfile) -> ColumnSummary:
    """Return what a profile says of a column as a summary.

    Exact where the profile lists all values; numbers of which it knows 101 quantiles carry a rank error of one step.
    """
    listed = {category_text(value): count for value, count in profile.top}
    empty = ColumnSummary(
        kind=profile.kind,
        rows=profile.count + profile.missing_count,
        missing=profile.missing_count,
        distinct_count=profile.distinct_count,
    )
    if profile.kind is ColumnKind.NUMERIC:
        return replace(empty, numbers=_numbers(profile))
    return replace(empty, counts=listed, other=max(0, profile.count - sum(listed.values())))


def table_summary_of(profile: Profile) -> TableSummary:
    """Return what a profile says of a table as a summary; how its rows repeat each other is not known."""
    columns = {column.name: summary_of(column) for column in profile.columns}
    return TableSummary(rows=profile.row_count, columns=columns)


def profile_of(name: str, summary: ColumnSummary) -> ColumnProfile:
    """Return what a summary says of a column as a profile, without its histogram."""
    missing = summary.as_numbers().missing if summary.kind is ColumnKind.NUMERIC else summary.missing
    plain = ColumnProfile(
        name=name,
        kind=summary.kind,
        count=summary.rows - missing,
        missing_count=missing,
        distinct_count=summary.distinct_count,
    )
    sketch = summary.numbers
    if summary.kind is not ColumnKind.NUMERIC or sketch is None:
        return plain
    return replace(
        plain,
        minimum=sketch.minimum,
        maximum=sketch.maximum,
        mean=sketch.mean,
        std=sketch.deviation,
        quantiles=tuple(sketch.at_levels(QUANTILES).tolist()),
    )


def _numbers(profile: ColumnProfile) -> Sketch | None:
    if not profile.quantiles:
        return None
    counts = [count for _value, count in profile.top]
    if sum(counts) == profile.count:
        return weighted_sketch([float(value) for value, _count in profile.top], counts)
    return sketch_of_quantiles(
        profile.quantiles, count=profile.count, mean=float(profile.mean or 0.0), deviation=float(profile.std or 0.0)
    )
