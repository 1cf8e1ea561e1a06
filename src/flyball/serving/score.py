"""Score a table with a model folder, here or in a child process.

The server and the worker never load a model themselves: they call `score_in_child`, which runs
`python -m flyball.serving.score` with a JSON spec on standard input and Parquet files for the rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flyball.kernel.errors import FlyballError, InvalidInput, Unavailable
from flyball.kernel.runners import Refusal, error_of, refusal_of
from flyball.kernel.runners.child import without_settings
from flyball.serving.capture_values import PROBABILITIES, TWO_CLASSES, label_values, list_column
from flyball.serving.entities import Array, Columns, Prediction
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.served_model import ServedModel, load_model
from flyball.serving.signature import NamedRows

# A million rows of a large forest take minutes; what takes longer than this hangs.
TIMEOUT_S = 1_800
REFUSED = 3
_TAIL_CHARACTERS = 2_000


class ScoreSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a child is asked to do: paths of a model folder, of the rows, and of the result to write."""

    model: str
    rows: str
    result: str
    allow_pickle: bool = False
    isolation: IsolationRules | None = None


def score(
    model_folder: Path, table: pa.Table, *, allow_pickle: bool = False, isolation: IsolationRules | None = None
) -> pa.Table:
    """Predict every row; return the columns `prediction` and `score` (null without probabilities).

    The table's columns are taken by the names of the signature; others, such as the label, play no part. Without `isolation` the
    model runs in this process, whatever its environment.

    Raises:
        InvalidInput: the folder is no model that can be loaded, or a column is missing or mistyped.
        Unsupported: a flavour, format, type or version that is not served.
        Unavailable: the model's environment cannot be made at present.
    """
    placed = None if isolation is None else isolation.open()
    with closing(load_model(model_folder, allow_pickle=allow_pickle, isolation=placed)) as model:
        return predict_table(model, table)


RunChild: TypeAlias = Callable[[bytes, float], tuple[int, str]]
"""Give a child its spec and wait so many seconds at most; return its exit status and the end of what it printed."""


def run_fresh(spec: bytes, timeout_s: float) -> tuple[int, str]:
    """Run the child in an interpreter of its own.

    Raises:
        TimeoutError: it took longer, and was ended.
    """
    command, environment = [sys.executable, "-m", "flyball.serving.score"], without_settings(os.environ)
    try:
        done = subprocess.run(  # noqa: S603 -- our own module in our own interpreter
            command, input=spec, capture_output=True, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    return done.returncode, done.stderr.decode(errors="replace")[-_TAIL_CHARACTERS:]


def score_in_child(
    model_folder: Path,
    table: pa.Table,
    *,
    allow_pickle: bool = False,
    isolation: IsolationRules | None = None,
    timeout_s: float = TIMEOUT_S,
    run: RunChild = run_fresh,
) -> pa.Table:
    """Do what `score` does in a process of its own, so that whatever the model's files do is done there.

    Raises:
        InvalidInput: as `score`, or the model crashed its process.
        Unsupported: as `score`.
        Unavailable: it took longer than `timeout_s`.
    """
    with tempfile.TemporaryDirectory(prefix="flyball-score-") as folder:
        rows, result = Path(folder) / "rows.parquet", Path(folder) / "result.parquet"
        pq.write_table(table, rows)
        spec = ScoreSpec(
            model=str(model_folder.absolute()),
            rows=str(rows),
            result=str(result),
            allow_pickle=allow_pickle,
            isolation=isolation,
        )
        _run_child(spec, run, timeout_s=timeout_s)
        return pq.read_table(result, partitioning=None)


def _run_child(spec: ScoreSpec, run: RunChild, *, timeout_s: float) -> None:
    try:
        status, tail = run(msgspec.json.encode(spec), timeout_s)
    except TimeoutError as error:
        raise Unavailable(f"scoring with {spec.model} took longer than {timeout_s} s and was ended") from error
    if status == REFUSED and Path(spec.result).exists():
        raise error_of(msgspec.json.decode(Path(spec.result).read_bytes(), type=Refusal))
    if status != 0:
        raise InvalidInput(f"the model crashed its process (status {status}): {tail}", field="model")


def predict_table(model: ServedModel, table: pa.Table) -> pa.Table:
    """Predict the rows of a table with a model that is loaded; columns that the model does not know play no part.

    Of more than two classes the probabilities of all are there as well, as the prediction log has them.
    """
    said = model.predict_rows(columns_of(model, table))
    answers = answers_of(said, rows=table.num_rows)
    if said.probabilities is None or said.probabilities.shape[1] <= TWO_CLASSES:
        return answers
    return answers.append_column(*list_column(PROBABILITIES, said.probabilities))


def columns_of(model: ServedModel, table: pa.Table) -> Columns:
    """Return the columns of a table that a model wants, as it will see them.

    Raises:
        InvalidInput: one is missing, mistyped or lossy.
    """
    names = [name for name in model.signature.names if name in table.column_names]
    return model.columns_of(NamedRows(columns={name: _array(table.column(name), name) for name in names}))


def answers_of(prediction: Prediction, *, rows: int) -> pa.Table:
    """Return a prediction as the columns `prediction` and `score`."""
    scores = prediction.scores
    missing = pa.nulls(rows, pa.float64())
    return pa.table(
        {
            "prediction": label_values(prediction.labels),
            "score": missing if scores is None else pa.array(scores, type=pa.float64()),
        }
    )


def _array(column: pa.ChunkedArray, name: str) -> Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numeric and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        raise InvalidInput(f"column '{name}' is {kind}; a model can be fed numbers, booleans and texts", field=name)
    if pa.types.is_boolean(kind) and column.null_count:
        raise InvalidInput(f"column '{name}' has missing values, and boolean cannot say so", field=name)
    values: Array = np.asarray(column.to_numpy())
    return values


def run_as_child() -> None:
    """Run as the child, to the end of the process."""
    sys.exit(main())


def main() -> int:
    """Do what the spec on standard input asks for, and return the exit status."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=ScoreSpec)
    try:
        rows = pq.read_table(spec.rows, partitioning=None)
        scored = score(Path(spec.model), rows, allow_pickle=spec.allow_pickle, isolation=spec.isolation)
        pq.write_table(scored, spec.result)
    except FlyballError as error:
        # In place of the result, because a model may print whatever it likes.
        Path(spec.result).write_bytes(msgspec.json.encode(refusal_of(error)))
        return REFUSED
    return 0


if __name__ == "__main__":
    run_as_child()
