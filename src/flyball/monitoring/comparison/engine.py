"""Compare two tables: read column after column of both, measure, and judge all columns together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from flyball.kernel.errors import InvalidInput
from flyball.kernel.runners import open_runner
from flyball.monitoring.comparison.columns import read_column
from flyball.monitoring.comparison.measuring import NO_VALUE, Rules, compare_summaries
from flyball.monitoring.comparison.results import ColumnComparison, Comparison, Side
from flyball.monitoring.comparison.sources import Source, open_source
from flyball.monitoring.comparison.spread import summarise_spread
from flyball.monitoring.comparison.together import compare_together
from flyball.monitoring.drift import UNWATCHED_KINDS, judge_all
from flyball.monitoring.entities import DataFault, FaultKind
from flyball.monitoring.monitor import DataRules, DriftRules
from flyball.monitoring.multivariate.rules import MultivariateRules, check_multivariate
from flyball.monitoring.summaries import ColumnSummary, TableSummary

Progress = Callable[[int, int], None]
"""Told after each column: how many are done, of how many."""
Reader = Callable[[Source, str], ColumnSummary]
"""Gives a column of a table, summarised."""
# Columns wait for memory more than for the processor; two at once keep both cores busy and the memory small.
MOST_THREADS = 8


def compare(
    reference: object,
    current: object,
    *,
    columns: Sequence[str] | None = None,
    drift: DriftRules | None = None,
    data: DataRules | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    runner: str = "",
    workers: int | None = None,
    multivariate: MultivariateRules | bool = False,
) -> Comparison:
    """Compare two tables column by column.

    A column drifted when its effect is beyond the threshold *and* the test, adjusted over all columns, is significant: on
    many rows everything is significant, on few everything looks large. Up to 4,194,304 rows columns are sorted as they
    are; beyond, they are sketched in bounded memory and `rank_error` says how precisely.

    Args:
        reference: a pandas or Polars frame, an Arrow table, a DuckDB relation, the path of a Parquet file or of a folder of
            such files, or a list of paths.
        current: the same; it need not be of the same kind.
        columns: what to compare; all columns of both tables when not given.
        drift: when a column counts as drifted.
        data: when its data counts as faulty.
        threads: how many columns are read at once; as many as there are processors, and eight at most, when not given.
        progress: told after each column.
        runner: "ray" or "local" has Parquet files summarised part by part on a cluster, or in processes of this machine, and only
            the sketches come back; without one, this process reads.
        workers: how many parts a runner does at once; as many as there are processors when not given.
        multivariate: whether the columns of numbers are held against each other together too, on a sample of the rows; rules
            instead of True say when they count as drifted. Free text and lists of numbers are always compared by such samples.

    Raises:
        InvalidInput: a table without rows or columns, a file that is none, a column that is not there.
        Unsupported: another kind of table, or a type of column that cannot be compared.
    """
    ours = open_source(reference, what="reference", columns=columns)
    theirs = open_source(current, what="current table", columns=columns)
    names = _names(ours, theirs, columns)
    rules = Rules(drift=drift or DriftRules(), data=data or DataRules())
    _check_rules(rules, names)
    read = _reader(ours, theirs, names, rules, runner=runner, workers=workers) if runner else read_column
    at_once = threads or min(MOST_THREADS, os.cpu_count() or 1)
    found: list[ColumnComparison] = []
    with ThreadPoolExecutor(at_once, thread_name_prefix="compare") as pool:
        for column in pool.map(partial(_compare_column, ours, theirs, rules, read), names):
            found.append(column)
            if progress is not None:
                progress(len(found), len(names))
    wanted = columns is None
    judged = _judged(found, rules.drift)
    given = multivariate if isinstance(multivariate, MultivariateRules) else MultivariateRules()
    check_multivariate(given)
    together = compare_together(
        ours, theirs, judged, rules=given, ignore=rules.drift.ignore, numbers=bool(multivariate)
    )
    return Comparison(
        reference_rows=ours.rows,
        current_rows=theirs.rows,
        columns=tuple(sorted(together.columns, key=_rank)),
        only_in_reference=tuple(name for name in ours.kinds if wanted and name not in theirs.kinds),
        only_in_current=tuple(name for name in theirs.kinds if wanted and name not in ours.kinds),
        joint=together.joint,
        not_joint=together.not_joint,
    )


def _names(ours: Source, theirs: Source, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        names = [name for name in ours.kinds if name in theirs.kinds]
        if not names:
            raise InvalidInput(
                f"the tables share no column: {', '.join(ours.kinds)} and {', '.join(theirs.kinds)}", field="columns"
            )
        return names
    for name in columns:
        for source, what in ((ours, "reference"), (theirs, "current table")):
            if name not in source.kinds:
                raise InvalidInput(f"the {what} has no column '{name}'", field=name)
    return list(dict.fromkeys(columns))


def _check_rules(rules: Rules, names: Sequence[str]) -> None:
    unknown = sorted({*rules.drift.thresholds, *rules.drift.ignore} - set(names))
    if unknown:
        raise InvalidInput(f"the rules name column '{unknown[0]}', which is not compared", field="drift")


def _reader(
    ours: Source, theirs: Source, names: Sequence[str], rules: Rules, *, runner: str, workers: int | None
) -> Reader:
    """Have both tables summarised by a runner, and return what gives a column of either."""
    wanted = [name for name in names if not _reason_not_to(ours, theirs, rules, name)]
    opened, at_once = open_runner(runner), workers or os.cpu_count() or 1
    kept: dict[int, TableSummary] = {}
    for source, what in ((ours, "reference"), (theirs, "current table")):
        if wanted:
            kept[id(source)] = summarise_spread(source, wanted, runner=opened, workers=at_once, what=what)
    return lambda source, name: kept[id(source)].columns[name]


def _reason_not_to(ours: Source, theirs: Source, rules: Rules, name: str) -> str:
    kind, now = ours.kinds[name], theirs.kinds[name]
    if name in rules.drift.ignore:
        return "ignored by the rules"
    return f"it is {now}, and {kind} in the reference" if kind is not now else UNWATCHED_KINDS.get(kind, "")


def _compare_column(ours: Source, theirs: Source, rules: Rules, read: Reader, name: str) -> ColumnComparison:
    kind, now = ours.kinds[name], theirs.kinds[name]
    reason = _reason_not_to(ours, theirs, rules, name)
    if not reason:
        return compare_summaries(name, read(ours, name), read(theirs, name), rules)
    if kind is not now and name not in rules.drift.ignore:
        detail = reason.removeprefix("it ")
        fault = DataFault(feature=name, kind=FaultKind.TYPE, share=1.0, detail=detail)
        return replace(_unwatched(ours, theirs, name, reason), faults=(fault,))
    return _unwatched(ours, theirs, name, reason)


def _unwatched(ours: Source, theirs: Source, name: str, reason: str) -> ColumnComparison:
    return ColumnComparison(
        name=name,
        kind=ours.kinds[name],
        reference=Side(rows=ours.rows, missing_count=None),
        current=Side(rows=theirs.rows, missing_count=None),
        unwatched=reason or NO_VALUE,
    )


def _judged(found: Sequence[ColumnComparison], rules: DriftRules) -> list[ColumnComparison]:
    drifts = {drift.feature: drift for drift in judge_all([one.drift for one in found if one.drift], rules)}
    return [replace(one, drift=drifts.get(one.name)) for one in found]


def _rank(column: ColumnComparison) -> tuple[bool, bool, float, str]:
    return not column.drifted, not column.faults, -column.strength, column.name
