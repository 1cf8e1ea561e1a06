"""Everything that a mature window says of slices: the named ones and the worst one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from flyball.kernel.errors import UnknownKey
from flyball.measures.metrics import Task
from flyball.measures.resampling import places_in_time
from flyball.monitoring.answers import read_answers
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.estimated import labelled_rows
from flyball.monitoring.expectations import TIME, Method
from flyball.monitoring.figures import SlicesFound
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.online.rules import check_online_against
from flyball.monitoring.slice_rules import check_slices_against
from flyball.monitoring.slice_search import search_worst
from flyball.monitoring.slices import Labelled, judge_slices


def slices_of(
    table: pa.Table, monitor: Monitor, baseline: Baseline | None, *, origin_ms: int, seed: int
) -> SlicesFound:
    """Judge the slices of one version's rows in a mature window; where the metric cannot be made, `searched` says why."""
    labelled = labelled_rows(table)
    metric = monitor.quality.find_metric()
    answers = read_answers(labelled, metric, monitor.quality)
    if isinstance(answers, str):
        return SlicesFound(searched=answers)
    if labelled.num_rows < monitor.min_rows:
        return SlicesFound(searched=f"{labelled.num_rows} labelled rows, {monitor.min_rows} are needed")
    places, _ = places_in_time(labelled.column(TIME).to_numpy(), block_ms=monitor.block_ms, origin_ms=origin_ms)
    named = judge_slices(
        Labelled(table=labelled, answers=answers, places=places, metric=metric),
        rules=monitor.slices,
        quality=monitor.quality,
        baseline=baseline,
        seed=seed,
    )
    found = search_worst(
        labelled,
        places,
        method=Method.DLE if metric.task is Task.REGRESSION else Method.CBPE,
        learned=None if baseline is None else baseline.expectation,
        rules=monitor.slices,
        quality=monitor.quality,
        seed=seed,
    )
    return replace(found, named=named)


def check_columns(monitor: Monitor, features: Mapping[str, pa.DataType]) -> None:
    """Check that slices, groups and detectors are of features that are served; where nobody knows them (none given) nothing is checked.

    Raises:
        UnknownKey: a feature that is not served, with near misses.
        InvalidInput: a predicate that does not fit the features' types.
    """
    if not features:
        return
    check_slices_against(monitor.slices, features)
    check_online_against(monitor.online, list(features), endpoint=monitor.endpoint)
    for place, rule in enumerate(monitor.groups):
        if rule.column not in features:
            where = f"the features of endpoint '{monitor.endpoint}' ('groups[{place}].column')"
            raise UnknownKey.among(rule.column, list(features), where=where)
