"""What a monitor's online detectors make of a window: its values, the memories of the windows before, and what was found. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.answers import correct_rows, numeric
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.online.figures import Memory, OnlineFigure
from flyball.monitoring.online.rules import Figure, OnlineRule, Watch
from flyball.monitoring.online.stepping import Stepped, Usual, promise, start, statistic, step_rows, step_window
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, PREDICTION, SCORE
from flyball.monitoring.summaries import ColumnSummary, TableSummary

IMMATURE = "its labels have not had their time"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """A window as detectors see it.

    `mine` are the rows of `version` with their labels, ordered by time, `seen` the summary of all rows. `of_classes` says whether answers
    are right or wrong; `faulty` are features whose values mean nothing here.
    """

    start_ms: int
    mature: bool
    version: int
    mine: pa.Table
    seen: TableSummary
    baseline: Baseline | None
    of_classes: bool
    min_rows: int
    min_label_coverage: float
    faulty: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Errors:
    """How far each labelled row is off (0 or 1 of classes), and when it was."""

    sizes: NDArray[np.float64]
    times: NDArray[np.int64]


def watch_window(rules: Sequence[OnlineRule], sight: Sight, memories: Mapping[str, Memory]) -> tuple[OnlineFigure, ...]:
    """Feed every detector with a window, going on from what each remembers."""
    errors = _errors(sight) if any(rule.of_labels for rule in rules) else ""
    return tuple(_watch(rule, sight, errors, memories) for rule in rules)


def what_is_unknown(figures: Sequence[OnlineFigure]) -> str:
    """Return what detectors could not judge, with the reasons; labels that have not come yet are no reason."""
    return "; ".join(f"{one.about}: {one.reason}" for one in figures if one.reason and one.reason != IMMATURE)


def _watch(rule: OnlineRule, sight: Sight, errors: _Errors | str, memories: Mapping[str, Memory]) -> OnlineFigure:
    usual = _usual(sight) if rule.of_rows else None
    key = f"{rule.key} usual={usual.mean:.6g},{usual.deviation:.6g}" if isinstance(usual, Usual) else rule.key
    bare = OnlineFigure(
        key=key,
        watch=rule.watch,
        about=rule.about,
        detector=rule.detector,
        per=rule.unit,
        stated="",
        feature=rule.feature,
        reason="",
    )
    if isinstance(usual, str):
        return replace(bare, reason=usual)
    try:
        before = memories.get(key) or start(rule, usual)
    except InvalidInput as error:
        return replace(bare, reason=error.message)
    said = promise(rule, before, usual)
    bare = replace(bare, stated=said.text, run_length=said.run_length)
    if rule.of_labels and not sight.mature:
        return replace(bare, reason=IMMATURE)
    if rule.of_rows:
        return _watch_rows(bare, errors, before, usual)
    value = _value(rule, sight, errors)
    if isinstance(value, str):
        return replace(bare, reason=value, memory=before)
    found = _stepped(bare, step_window(rule, before, value, sight.start_ms), took=1, value=value)
    return found if found.score is not None else replace(found, reason=_learning(found.memory))


def _watch_rows(bare: OnlineFigure, errors: _Errors | str, before: Memory, usual: Usual | None) -> OnlineFigure:
    if isinstance(errors, str):
        return replace(bare, reason=errors, memory=before)
    found = step_rows(before, errors.sizes.tolist(), errors.times.tolist(), usual=usual)
    return _stepped(bare, found, took=len(errors.sizes), value=float(errors.sizes.mean()))


def _stepped(bare: OnlineFigure, found: Stepped, *, took: int, value: float) -> OnlineFigure:
    reached, limit = statistic(found.memory)
    return replace(
        bare,
        took=took,
        value=value,
        score=found.score,
        statistic=reached,
        limit=limit,
        change=found.change,
        memory=found.memory,
    )


def _learning(memory: Memory | None) -> str:
    series = None if memory is None else memory.series
    assert series is not None, "windows are held against those before them"
    known = series.count + 1
    if known > series.learn or series.until == series.count:
        return "the windows before do not vary"
    return f"it learns what is usual: {known} of {series.learn} windows"


def _value(rule: OnlineRule, sight: Sight, errors: _Errors | str) -> float | str:
    if rule.watch is Watch.ERROR:
        if isinstance(errors, str):
            return errors
        few = len(errors.sizes) < sight.min_rows
        return _too_few(len(errors.sizes), sight, "labelled rows") if few else float(errors.sizes.mean())
    name = f"{SCORE}@{sight.version}" if rule.watch is Watch.SCORE else FEATURE_PREFIX + rule.feature
    column = sight.seen.columns.get(name)
    if column is None:
        return "the window has no such column"
    if rule.figure is Figure.MISSING_SHARE:
        few = column.rows < sight.min_rows
        return _too_few(column.rows, sight, "rows") if few else column.missing / column.rows
    if rule.feature in sight.faulty:
        return "its data is faulty in this window"
    return _mean(column, sight)


def _mean(column: ColumnSummary, sight: Sight) -> float | str:
    if column.numbers is None:
        return "the window has no numbers of it"
    if column.numbers.count < sight.min_rows:
        return _too_few(column.numbers.count, sight, "values")
    return float(column.numbers.mean)


def _too_few(count: int, sight: Sight, what: str) -> str:
    return f"{count} {what}, {sight.min_rows} are needed"


def _errors(sight: Sight) -> _Errors | str:
    labelled = sight.mine.filter(pc.field(LABEL).is_valid())
    if not labelled.num_rows or labelled.num_rows < sight.min_label_coverage * sight.mine.num_rows:
        return (
            f"{labelled.num_rows} of {sight.mine.num_rows} rows have labels, {sight.min_label_coverage:.1%} are needed"
        )
    times = labelled.column("time_ms").to_numpy()
    if sight.of_classes:
        return _Errors(sizes=1.0 - correct_rows(labelled).astype(np.float64), times=times)
    truth, said = (numeric(labelled.column(name)) for name in (LABEL, PREDICTION))
    if truth is None or said is None:
        return "the answers are no numbers"
    sizes = np.abs(truth - said)
    return _Errors(sizes=sizes, times=times) if np.all(np.isfinite(sizes)) else "some errors are no finite numbers"


def _usual(sight: Sight) -> Usual | str:
    baseline = sight.baseline
    if baseline is None:
        return "there is no baseline to hold single rows against"
    if sight.of_classes:
        right = baseline.value_of("accuracy")
        if right is None or not 0 < right < 1:
            return "the version's baseline says nothing of its share of wrong answers"
        return Usual(mean=1.0 - right, deviation=math.sqrt(right * (1.0 - right)))
    mean, square = baseline.value_of("mae"), baseline.value_of("rmse")
    if mean is None or square is None or not square > mean:
        return "the version's baseline says nothing of how much its errors vary: it needs both mae and rmse"
    return Usual(mean=mean, deviation=math.sqrt(square**2 - mean**2))
