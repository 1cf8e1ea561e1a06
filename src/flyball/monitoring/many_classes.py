"""Which of a row's captured probabilities belongs to which class, and the rows as metrics of more than two classes want them.

The log keeps the probabilities of a row in the model's own order, without the names of the classes. The monitor's file may say
them; else they are the sorted answers and labels, as most libraries order them, if every answer is then the likeliest class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.measures.metrics import Answers
from flyball.measures.multiclass import MOST_CLASSES
from flyball.measures.samples import Floats
from flyball.monitoring.schema import LABEL, PREDICTION, PROBABILITIES

TWO = 2
# What a model gives is a sum of float32 or of rounded numbers as often as not.
SUM_TOLERANCE = 1e-3
NAME_THEM = "name them in quality.classes, in the order of the probabilities"


def read_many(labelled: pa.Table, classes: Sequence[str | float | bool]) -> Answers | str:
    """Return the rows, all of which have labels, with the probabilities of every class; or why there are none.

    Args:
        labelled: `prediction`, `label` and `probabilities`.
        classes: in the order of the probabilities; empty where nobody said.
    """
    chances = _chances(labelled)
    if isinstance(chances, str):
        return chances
    said = labelled.column(PREDICTION)
    try:
        truth = labelled.column(LABEL).cast(said.type)
    except pa.ArrowInvalid:
        return f"labels are not of the type of the answers, {said.type}"
    known = _named(said.type, chances, classes) if classes else _sorted(said, truth, chances)
    if isinstance(known, str):
        return known
    column = pc.index_in(truth, value_set=known)
    if column.null_count:
        strange = pc.unique(truth.filter(pc.is_null(column))).to_pylist()
        return f"the label {strange[0]!r} is none of the {len(known)} classes"
    right = np.asarray(pc.equal(said, truth).to_numpy(), dtype=bool)
    return Answers(
        truth=right, said=np.ones_like(right), chance=_of(said, known, chances), chances=chances, column=_places(column)
    )


def _chances(labelled: pa.Table) -> Floats | str:
    if PROBABILITIES not in labelled.column_names or labelled.column(PROBABILITIES).null_count:
        return "the probabilities of every class are not in the log; a model of two classes has log_loss, brier and roc_auc"
    rows = labelled.column(PROBABILITIES).combine_chunks()
    lengths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(lengths) != 1 or not TWO < lengths[0] <= MOST_CLASSES:
        return f"each row has {' or '.join(map(str, lengths))} probabilities; 3 to {MOST_CLASSES}, as many in each, are needed"
    flat = np.asarray(rows.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    found: Floats = flat.reshape(-1, lengths[0])
    if not np.all((found >= 0) & (found <= 1)) or not np.allclose(found.sum(axis=1), 1.0, rtol=0, atol=SUM_TOLERANCE):
        return "what the model gave with its answers are no probabilities: they do not lie in 0..1 and sum to 1"
    return found


def _named(kind: pa.DataType, chances: Floats, classes: Sequence[str | float | bool]) -> pa.Array | str:
    if len(classes) != chances.shape[1]:
        return f"quality.classes names {len(classes)} classes, a row has {chances.shape[1]} probabilities"
    try:
        return pa.array(list(classes)).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return f"quality.classes are not of the type of the answers, {kind}"


def _sorted(said: pa.ChunkedArray, truth: pa.ChunkedArray, chances: Floats) -> pa.Array | str:
    seen = pc.unique(pa.chunked_array([*said.chunks, *truth.chunks]))
    known = seen.take(pc.array_sort_indices(seen))
    if len(known) != chances.shape[1]:
        return f"{len(known)} of {chances.shape[1]} classes are known from answers and labels: {NAME_THEM}"
    if np.any(_of(said, known, chances) < chances.max(axis=1)):
        return f"answers are not the likeliest class when classes are sorted: {NAME_THEM}"
    return known


def _of(said: pa.ChunkedArray, known: pa.Array, chances: Floats) -> Floats:
    """Return the chance of each answer; one that is none of the classes has none."""
    column = pc.index_in(said, value_set=known)
    found: Floats = np.take_along_axis(chances, _places(column.fill_null(0))[:, None], axis=1)[:, 0]
    return np.where(np.asarray(pc.is_valid(column).to_numpy(), dtype=bool), found, 0.0)


def _places(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)
