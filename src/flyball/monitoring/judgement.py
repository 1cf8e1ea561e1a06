"""A window's report: its rows in; out what all of them show of the feed, and the champion's of its quality. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.canonical import digest_json
from flyball.monitoring.alerts.attributing import attribute_losses
from flyball.monitoring.attribution import Attribution
from flyball.monitoring.bias import judge_groups
from flyball.monitoring.calibration import discovering as discovery
from flyball.monitoring.calibration.discoveries import DiscoveryFigure
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import Quality, QualityVerdict, Role, Window, WindowReport, WindowState
from flyball.monitoring.estimated import estimate_quality, judge_concept, labelled_rows
from flyball.monitoring.figures import (
    ConceptFigure,
    ConceptVerdict,
    EstimatedQuality,
    ExpectedVerdict,
    GroupFigures,
    SlicesFound,
)
from flyball.monitoring.inputs import ALARM_RATE, DATA, DRIFT, InputFindings, judge_inputs, summarise_traffic
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.multivariate.calibrating import by_calibration
from flyball.monitoring.multivariate.windows import WindowJoint, judge_joint
from flyball.monitoring.online.chain import EVIDENCE, digest_of, memories_from
from flyball.monitoring.online.figures import OnlineFigure
from flyball.monitoring.online.watching import Sight, watch_window, what_is_unknown
from flyball.monitoring.quality import judge_quality
from flyball.monitoring.quality_rules import ACCURACY
from flyball.monitoring.references import Reference
from flyball.monitoring.schema import LABEL
from flyball.monitoring.slicing import slices_of
from flyball.monitoring.summaries import TableSummary
from flyball.registry.entities import EvidenceKind

QUALITY, ESTIMATED, CONCEPT = "quality", "estimated", "concept"
MULTIVARIATE, ONLINE = "multivariate", "online"
NO_RATE = "features together are judged by the thresholds of the file, and nobody knows their rate of false alarms"
_SEED_DIGITS = 8


@dataclass(slots=True, kw_only=True)
class _Findings:
    """A report in the making."""

    inputs: InputFindings = field(default_factory=InputFindings)
    quality: Quality | None = None
    estimated: EstimatedQuality | None = None
    concept: ConceptFigure | None = None
    slices: SlicesFound | None = None
    groups: tuple[GroupFigures, ...] = ()
    joint: WindowJoint = field(default_factory=WindowJoint)
    unknown: dict[str, str] = field(default_factory=dict)
    attribution: Attribution = field(default_factory=Attribution)
    online: tuple[OnlineFigure, ...] = ()
    discoveries: DiscoveryFigure | None = None
    began_from: dict[str, str] = field(default_factory=dict)


def champion_versions(table: pa.Table) -> dict[int, int]:
    """Return the rows of each version that was champion, most rows first (of equals the newest first)."""
    served = table.filter(pc.field("role") == Role.CHAMPION).column("version")
    counted = [(entry["values"], entry["counts"]) for entry in pc.value_counts(served).to_pylist()]
    return dict(sorted(counted, key=lambda pair: (-pair[1], -pair[0])))


def judge_window(
    table: pa.Table,
    window: Window,
    *,
    monitor: Monitor,
    reference: Reference,
    sources: Mapping[str, str],
    seen: TableSummary | None = None,
    earlier: Sequence[WindowReport] = (),
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
        seen: the summary of all these rows, where one is kept; `table` then needs no column of features for itself.
        earlier: the newest reports of the windows before, by start: online detectors go on from them, and a share of false discoveries.
    """
    versions = champion_versions(table)
    version = next(iter(versions), None)
    mine = table.filter((pc.field("role") == Role.CHAMPION) & (pc.field("version") == (version or 0)))
    findings = _Findings()
    if version is None:
        findings.unknown = dict.fromkeys((DATA, DRIFT, QUALITY), "no champion answered in this window")
    else:
        known = seen or summarise_traffic(table)
        now = discovery.discovering(monitor, earlier, version, window.start_ms)
        _judge_inputs(known, table, now=now, version=version, monitor=monitor, reference=reference, findings=findings)
        findings.unknown |= findings.inputs.unknown
        _judge_joint(table, monitor=monitor, reference=reference, findings=findings)
        _estimate(mine, monitor=monitor, reference=reference, findings=findings)
        _judge_labels(mine, window, monitor=monitor, reference=reference, findings=findings)
        _attribute(mine, monitor, reference, findings)
        sight = _sight(mine, window, seen=known, monitor=monitor, reference=reference, findings=findings)
        _go_on(sight, monitor, earlier, findings)
    evidence = {"monitor": digest_json(to_json(monitor)), **reference.digests, **sources, **findings.began_from}
    alarms = findings.inputs.alarms
    if alarms is not None and alarms.calibration:
        evidence["calibration"] = alarms.calibration
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
        drift=findings.inputs.drift,
        faults=findings.inputs.faults,
        outputs=findings.inputs.outputs,
        quality=findings.quality,
        estimated=findings.estimated,
        concept=findings.concept,
        slices=findings.slices,
        groups=findings.groups,
        joint=findings.joint.drift,
        unknown=findings.unknown,
        unwatched=_unwatched(findings),
        evidence=evidence,
        alarms=alarms,
        attribution=findings.attribution,
        online=findings.online,
        discoveries=findings.discoveries,
    )


def _judge_inputs(
    seen: TableSummary,
    table: pa.Table,
    *,
    now: discovery.Discovering | None,
    version: int,
    monitor: Monitor,
    reference: Reference,
    findings: _Findings,
) -> None:
    """Judge the features, at the level of the window where the file wants a share of false discoveries: then note if it is one."""
    reference = replace(reference, yardstick=discovery.held_to(reference.yardstick, now, monitor))
    times = table.column("time_ms").to_numpy()
    findings.inputs = judge_inputs(seen, version, times=times, monitor=monitor, reference=reference)
    if now is None:
        return
    names = discovery.calibrated(reference.yardstick, monitor)
    findings.discoveries = discovery.discovered(now, names, findings.inputs.drift, findings.inputs.faults)
    findings.began_from[discovery.EVIDENCE] = str(now.began_from)


def _judge_joint(table: pa.Table, *, monitor: Monitor, reference: Reference, findings: _Findings) -> None:
    if monitor.multivariate is None:
        return
    if table.num_rows < monitor.min_rows:
        findings.unknown[MULTIVARIATE] = f"{table.num_rows} rows, {monitor.min_rows} are needed"
        return
    without = {*monitor.drift.ignore, *(fault.feature for fault in findings.inputs.faults)}
    findings.joint = judge_joint(table, monitor.multivariate, reference.rows, without=without)
    if findings.joint.unknown:
        findings.unknown[MULTIVARIATE] = findings.joint.unknown
    elif monitor.alarms.stated:
        _hold_to_rate(findings, reference)


def _hold_to_rate(findings: _Findings, reference: Reference) -> None:
    """Judge by the calibration of features together, where there is one that says something, and else say that nobody knows the rate."""
    made = None if reference.yardstick is None else reference.yardstick.calibration.joint
    if made is None or made.reason:
        findings.unknown[f"{MULTIVARIATE} {ALARM_RATE}"] = (
            f"{NO_RATE}: {'not calibrated' if made is None else made.reason}"
        )
        return
    findings.joint = replace(findings.joint, drift=by_calibration(findings.joint.drift, made))


def _unwatched(findings: _Findings) -> Mapping[str, str]:
    """Return what no measure watches: neither one for itself, nor one of columns together."""
    alone = {name: reason for name, reason in findings.inputs.unwatched.items() if name not in findings.joint.watched}
    return {**alone, **findings.joint.unwatched}


def _estimate(table: pa.Table, *, monitor: Monitor, reference: Reference, findings: _Findings) -> None:
    if reference.baseline is None:
        findings.unknown[ESTIMATED] = _no_baseline(reference)
        return
    found = estimate_quality(
        table,
        reference.baseline,
        rules=monitor.expectation,
        min_rows=monitor.min_rows,
        tolerance=monitor.quality.tolerance,
    )
    if isinstance(found, str):
        findings.unknown[ESTIMATED] = found
        return
    findings.estimated = found
    if found.verdict is ExpectedVerdict.UNKNOWN:
        findings.unknown[ESTIMATED] = found.reason


def _no_baseline(reference: Reference) -> str:
    return reference.missing.get(EvidenceKind.BASELINE, "there is no baseline to hold against")


def _judge_labels(
    table: pa.Table, window: Window, *, monitor: Monitor, reference: Reference, findings: _Findings
) -> None:
    if window.state is not WindowState.MATURE:
        return
    seed = int(digest_json([monitor.name, window.start_ms])[:_SEED_DIGITS], 16)
    quality = judge_quality(
        table,
        monitor,
        reference.baseline,
        no_baseline=_no_baseline(reference),
        origin_ms=window.start_ms,
        seed=seed,
    )
    findings.quality = quality
    if quality.verdict is QualityVerdict.UNKNOWN:
        findings.unknown[QUALITY] = quality.reason
    _judge_concept(table, monitor=monitor, reference=reference, findings=findings, seed=seed)
    findings.slices = slices_of(table, monitor, reference.baseline, origin_ms=window.start_ms, seed=seed)
    findings.groups, unknown = judge_groups(table, monitor.groups)
    findings.unknown |= unknown


def _judge_concept(table: pa.Table, *, monitor: Monitor, reference: Reference, findings: _Findings, seed: int) -> None:
    learned = None if reference.baseline is None else reference.baseline.expectation
    if learned is None:
        findings.unknown[CONCEPT] = findings.unknown.get(ESTIMATED, _no_baseline(reference))
        return
    labelled = labelled_rows(table)
    if labelled.num_rows < monitor.min_label_coverage * table.num_rows:
        findings.unknown[CONCEPT] = findings.unknown.get(QUALITY, "too few rows have labels")
        return
    findings.concept = judge_concept(
        labelled,
        learned,
        rules=monitor.expectation,
        block_ms=monitor.block_ms,
        min_rows=monitor.min_rows,
        resamples=monitor.quality.resamples,
        seed=seed,
        drifted=[drift.feature for drift in findings.inputs.drift if drift.drifted],
        faulty=sorted({fault.feature for fault in findings.inputs.faults}),
    )
    if findings.concept.verdict is ConceptVerdict.UNKNOWN:
        findings.unknown[CONCEPT] = findings.concept.reason


def _attribute(table: pa.Table, monitor: Monitor, reference: Reference, findings: _Findings) -> None:
    """Say which suspects the wrong answers are due to, where labels say which were wrong."""
    quality = findings.quality
    if quality is None or quality.rows == 0 or reference.profile is None or not monitor.quality.is_of_classes:
        return
    drifted = [drift.feature for drift in findings.inputs.drift if drift.drifted]
    suspects = list(dict.fromkeys([*(fault.feature for fault in findings.inputs.faults), *drifted]))
    accuracy = None if reference.baseline is None else reference.baseline.value_of(ACCURACY)
    findings.attribution = attribute_losses(table, suspects, reference.profile, baseline=accuracy)


def _sight(
    mine: pa.Table,
    window: Window,
    *,
    seen: TableSummary,
    monitor: Monitor,
    reference: Reference,
    findings: _Findings,
) -> Sight:
    return Sight(
        start_ms=window.start_ms,
        mature=window.state is WindowState.MATURE,
        version=mine.column("version")[0].as_py(),
        mine=mine,
        seen=seen,
        baseline=reference.baseline,
        of_classes=monitor.quality.is_of_classes,
        min_rows=monitor.min_rows,
        min_label_coverage=monitor.min_label_coverage,
        faulty={fault.feature for fault in findings.inputs.faults},
    )


def _go_on(sight: Sight, monitor: Monitor, earlier: Sequence[WindowReport], findings: _Findings) -> None:
    """Feed the online detectors, from where the windows before left them."""
    if not monitor.online:
        return
    memories = memories_from(earlier, sight.version)
    findings.online = watch_window(monitor.online, sight, memories)
    findings.began_from[EVIDENCE] = str(digest_of(memories))
    unknown = what_is_unknown(findings.online)
    if unknown:
        findings.unknown[ONLINE] = unknown
