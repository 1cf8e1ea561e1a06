"""A window's report: its rows in; out what all of them show of the feed, and the champion's of its quality. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.canonical import digest_json
from flyball.monitoring.codec import to_json
from flyball.monitoring.drift import DriftFindings, find_drift
from flyball.monitoring.entities import DataFault, Quality, QualityVerdict, Role, Window, WindowReport, WindowState
from flyball.monitoring.faults import find_faults
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.quality import judge_quality
from flyball.monitoring.references import Reference
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, feature_names, tensor_names
from flyball.registry.entities import EvidenceKind

DATA, DRIFT, QUALITY = "data", "drift", "quality"
_SEED_DIGITS = 8


@dataclass(slots=True, kw_only=True)
class _Findings:
    """A report in the making."""

    drift: DriftFindings = field(default_factory=lambda: DriftFindings(drift=(), unwatched={}))
    faults: tuple[DataFault, ...] = ()
    quality: Quality | None = None
    unknown: dict[str, str] = field(default_factory=dict)
    unwatched: dict[str, str] = field(default_factory=dict)


def champion_versions(table: pa.Table) -> dict[int, int]:
    """Return the rows of each version that was champion, most rows first (of equals the newest first)."""
    served = table.filter(pc.field("role") == Role.CHAMPION).column("version")
    counted = [(entry["values"], entry["counts"]) for entry in pc.value_counts(served).to_pylist()]
    return dict(sorted(counted, key=lambda pair: (-pair[1], -pair[0])))


def judge_window(
    table: pa.Table, window: Window, *, monitor: Monitor, reference: Reference, sources: Mapping[str, str]
) -> WindowReport:
    """Judge a closed or mature window.

    Faults and drift are read from every row that was answered, whoever answered it: the feed is the same for champion and
    canary. Quality is that of the rows of the version that was champion in most of them.

    Args:
        table: all rows of the window with their labels, ordered by time.
        window: the window; its `revision` becomes the report's.
        monitor: what counts as drift, as a fault and as a drop.
        reference: what the first of `champion_versions(table)` is held against.
        sources: digests of what the rows came from, kept as evidence.
    """
    versions = champion_versions(table)
    version = next(iter(versions), None)
    mine = table.filter((pc.field("role") == Role.CHAMPION) & (pc.field("version") == (version or 0)))
    findings = _Findings()
    if version is None:
        findings.unknown = dict.fromkeys((DATA, DRIFT, QUALITY), "no champion answered in this window")
    else:
        _judge_inputs(table, monitor, reference, findings)
        _judge_labels(mine, window, monitor=monitor, reference=reference, findings=findings)
    evidence = {"monitor": digest_json(to_json(monitor)), **reference.digests, **sources}
    return WindowReport(
        monitor=monitor.name,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        revision=window.revision,
        state=window.state,
        version=version,
        versions=versions,
        rows=mine.num_rows,
        labelled=mine.num_rows - mine.column(LABEL).null_count,
        drift=findings.drift.drift,
        faults=findings.faults,
        quality=findings.quality,
        unknown=findings.unknown,
        unwatched=findings.unwatched,
        evidence=evidence,
    )


def _judge_inputs(table: pa.Table, monitor: Monitor, reference: Reference, findings: _Findings) -> None:
    _judge_features(table, monitor, reference, findings)
    findings.unwatched |= dict.fromkeys(tensor_names(table), "a tensor, which is kept and not judged")


def _judge_features(table: pa.Table, monitor: Monitor, reference: Reference, findings: _Findings) -> None:
    if reference.profile is None:
        reason = reference.missing.get(EvidenceKind.PROFILE, "there is no profile to hold against")
        findings.unknown |= dict.fromkeys((DATA, DRIFT), reason)
        return
    columns = {name: table.column(FEATURE_PREFIX + name) for name in feature_names(table)}
    # The profile of training data also describes the target and the time. Nothing in it says which these are, so what no
    # row of the window carries is no feature: a required one that vanished was refused by the model's signature before.
    watched = [column for column in reference.profile.columns if column.name in columns]
    findings.unwatched = {
        column.name: "not among the features served" for column in reference.profile.columns if column not in watched
    } | {name: "the version's profile does not know it" for name in columns if reference.profile.find(name) is None}
    if not watched:
        findings.unknown |= dict.fromkeys((DATA, DRIFT), "the version's profile knows none of the features served")
        return
    if table.num_rows < monitor.min_rows:
        reason = f"{table.num_rows} rows, {monitor.min_rows} are needed"
        findings.unknown |= dict.fromkeys((DATA, DRIFT), reason)
        return
    faults = [fault for column in watched for fault in find_faults(column, columns.get(column.name), monitor.data)]
    findings.faults = tuple(sorted(faults, key=lambda fault: (-fault.share, fault.feature, fault.kind)))
    findings.drift = find_drift(watched, columns, monitor.drift)
    findings.unwatched |= findings.drift.unwatched


def _judge_labels(
    table: pa.Table, window: Window, *, monitor: Monitor, reference: Reference, findings: _Findings
) -> None:
    if window.state is not WindowState.MATURE:
        return
    seed = int(digest_json([monitor.name, window.start_ms])[:_SEED_DIGITS], 16)
    no_baseline = reference.missing.get(EvidenceKind.BASELINE, "there is no baseline to hold against")
    quality = judge_quality(
        table, monitor, reference.baseline, no_baseline=no_baseline, origin_ms=window.start_ms, seed=seed
    )
    findings.quality = quality
    if quality.verdict is QualityVerdict.UNKNOWN:
        findings.unknown[QUALITY] = quality.reason
