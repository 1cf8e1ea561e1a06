"""What a window's rows show of the feed, and of the answers: faults and drift against what the version learned from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnProfile
from flyball.monitoring.calibration.entities import AlarmStatement
from flyball.monitoring.calibration.judging import judge_drift
from flyball.monitoring.drift import find_drift
from flyball.monitoring.entities import DataFault, FeatureDrift, Role
from flyball.monitoring.faults import find_faults
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.reference_columns import profile_of
from flyball.monitoring.references import Reference
from flyball.monitoring.schema import FEATURE_PREFIX, PREDICTION, SCORE, TENSOR_PREFIX
from flyball.monitoring.schema_faults import ROWS, row_faults, schema_faults
from flyball.monitoring.summaries import ColumnSummary, TableSummary
from flyball.monitoring.summarising import summarise
from flyball.registry.entities import EvidenceKind

DATA, DRIFT, ALARM_RATE = "data", "drift", "alarm rate"
OUTPUTS = (PREDICTION, SCORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFindings:
    """What was found, what could not be judged (`unknown`), and what nothing watches (`unwatched`), each with its reason."""

    drift: tuple[FeatureDrift, ...] = ()
    outputs: tuple[FeatureDrift, ...] = ()
    faults: tuple[DataFault, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    unwatched: Mapping[str, str] = field(default_factory=dict)
    alarms: AlarmStatement | None = None


def summarise_traffic(table: pa.Table, *, points: int | None = None, late: int = 0) -> TableSummary:
    """Summarise rows of the prediction log: features and tensors of all, and the answers of each version that was champion."""
    prefixes = (FEATURE_PREFIX, TENSOR_PREFIX)
    names = [name for name in table.column_names if name.startswith(prefixes)]
    features = [name for name in names if name.startswith(FEATURE_PREFIX)]
    inputs = summarise(table, names=names, rows_of=features, points=points)
    return replace(inputs, columns={**inputs.columns, **_answers(table, points)}, late=late)


def champion_of(seen: TableSummary) -> int | None:
    """Return the version that was champion in most rows (of equals the newest), None where none was."""
    answered = {
        int(name.removeprefix(f"{PREDICTION}@")): one.rows - one.missing
        for name, one in seen.columns.items()
        if name.startswith(f"{PREDICTION}@")
    }
    return max(answered, key=lambda version: (answered[version], version), default=None)


def judge_inputs(
    seen: TableSummary, version: int, *, times: NDArray[np.int64], monitor: Monitor, reference: Reference
) -> InputFindings:
    """Judge the features of every row that was answered, and the answers of one version; `times` (n,) are those of the rows."""
    features = {
        name.removeprefix(FEATURE_PREFIX): one for name, one in seen.columns.items() if name.startswith(FEATURE_PREFIX)
    }
    tensors = dict.fromkeys(
        (name.removeprefix(TENSOR_PREFIX) for name in seen.tensors), "a tensor, which is kept and not judged"
    )
    found = _judge_features(seen, features, times=times, monitor=monitor, reference=reference)
    outputs = _judge_outputs(seen, version, monitor, reference)
    return replace(found, unwatched={**found.unwatched, **tensors}, outputs=outputs)


def _answers(table: pa.Table, points: int | None) -> dict[str, ColumnSummary]:
    names = [name for name in OUTPUTS if name in table.column_names]
    champion = table.select(["role", "version", *names]).filter(pc.field("role") == Role.CHAMPION)
    found: dict[str, ColumnSummary] = {}
    for version in pc.unique(champion.column("version")).to_pylist():
        mine = champion.filter(pc.field("version") == version)
        columns = summarise(mine, names=names, points=points).columns
        absent = table.num_rows - mine.num_rows
        found |= {
            f"{name}@{version}": replace(one, rows=table.num_rows, missing=one.missing + absent)
            for name, one in columns.items()
        }
    return found


def _judge_features(
    seen: TableSummary,
    features: Mapping[str, ColumnSummary],
    *,
    times: NDArray[np.int64],
    monitor: Monitor,
    reference: Reference,
) -> InputFindings:
    if reference.inputs is None:
        reason = reference.missing.get(EvidenceKind.PROFILE, "there is no profile to hold against")
        return InputFindings(unknown=dict.fromkeys((DATA, DRIFT), reason))
    # The profile of training data also describes the target and the time. Nothing in it says which these are, so what no
    # row of the window carries is no feature: a required one that vanished was refused by the model's signature before.
    watched = {name: one for name, one in reference.inputs.columns.items() if name in features}
    unwatched = {name: "not among the features served" for name in reference.inputs.columns if name not in watched} | {
        name: "the version's profile does not know it" for name in features if name not in watched
    }
    reason = _too_little(seen, watched, monitor)
    if reason:
        return InputFindings(unknown=dict.fromkeys((DATA, DRIFT), reason), unwatched=unwatched)
    faults = _faults(seen, watched, features, monitor=monitor, reference=reference)
    judged = judge_drift(watched, features, times, monitor=monitor, yardstick=reference.yardstick)
    drift, alarms = judged.findings, judged.statement
    return InputFindings(
        drift=drift.drift,
        faults=faults,
        unknown={ALARM_RATE: alarms.reason} if alarms is not None and alarms.reason else {},
        unwatched=unwatched | dict(drift.unwatched),
        alarms=alarms,
    )


def _too_little(seen: TableSummary, watched: Mapping[str, ColumnSummary], monitor: Monitor) -> str:
    if not watched:
        return "the version's profile knows none of the features served"
    return f"{seen.rows} rows, {monitor.min_rows} are needed" if seen.rows < monitor.min_rows else ""


def _faults(
    seen: TableSummary,
    watched: Mapping[str, ColumnSummary],
    features: Mapping[str, ColumnSummary],
    *,
    monitor: Monitor,
    reference: Reference,
) -> tuple[DataFault, ...]:
    assert reference.inputs is not None, "the caller has asked"
    found = [
        fault
        for name, known in watched.items()
        for fault in find_faults(_profile(name, known, reference), features[name], monitor.data)
    ]
    found += schema_faults(watched, features, monitor.data)
    broken = {fault.feature for fault in found}
    whole = row_faults(reference.inputs, seen, monitor.data)
    # Rows repeat each other where a feature stands still; that is the fault then.
    found += [fault for fault in whole if not broken or fault.feature != ROWS or fault.kind == "stale"]
    return tuple(sorted(found, key=lambda fault: (-fault.share, fault.feature, fault.kind)))


def _profile(name: str, known: ColumnSummary, reference: Reference) -> ColumnProfile:
    there = None if reference.profile is None else reference.profile.find(name)
    return there or profile_of(name, known)


def _judge_outputs(
    seen: TableSummary, version: int, monitor: Monitor, reference: Reference
) -> tuple[FeatureDrift, ...]:
    mine = {name: seen.columns[key] for name in OUTPUTS if (key := f"{name}@{version}") in seen.columns}
    rows = max((one.rows - one.missing for one in mine.values()), default=0)
    if reference.outputs is None or rows < monitor.min_rows:
        return ()
    known = {name: one for name, one in reference.outputs.columns.items() if name in mine}
    return find_drift(known, mine, monitor.drift).drift
