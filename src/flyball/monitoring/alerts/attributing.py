"""Attribute a loss of quality to features: how many errors more there are because their values lie elsewhere than before.

Rows are sorted into bins of the feature's reference (tenths, what lies below and above, categories, missing, unreadable). The
errors in each bin are those of the window; what is asked is how much better the window had been with the bins as full as in the
reference (Kitagawa 1955). A feature whose rows fail no more often where they lie now explains nothing. A bin that holds no row any
more is taken to have the errors of the baseline: a feature that left its range altogether may explain the whole loss, because
nothing in the window speaks against it. Nothing is predicted again, and two features that moved together explain the same loss
twice: this ranks suspects, it convicts nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind, ColumnProfile, Profile
from flyball.measures.decomposition import composition_shift
from flyball.monitoring.answers import correct_rows
from flyball.monitoring.attribution import Attribution, Basis, FeatureLoss
from flyball.monitoring.columns import category_text
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL

MOST_FEATURES = 50
MOST_CATEGORIES = 100
FEWEST_ROWS = 30
_DECILE_STEP = 10


def attribute_losses(
    table: pa.Table, suspects: Sequence[str], profile: Profile, *, baseline: float | None
) -> Attribution:
    """Say of each suspected feature how much of the errors its move explains.

    Args:
        table: the rows of one version in a window.
        suspects: features that drifted or are at fault, most suspicious first; the first `MOST_FEATURES` are looked at.
        profile: what the features looked like in the reference.
        baseline: the share of right answers before; None takes the window's own.
    """
    labelled = table.filter(pc.field(LABEL).is_valid())
    if labelled.num_rows < FEWEST_ROWS or not suspects:
        return Attribution()
    errors = 1.0 - correct_rows(labelled).astype(np.float64)
    base_rate = float(np.mean(errors)) if baseline is None else 1.0 - baseline
    losses = [
        _loss(reference, labelled.column(FEATURE_PREFIX + name), errors, base_rate=base_rate)
        for name in suspects[:MOST_FEATURES]
        if (reference := profile.find(name)) is not None and FEATURE_PREFIX + name in labelled.column_names
    ]
    ranked = tuple(sorted(losses, key=lambda one: (-one.loss, one.feature)))
    return Attribution(basis=Basis.LABELS, excess=float(np.mean(errors)) - base_rate, losses=ranked)


def _loss(
    reference: ColumnProfile, column: pa.ChunkedArray, errors: NDArray[np.float64], *, base_rate: float
) -> FeatureLoss:
    numeric = reference.kind is ColumnKind.NUMERIC and bool(reference.quantiles)
    expected, places = _number_bins(reference, column) if numeric else _category_bins(reference, column)
    counts = np.bincount(places, minlength=len(expected))
    wrong = np.bincount(places, weights=errors, minlength=len(expected))
    shift = composition_shift(expected, counts, wrong, base_rate=base_rate)
    return FeatureLoss(feature=reference.name, loss=shift.effect, deviation=shift.deviation, sure=shift.sure)


def _number_bins(reference: ColumnProfile, column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the share that the reference has in each bin, and the bin of each row."""
    quantiles = np.asarray(reference.quantiles, dtype=np.float64)
    # The greatest value of the reference lies within it: the last edge is the next number above.
    edges = np.unique([*quantiles[:-1:_DECILE_STEP], np.nextafter(quantiles[-1], np.inf)])
    missing = len(edges) + 1
    inside = np.bincount(np.searchsorted(edges, quantiles, side="right"), minlength=missing) / len(quantiles)
    values, is_unreadable = _numbers(column)
    places = np.searchsorted(edges, np.nan_to_num(values), side="right")
    places = np.where(np.isfinite(values), places, missing)
    places = np.where(is_unreadable, missing + 1, places)
    return _with_missing(reference, [*inside.tolist()], extra=1), places.astype(np.int64)


def _category_bins(reference: ColumnProfile, column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    known = {category_text(value): count for value, count in reference.top[:MOST_CATEGORIES]}
    place = {name: at for at, name in enumerate(known)}
    others, missing = len(known), len(known) + 1
    rest = max(0, reference.count - sum(known.values()))
    total = max(1, reference.count)
    places = [missing if value is None else place.get(category_text(value), others) for value in column.to_pylist()]
    shares = [count / total for count in (*known.values(), rest)]
    return _with_missing(reference, shares, extra=0), np.asarray(places, dtype=np.int64)


def _with_missing(reference: ColumnProfile, shares: Sequence[float], *, extra: int) -> NDArray[np.float64]:
    missing = reference.missing_count / max(1, reference.count + reference.missing_count)
    return np.asarray([*(share * (1.0 - missing) for share in shares), missing, *[0.0] * extra], dtype=np.float64)


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column as numbers in the order of its rows, NaN where there is none, and which rows hold something else."""
    if pa.types.is_boolean(column.type):
        nothing = np.full(len(column), np.nan)
        return nothing, column.is_valid().to_numpy().astype(np.bool_)
    if pa.types.is_string(column.type):
        parsed = [_parsed(text) for text in column.to_pylist()]
        values = np.asarray([np.nan if value is None else value for value in parsed], dtype=np.float64)
        return values, np.asarray([value is None for value in parsed], dtype=np.bool_)
    values = column.cast(pa.float64(), safe=False).to_numpy()
    return values, np.zeros(len(values), dtype=np.bool_)


def _parsed(text: str | None) -> float | None:
    if text is None:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return None
