"""What to expect of a version's answers before their labels come, learned from its reference, and how that erred there.

Classification: a score, calibrated, is the chance of its answer to be right (CBPE). Regression: a small tree says what the answer
is wrong by where its row lies (DLE). Either assumes that the same features still mean the same label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.measures.estimation import LEAST_ROWS_A_STEP, Calibration, calibrate, variance_of_mean
from flyball.measures.expectation import ErrorHistory
from flyball.measures.loss_tree import LossTree, grow_loss_tree
from flyball.measures.resampling import places_in_time, sum_in_blocks
from flyball.measures.samples import Floats
from flyball.monitoring.answers import correct_rows, numeric
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, PREDICTION, SCORE

# The rows of the reference are cut into this many stretches of time; each is expected by what the others teach.
FOLDS = 10
# Of a calibration with more steps nobody gains anything; a version should carry little.
MOST_STEPS = 200
# Of a longer reference, blocks are joined until there are no more than these.
MOST_BLOCKS = 4_000
FEWEST_ROWS = 200
# More whole numbers than these are counts, not classes.
FEW_CLASSES = 20
TIME = "time_ms"


class Method(StrEnum):
    """How quality is expected without labels."""

    CBPE = "cbpe"
    DLE = "dle"


EXPECTED_METRIC = {Method.CBPE: "accuracy", Method.DLE: "mae"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expectation:
    """An expectation as it travels in a version. `columns` are those of the tree, `value` is what the reference realised."""

    method: Method
    calibration: Calibration | None
    tree: LossTree | None
    columns: tuple[str, ...]
    history: ErrorHistory
    rows: int
    value: float

    @property
    def metric(self) -> str:
        """The metric that is expected."""
        return EXPECTED_METRIC[self.method]

    def missing(self, table: pa.Table) -> str:
        """Say why nothing can be expected of the rows of a table, "" when it can."""
        if self.method is Method.CBPE:
            return missing_scores(table)
        lacking = [name for name in self.columns if name not in table.column_names]
        return f"the rows lack {', '.join(lacking)}, on which the expected error rests" if lacking else ""

    def expected(self, table: pa.Table) -> Floats:
        """Return the chance to be right, or the size of the error, to expect of each row."""
        if self.calibration is not None:
            return self.calibration.chances(table.column(SCORE).to_numpy())
        return self._tree.expected(tree_columns(table, self.columns))

    def variance_of_mean(self, table: pa.Table) -> float:
        """Return the variance of the mean of these rows' outcomes about the expected one, were the rows independent."""
        if self.calibration is not None:
            return variance_of_mean(self.calibration, table.column(SCORE).to_numpy())
        return self._tree.variance_of_mean(tree_columns(table, self.columns))

    def realised(self, labelled: pa.Table) -> Floats:
        """Return what became of each row: 1 where the answer was right, or the size of the error."""
        return realised(self.method, labelled)

    @property
    def _tree(self) -> LossTree:
        assert self.tree is not None, "what has no calibration has a tree"
        return self.tree

    def to_json(self) -> JsonValue:
        """Return this as evidence that travels in a version."""
        plain: JsonValue = msgspec.to_builtins(_Document.of(self))
        return plain

    @classmethod
    def from_json(cls, value: JsonValue) -> Expectation:
        """Read the evidence.

        Raises:
            InvalidInput: it is no expectation.
        """
        try:
            return msgspec.convert(value, type=_Document).read()
        except (msgspec.ValidationError, IndexError) as error:
            raise InvalidInput(f"an expectation cannot be read: {error}", field="baseline.expectation") from error


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation in plain lists."""

    method: Method
    rows: int
    value: float
    block_ms: int
    starts_ms: list[float]
    block_rows: list[float]
    misses: list[float]
    steps: tuple[list[float], list[float], list[float]] | None = None
    tree: LossTree | None = None
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, one: Expectation) -> _Document:
        known = one.calibration
        return cls(
            method=one.method,
            rows=one.rows,
            value=one.value,
            block_ms=one.history.block_ms,
            starts_ms=one.history.starts_ms.tolist(),
            block_rows=one.history.rows.tolist(),
            misses=one.history.misses.tolist(),
            steps=None if known is None else (known.scores.tolist(), known.shares.tolist(), known.rows.tolist()),
            tree=one.tree,
            columns=one.columns,
        )

    def read(self) -> Expectation:
        if (self.steps is None) is not (self.method is Method.DLE) or (self.tree is None) is not (
            self.method is Method.CBPE
        ):
            raise InvalidInput(f"{self.method} lacks what it is made of", field="baseline.expectation")
        _check_steps(self.steps)
        return Expectation(
            method=self.method,
            calibration=None
            if self.steps is None
            else Calibration(
                scores=np.array(self.steps[0]), shares=np.array(self.steps[1]), rows=np.array(self.steps[2])
            ),
            tree=self.tree,
            columns=self.columns,
            history=ErrorHistory(
                starts_ms=np.array(self.starts_ms),
                rows=np.array(self.block_rows),
                misses=np.array(self.misses),
                block_ms=self.block_ms,
            ),
            rows=self.rows,
            value=self.value,
        )


def _check_steps(steps: tuple[list[float], list[float], list[float]] | None) -> None:
    if steps is not None and not 0 < len(steps[0]) == len(steps[1]) == len(steps[2]):
        raise InvalidInput("a calibration has as many scores as shares and rows", field="baseline.expectation")


def learn_expectation(reference: pa.Table, method: Method, *, block_ms: int) -> Expectation | str:
    """Learn what to expect from rows with labels that were not used for training; or say why nothing can be learned.

    Args:
        reference: `time_ms`, `prediction`, `label` (no null), and `score` for CBPE, `feature.<name>` for DLE.
        method: which.
        block_ms: length of the blocks in which its errors are kept.
    """
    if TIME not in reference.column_names:
        return "the reference has no times, so how its errors vary over time is not known"
    if reference.num_rows < FEWEST_ROWS:
        return f"the reference has {reference.num_rows} rows, {FEWEST_ROWS} are needed"
    missing = missing_scores(reference) if method is Method.CBPE else ""
    if missing:
        return missing
    ordered = reference.sort_by(TIME)
    columns = () if method is Method.CBPE else _numeric_columns(ordered)
    outcomes = realised(method, ordered)
    whole = _fit(method, ordered, columns, outcomes)
    return Expectation(
        method=method,
        calibration=whole if isinstance(whole, Calibration) else None,
        tree=whole if isinstance(whole, LossTree) else None,
        columns=columns,
        history=_history(ordered, outcomes - _by_the_others(method, ordered, columns, outcomes), block_ms=block_ms),
        rows=ordered.num_rows,
        value=float(outcomes.mean()),
    )


def realised(method: Method, labelled: pa.Table) -> Floats:
    """Return what became of each row: 1 where the answer was right, or the size of the error."""
    if method is Method.CBPE:
        return correct_rows(labelled).astype(np.float64)
    truth, said = numeric(labelled.column(LABEL)), numeric(labelled.column(PREDICTION))
    assert truth is not None, "regression has numeric labels"
    assert said is not None, "regression has numeric answers"
    return np.abs(said - truth)


def missing_scores(table: pa.Table) -> str:
    """Say what is wrong with the scores of a table, "" when nothing is."""
    if SCORE not in table.column_names or table.column(SCORE).null_count:
        return "the model gave no probabilities with its answers"
    if not np.all(np.isfinite(table.column(SCORE).to_numpy())):
        return "some scores are not finite"
    return ""


def tree_columns(table: pa.Table, columns: tuple[str, ...]) -> Floats:
    """Return columns as a matrix (n, d); what is no number is NaN."""
    nothing = np.full(table.num_rows, np.nan)
    read = [numeric(table.column(name)) for name in columns]
    return np.column_stack([nothing if one is None else one for one in read])


def _numeric_columns(table: pa.Table) -> tuple[str, ...]:
    names = [PREDICTION, *(name for name in table.column_names if name.startswith(FEATURE_PREFIX))]
    return tuple(name for name in names if numeric(table.column(name)) is not None)


def _fit(method: Method, table: pa.Table, columns: tuple[str, ...], outcomes: Floats) -> Calibration | LossTree:
    if method is Method.DLE:
        return grow_loss_tree(tree_columns(table, columns), outcomes)
    least = max(LEAST_ROWS_A_STEP, table.num_rows // MOST_STEPS)
    return calibrate(table.column(SCORE).to_numpy(), outcomes > 0, least_rows=least)


def _by_the_others(method: Method, table: pa.Table, columns: tuple[str, ...], outcomes: Floats) -> Floats:
    """Expect each stretch of the reference by what the other stretches teach, so that none is expected by itself."""
    found = np.empty(len(outcomes))
    edges = np.linspace(0, len(outcomes), FOLDS + 1).astype(int)
    for start, end in pairwise(edges.tolist()):
        others = np.ones(len(outcomes), dtype=bool)
        others[start:end] = False
        learned = _fit(method, table.filter(pa.array(others)), columns, outcomes[others])
        part = table.slice(start, end - start)
        if isinstance(learned, Calibration):
            found[start:end] = learned.chances(part.column(SCORE).to_numpy())
        else:
            found[start:end] = learned.expected(tree_columns(part, columns))
    return found


def _history(table: pa.Table, misses: Floats, *, block_ms: int) -> ErrorHistory:
    times = table.column(TIME).to_numpy()
    span = int(times[-1] - times[0]) + 1
    while span // block_ms > MOST_BLOCKS:
        block_ms *= 2
    places, blocks = places_in_time(times, block_ms=block_ms)
    starts = np.unique(times // block_ms) * block_ms
    return ErrorHistory(
        starts_ms=starts.astype(np.float64),
        rows=sum_in_blocks(np.ones(len(misses)), places, blocks),
        misses=sum_in_blocks(misses, places, blocks),
        block_ms=block_ms,
    )


def default_method(table: pa.Table) -> Method:
    """Return the method for answers such as these: classes have scores, or are text or truth values, or few whole numbers."""
    said = numeric(table.column(PREDICTION))
    if said is None or not missing_scores(table):
        return Method.CBPE
    values = pc.unique(table.column(LABEL))
    whole = bool(np.all(np.mod(said[np.isfinite(said)], 1.0) == 0))
    return Method.CBPE if whole and len(values) <= FEW_CLASSES else Method.DLE
