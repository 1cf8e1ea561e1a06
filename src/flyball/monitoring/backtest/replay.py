"""Replay: judge each window of a history as the platform would have, and fire what it would have fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from flyball.kernel.canonical import digest_json
from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import wilson
from flyball.monitoring.backtest.histories import NO_LABELS, History
from flyball.monitoring.backtest.incidents import match
from flyball.monitoring.backtest.results import Backtest, Fired, Incident, Rate, Replayed, Strip
from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.calibration.history import Span, thresholds_on, whole_windows
from flyball.monitoring.calibration.judging import yardstick_of
from flyball.monitoring.calibration.together import with_joint
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import AlertKind, Window, WindowReport, WindowState
from flyball.monitoring.findings import Finding, new_findings, shown
from flyball.monitoring.judgement import QUALITY, champion_versions, judge_window
from flyball.monitoring.monitor import DAY_MS, Monitor
from flyball.monitoring.online.causes import ERROR_RISE
from flyball.monitoring.online.chain import reach
from flyball.monitoring.references import Reference
from flyball.monitoring.stages import Hearer, counted, unheard

MOST_WINDOWS = 20_000
MOST_CAUSES = 3
# What only labels show is known when they had their time.
OF_LABELS = frozenset({AlertKind.QUALITY_DROP, AlertKind.CONCEPT, AlertKind.BIAS})
_RATE_MS = 30 * DAY_MS
_CONFIDENCE = 0.975


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What of a history is replayed, and what calibrates: windows before `reference_until_ms` are not judged."""

    reference_until_ms: int | None = None
    until_ms: int | None = None


@dataclass(slots=True)
class _Tape:
    """A replay in the making."""

    reports: list[WindowReport] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    active: dict[AlertKind, int] = field(default_factory=dict)


def backtest(
    draft: Monitor,
    history: History,
    *,
    current: Monitor | None = None,
    past: History | None = None,
    stretch: Stretch | None = None,
    incidents: Sequence[Incident] = (),
    heard: Hearer = unheard,
) -> Backtest:
    """Replay a monitor over a history, and another one too where two are compared.

    Args:
        draft: the monitor to try.
        history: what it is replayed over.
        current: the monitor that it is compared with.
        past: rows that calibrate; those of the history before `reference_until_ms` when not given.
        stretch: what of the history is replayed.
        incidents: what happened.
        heard: is told how far it is, window by window.

    Raises:
        InvalidInput: nothing is left to replay, or it would be too many windows.
    """
    runs = [
        _replay(monitor, history, past or history, stretch or Stretch(), incidents, heard)
        for monitor in (draft, current)
        if monitor is not None
    ]
    return Backtest(draft=runs[0], current=runs[1] if current is not None else None)


def _replay(
    monitor: Monitor,
    history: History,
    past: History,
    stretch: Stretch,
    incidents: Sequence[Incident],
    heard: Hearer,
) -> Replayed:
    span = judged_span(monitor, history, stretch)
    calibrations: dict[int, Calibration] = {}
    references: dict[int, Reference] = {}
    tape = _Tape()
    starts = range(span.start_ms, span.end_ms, monitor.window_ms)
    for start in counted(starts, len(starts), stage=f"replaying {monitor.name}", heard=heard):
        table = history.read(start, start + monitor.window_ms)
        if not table.num_rows:
            continue
        version = next(iter(champion_versions(table)), None)
        if version is not None and version not in references:
            reference = history.reference(monitor, version)
            made = _calibrate(monitor, past, reference, version, until_ms=span.start_ms)
            if made is not None:
                calibrations[version] = made
                reference = replace(reference, yardstick=yardstick_of(made))
            references[version] = reference
        held = Reference() if version is None else references[version]
        earlier = tape.reports[-reach(monitor) :]
        _play(tape, monitor, _judge(monitor, history, table, start, held, earlier=earlier))
    fired, caught = match(_closed(tape), incidents, window_ms=monitor.window_ms)
    return Replayed(
        monitor=monitor.name,
        digest=digest_json(to_json(monitor)),
        from_ms=span.start_ms,
        to_ms=span.end_ms,
        window_ms=monitor.window_ms,
        stated=_stated(monitor, list(calibrations.values())),
        calibration=next((str(one.digest) for one in calibrations.values()), ""),
        fired=tuple(fired),
        rates=_rates(fired, len(tape.reports), monitor.window_ms),
        caught=tuple(caught),
        windows=tuple(_strip(report, history) for report in tape.reports),
    )


def judged_span(monitor: Monitor, history: History, stretch: Stretch) -> Span:
    """Return the whole windows that a replay judges.

    Raises:
        InvalidInput: there are none, or too many.
    """
    first, end = history.span()
    first = max(first, stretch.reference_until_ms or 0)
    end = end if stretch.until_ms is None else min(end, stretch.until_ms)
    window, origin = monitor.window_ms, monitor.origin_ms
    start = first + (origin - first) % window
    if end - start < window:
        raise InvalidInput("no whole window is left to replay: the history is too short", field="history")
    if (end - start) // window > MOST_WINDOWS:
        raise InvalidInput(
            f"{(end - start) // window} windows are too many to replay, {MOST_WINDOWS} at most: begin later",
            field="window",
        )
    return Span(start_ms=start, end_ms=end - (end - origin) % window)


def _calibrate(
    monitor: Monitor, past: History, reference: Reference, version: int, *, until_ms: int
) -> Calibration | None:
    if not monitor.alarms.stated or reference.profile is None:
        return None
    first, end = past.span()
    span = whole_windows(monitor, first, min(end, until_ms), features=len(reference.profile.columns))
    step = max(monitor.window_ms, DAY_MS) * 8
    tables = (past.read(at, min(at + step, span.end_ms)) for at in range(span.start_ms, span.end_ms, step))
    made = thresholds_on(tables, span, monitor=monitor, version=version, profile=reference.profile).calibration
    return with_joint(made, past.read, span, monitor=monitor, reference=reference.rows)


def _judge(
    monitor: Monitor,
    history: History,
    table: pa.Table,
    start_ms: int,
    reference: Reference,
    *,
    earlier: Sequence[WindowReport],
) -> WindowReport:
    labelled = history.labelled()
    window = Window(
        monitor=monitor.name,
        start_ms=start_ms,
        end_ms=start_ms + monitor.window_ms,
        state=WindowState.MATURE if labelled else WindowState.CLOSED,
        rows=table.num_rows,
        labelled=0,
        revision=1,
    )
    return judge_window(table, window, monitor=monitor, reference=reference, sources={}, earlier=earlier)


def _play(tape: _Tape, monitor: Monitor, report: WindowReport) -> None:
    """Fire what is new, and count on what is still shown: an alert lasts as long as window after window shows it."""
    found = new_findings(report, before=None, earlier=tape.reports, persist=monitor.persist_windows)
    now = shown(report)
    tape.active = {kind: place for kind, place in tape.active.items() if kind in now}
    for place in tape.active.values():
        tape.fired[place] = replace(tape.fired[place], windows=tape.fired[place].windows + 1)
    for finding in found:
        if finding.kind not in tape.active:
            late = monitor.label_maturity_ms if _rests_on_labels(finding) else 0
            tape.active[finding.kind] = len(tape.fired)
            tape.fired.append(
                Fired(
                    kind=str(finding.kind),
                    window_start_ms=report.start_ms,
                    fired_ms=report.end_ms + late,
                    windows=1,
                    causes=tuple(cause.text for cause in finding.causes[:MOST_CAUSES]),
                )
            )
    tape.reports.append(report)


def _rests_on_labels(finding: Finding) -> bool:
    of_errors = finding.kind is AlertKind.LASTING_CHANGE and all(one.kind == ERROR_RISE for one in finding.causes)
    return of_errors or finding.kind in OF_LABELS


def _closed(tape: _Tape) -> list[Fired]:
    return sorted(tape.fired, key=lambda one: (one.fired_ms, one.kind))


def _rates(fired: Sequence[Fired], windows: int, window_ms: int) -> tuple[Rate, ...]:
    found = []
    for kind in sorted({one.kind for one in fired}):
        count = sum(one.kind == kind for one in fired)
        bounds = wilson(min(count, windows), windows, confidence=_CONFIDENCE)
        per = _RATE_MS / window_ms
        found.append(
            Rate(
                kind=kind,
                count=count,
                per_30d=bounds.estimate * per,
                lower=bounds.lower * per,
                upper=bounds.upper * per,
            )
        )
    return tuple(found)


def _strip(report: WindowReport, history: History) -> Strip:
    unknown = dict(report.unknown)
    if not history.labelled():
        unknown[QUALITY] = NO_LABELS
    return Strip(
        start_ms=report.start_ms,
        rows=report.rows,
        shown=tuple(sorted(str(kind) for kind in shown(report))),
        p_value=report.alarms.p_value if report.alarms else None,
        unknown=unknown,
    )


def _stated(monitor: Monitor, made: Sequence[Calibration]) -> str:
    if not monitor.alarms.stated:
        return "no rate is stated: the file has neither 'alarms.false_alarms' nor 'alarms.false_discoveries'"
    if not made:
        return "no rate can be stated: no version of the history has a profile"
    one = made[0]
    if not one.known:
        return f"no rate can be stated: {one.reason}"
    if one.false_discoveries:
        return (
            f"{one.wanted} wanted; while nothing changes {one.rate:.2f} alarms in its memory on average, {one.rate_lower:.2f} to "
            f"{one.rate_upper:.2f} (90 %) from {one.windows} windows"
        )
    return (
        f"{one.false_alarms} wanted; {one.rate:.2f} on average, {one.rate_lower:.2f} to {one.rate_upper:.2f} (90 %) from "
        f"{one.windows} windows"
    )
