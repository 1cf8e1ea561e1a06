"""The worst slice of a window, which nobody named: features cut into cells, searched, confirmed, and told as a predicate."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.measures.resampling import Places, bound_figure, sum_in_blocks
from flyball.measures.samples import Floats
from flyball.measures.slices import MOST_CELLS, Cells, FoundSlice, SliceSearch, worst_slices
from flyball.monitoring.answers import numeric
from flyball.monitoring.expectations import Expectation, Method, realised
from flyball.monitoring.figures import SlicesFound, WorstSlice
from flyball.monitoring.quality_rules import QualityRules
from flyball.monitoring.schema import FEATURE_PREFIX
from flyball.monitoring.slice_predicates import quoted
from flyball.monitoring.slice_rules import SliceRules

NUMERIC_CELLS = 4
# A number with so few values is a category in disguise.
FEW_VALUES = 6
# The search looks at this many rows at most, evenly spread; a slice that matters shows in them.
MOST_SEARCHED = 200_000
MOST_FEATURES = 100
METRIC_OF = {Method.CBPE: "accuracy", Method.DLE: "mae"}


def search_worst(
    labelled: pa.Table,
    places: Places,
    *,
    method: Method,
    learned: Expectation | None,
    rules: SliceRules,
    quality: QualityRules,
    seed: int,
) -> SlicesFound:
    """Search the worst slice of the labelled rows of one version.

    Where it is known what was to be expected of each row, the slice that fell furthest short of it is searched: a slice that
    was always hard is no news. Where it is not, the slice with the worst quality.
    """
    if not rules.search:
        return SlicesFound(searched="the monitor asks for no search")
    step = -(-labelled.num_rows // MOST_SEARCHED)
    if step > 1:
        chosen = np.arange(0, labelled.num_rows, step)
        labelled, places = labelled.take(pa.array(chosen)), places[chosen]
    outcomes = realised(method, labelled)
    sign = -1.0 if method is Method.CBPE else 1.0
    usable = learned if learned is not None and learned.method is method and not learned.missing(labelled) else None
    losses = sign * (outcomes if usable is None else outcomes - usable.expected(labelled))
    cells = cut(labelled, rules)
    found = worst_slices(losses, cells, places, min_rows=rules.min_rows)
    if found is None:
        return SlicesFound(searched="too few blocks of time to search in some and confirm in the others")
    told = f"{found.tried} slices of one and two features were looked at"
    worse = [one for one in found.found if one.p_value < rules.significance and one.excess > 0]
    if not worse:
        return SlicesFound(searched=f"{told}; none is surely worse than the rest")
    against = "quality" if usable is None else "expected"
    worst = max(worse, key=lambda one: one.excess)
    best = _figure(found, worst, outcomes, places, method=method, quality=quality, against=against, seed=seed)
    return SlicesFound(worst=best, searched=f"{told}; one is surely worse than the rest")


def cut(table: pa.Table, rules: SliceRules) -> list[Cells]:
    """Cut every feature into cells: numbers at the quarters of their values, all else by value."""
    names = [name for name in table.column_names if name.startswith(FEATURE_PREFIX)]
    plain = [name.removeprefix(FEATURE_PREFIX) for name in names]
    cells = [_cells(name, table.column(FEATURE_PREFIX + name)) for name in plain if name not in rules.ignore]
    return [one for one in cells if len(one.texts) > 1][:MOST_FEATURES]


def _cells(name: str, column: pa.ChunkedArray) -> Cells:
    values = numeric(column)
    if values is None or len(pc.unique(column)) <= FEW_VALUES:
        return _by_value(name, column)
    return _by_size(name, values)


def _by_size(name: str, values: Floats) -> Cells:
    present = values[np.isfinite(values)]
    asked = np.linspace(0, 1, NUMERIC_CELLS + 1)[1:-1]
    cuts = np.unique([_short(each) for each in np.quantile(present, asked)]) if len(present) else np.empty(0)
    codes = np.where(np.isfinite(values), np.searchsorted(cuts, values, side="left"), -1).astype(np.int64)
    word, edges = quoted(name), [f"{each:g}" for each in cuts.tolist()]
    if not edges:
        return Cells(name=name, codes=codes, texts=())
    middle = [f"{word} > {low} AND {word} <= {high}" for low, high in pairwise(edges)]
    return Cells(name=name, codes=codes, texts=(f"{word} <= {edges[0]}", *middle, f"{word} > {edges[-1]}"))


def _short(value: float) -> float:
    """Return the number that its text of three digits says, so that the predicate and the rows agree."""
    return float(f"{value:.3g}")


def _by_value(name: str, column: pa.ChunkedArray) -> Cells:
    counted = pc.value_counts(column.combine_chunks()).to_pylist()
    counted.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
    kept = [entry["values"] for entry in counted if _sayable(entry["values"])][:MOST_CELLS]
    codes = np.full(len(column), -1, dtype=np.int64)
    for code, value in enumerate(kept):
        same = pc.is_null(column) if value is None else pc.equal(column, pa.scalar(value, column.type))
        codes[np.asarray(same.fill_null(False).to_numpy(), dtype=bool)] = code
    return Cells(name=name, codes=codes, texts=tuple(_equals(quoted(name), value) for value in kept))


def _sayable(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _equals(word: str, value: object) -> str:
    if value is None:
        return f"{word} IS NULL"
    if isinstance(value, str):
        return f"{word} = '" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return word if value else f"NOT {word}"
    return f"{word} = {value!r}"


def _figure(
    search: SliceSearch,
    found: FoundSlice,
    outcomes: Floats,
    places: Places,
    *,
    method: Method,
    quality: QualityRules,
    against: str,
    seed: int,
) -> WorstSlice:
    mine = found.rows & search.confirming
    _, block = np.unique(places[mine], return_inverse=True)
    blocks = int(block.max()) + 1
    columns = (outcomes[mine], np.ones(int(mine.sum())))
    sums = np.stack([sum_in_blocks(one, block.astype(np.int64), blocks) for one in columns], axis=-1)
    bounds = bound_figure(
        sums,
        lambda each: each[..., 0] / each[..., 1],
        estimate=float(outcomes[mine].mean()),
        low=0.0,
        high=1.0 if method is Method.CBPE else float(outcomes.max()),
        confidence=quality.confidence,
        resamples=quality.resamples,
        seed=seed,
    )
    return WorstSlice(
        where=" AND ".join(found.texts),
        features=found.features,
        metric=METRIC_OF[method],
        rows=int(found.rows.sum()),
        share=float(found.rows.mean()),
        value=bounds.estimate,
        lower=bounds.lower,
        upper=bounds.upper,
        rest=float(outcomes[~found.rows & search.confirming].mean()),
        against=against,
        p_value=found.p_value,
        tried=search.tried,
    )
