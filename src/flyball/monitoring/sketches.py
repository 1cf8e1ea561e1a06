"""The sketches that travel with a version: its features, its answers and how its rows repeat each other, in a megabyte or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.multivariate.evidence import MOST_ROWS, sample_for_evidence, sample_from_json, sample_to_json
from flyball.monitoring.multivariate.samples import RowSample
from flyball.monitoring.schema import PREDICTION, SCORE
from flyball.monitoring.summaries import TableSummary, points_for
from flyball.monitoring.summarising import summarise
from flyball.monitoring.summary_codec import summary_from_json, summary_to_json

FIELD = "sketches"
# A share is off by about a thousandth; sixty columns take a megabyte.
POINTS = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches:
    """What a version learned from (`inputs`, by the names of its features) and what it answered there (`outputs`).

    `rows` are some rows that it learned from as points, for what single features do not show; None where there are none.
    """

    inputs: TableSummary
    outputs: TableSummary | None = None
    rows: RowSample | None = None

    def to_json(self) -> JsonValue:
        """Return the evidence "sketches"."""
        outputs = None if self.outputs is None else summary_to_json(self.outputs)
        rows: dict[str, JsonValue] = {} if self.rows is None else {"rows": sample_to_json(self.rows)}
        return {"inputs": summary_to_json(self.inputs), "outputs": outputs, **rows}

    @classmethod
    def from_json(cls, value: JsonValue) -> Sketches:
        """Read the evidence "sketches".

        Raises:
            InvalidInput: it is none.
        """
        if not isinstance(value, dict) or set(value) - {"rows"} != {"inputs", "outputs"}:
            raise InvalidInput("sketches are an object with 'inputs' and 'outputs', and may have 'rows'", field=FIELD)
        outputs, rows = value["outputs"], value.get("rows")
        return cls(
            inputs=summary_from_json(value["inputs"], field=f"{FIELD}.inputs"),
            outputs=None if outputs is None else summary_from_json(outputs, field=f"{FIELD}.outputs"),
            rows=None if rows is None else sample_from_json(rows, field=f"{FIELD}.rows"),
        )


def sketch_table(
    rows: pa.Table,
    *,
    features: Sequence[str],
    predictions: pa.Array | None = None,
    scores: pa.Array | None = None,
    sample_rows: int = MOST_ROWS,
) -> Sketches:
    """Sketch the rows that a version learned from, and what it answers to them or to others; up to `sample_rows` are kept as points.

    Raises:
        InvalidInput: no rows, or a feature that the rows do not have.
    """
    missing = [name for name in features if name not in rows.column_names]
    if missing or not rows.num_rows:
        what = f"no feature '{missing[0]}'" if missing else "no rows"
        raise InvalidInput(f"the table has {what} to sketch", field=FIELD)
    inputs = summarise(rows, names=features, rows_of=features, points=points_for(len(features), most=POINTS))
    answers = {name: array for name, array in ((PREDICTION, predictions), (SCORE, scores)) if array is not None}
    sample = sample_for_evidence(rows, features, most=sample_rows)
    if not answers or not len(next(iter(answers.values()))):
        return Sketches(inputs=inputs, rows=sample)
    table = pa.table(answers)
    outputs = summarise(table, names=table.column_names, points=points_for(len(answers), most=POINTS))
    return Sketches(inputs=inputs, outputs=outputs, rows=sample)
