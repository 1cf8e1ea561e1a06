"""What the loop reads from monitoring: which alert calls for a request, the diagnosis, the rows to freeze, the canary's outcomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets, DatasetVersion, Profile
from flyball.deployment.entities import Outcomes, Rollout
from flyball.deployment.service import Deployments
from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.errors import NotFound
from flyball.monitoring.entities import Alert, AlertKind, AlertState, DataVerdict, WindowReport
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.service import Monitors
from flyball.registry import EvidenceKind, Registry
from flyball.registry.gates.evidence import WindowFact
from flyball.retraining.diagnosis import Familiar, diagnose
from flyball.retraining.entities import Diagnosis, Request
from flyball.retraining.freeze import Span, cut
from flyball.retraining.gathering import dataset_of
from flyball.retraining.loops import Loop
from flyball.retraining.requests import LOOP_ACTOR, Requests

FEATURE_PREFIX = "feature."
# "Familiar" is where the reference had the middle 98 % of its rows, feature by feature.
FAMILIAR_LOW, FAMILIAR_HIGH = 1, 99


class Watch:
    """The loop's eyes."""

    def __init__(
        self,
        requests: Requests,
        *,
        monitors: Monitors,
        predictions: PredictionLog,
        datasets: Datasets,
        deployments: Deployments,
        registry: Registry,
        artifacts: Artifacts,
    ) -> None:
        self._requests = requests
        self._monitors = monitors
        self._predictions = predictions
        self._datasets = datasets
        self._deployments = deployments
        self._registry = registry
        self._artifacts = artifacts

    def consider(self, loop: Loop) -> Request | None:
        """Open a request for the newest window that fires an alert the loop reacts to, within its limits."""
        found = self.find_call(loop)
        if found is None:
            return None
        alert, report = found
        champion = self._deployments.get(loop.endpoint).champion.version
        return self._requests.open_by_alert(
            loop, alert_id=alert.id, start_ms=report.start_ms, end_ms=report.end_ms, champion=champion
        )

    def find_call(self, loop: Loop) -> tuple[Alert, WindowReport] | None:
        """Return the alert, and the window that shows it, which call for a request now.

        One window causes one request at most. Cool-down and limit count requests that trained, in event time.
        """
        found = self._calling(loop)
        if found is None:
            return None
        alert, report = found
        past = [one for one in self._requests.list(loop=loop.loop) if one.window_end_ms]
        if any(one.window_start_ms >= report.start_ms for one in past):
            return None
        if alert.kind is not AlertKind.DATA_FAULT and not _within_limits(loop, past, report.end_ms):
            return None
        return found

    def diagnose(self, loop: Loop, request: Request) -> Diagnosis:
        """Say why the request's window looks as it does."""
        report = self._monitors.report(loop.monitor, request.window_start_ms)
        tolerance = self._monitors.get(loop.monitor).quality.tolerance
        return diagnose(report, familiar=self._familiar(loop, request, report), tolerance=tolerance)

    def freeze(self, loop: Loop, request: Request) -> Request:
        """Cut and keep the labelled rows that the request trains and is judged on; corrupted windows stay out."""
        plan = loop.training
        span = Span(start_ms=request.window_end_ms - plan.span_ms, end_ms=request.window_end_ms)
        reports = [one for one in self._monitors.reports(loop.monitor) if one.end_ms > span.start_ms]
        reports = [one for one in reports if one.start_ms < span.end_ms]
        bad = [
            Span(start_ms=one.start_ms, end_ms=one.end_ms)
            for one in reports
            if one.data_verdict is DataVerdict.CORRUPTED
        ]
        parts = cut(
            self._labelled(loop, span),
            time_column=loop.time_column,
            span=span,
            recent_ms=plan.recent_ms,
            holdout_every=plan.holdout_every,
            without=bad,
        )
        used = [one for one in reports if one.data_verdict is not DataVerdict.CORRUPTED]
        tables = {"training": parts.training, "holdout": parts.holdout, "recent": parts.recent}
        kept = {
            role: self._keep(loop, role, table=table, windows=used, request=request) for role, table in tables.items()
        }
        return dataclasses.replace(request, training=kept["training"], holdout=kept["holdout"], recent=kept["recent"])

    def window_facts(self, training: DatasetVersion) -> tuple[WindowFact, ...]:
        """Return what is known of every source of a training dataset: its windows of traffic, and what was uploaded."""
        facts = [self._window_fact(monitor, start_ms) for monitor, start_ms in _windows_of(training)]
        uploaded = str(training.context.get("base", "")) if facts else f"{training.name}/{training.version}"
        if uploaded:
            version = dataset_of(self._datasets, uploaded)
            facts.append(upload_fact(uploaded, self._datasets.profile(version.name, version.version)))
        return tuple(facts)

    def _window_fact(self, monitor: str, start_ms: int) -> WindowFact:
        name = f"{monitor}/{start_ms}"
        try:
            report = self._monitors.report(monitor, start_ms)
        except NotFound as error:
            return WindowFact(window=name, verdict="unknown", reason=error.message)
        return WindowFact(window=name, verdict=report.data_verdict.value, reason=report.data_reason)

    def watermark_ms(self, loop: Loop) -> int:
        """Return how far the endpoint's traffic has come, in event time."""
        stream = self._predictions.find_stream(loop.endpoint)
        return stream.watermark_ms if stream is not None else 0

    def outcomes(self, loop: Loop, request: Request, rollout: Rollout) -> tuple[Outcomes, Outcomes]:
        """Return the labelled outcomes of champion and challenger since the canary began."""
        span = (request.canary_from_ms, self.watermark_ms(loop) + 1)
        champion = self._predictions.outcomes(loop.endpoint, rollout.champion, *span)
        challenger = self._predictions.outcomes(loop.endpoint, rollout.challenger, *span)
        return Outcomes(hits=champion.hits, rows=champion.rows), Outcomes(hits=challenger.hits, rows=challenger.rows)

    def _calling(self, loop: Loop) -> tuple[Alert, WindowReport] | None:
        alerts = [
            alert
            for alert in self._monitors.alerts(monitor=loop.monitor)
            if alert.state is not AlertState.RESOLVED and alert.kind in loop.react_to
        ]
        for report in reversed(self._monitors.reports(loop.monitor)):
            for alert in alerts:
                if _shows(report, alert.kind):
                    return alert, report
            if report.quality is not None:
                return None  # the newest judged window shows nothing; older ones are history
        return None

    def _familiar(self, loop: Loop, request: Request, report: WindowReport) -> Familiar:
        if report.version is None:
            return Familiar(rows=0, hits=0)
        digest = self._registry.evidence(loop.model, report.version).get(EvidenceKind.PROFILE)
        if digest is None:
            return Familiar(rows=0, hits=0)
        profile = Profile.from_json(cast("Mapping[str, JsonValue]", self._artifacts.read_json(Digest(digest))))
        table = self._predictions.read(loop.endpoint, request.window_start_ms, request.window_end_ms)
        table = table.filter(pa.compute.is_valid(table.column("label")))
        mine = np.asarray(table.column("version")) == report.version
        inside = mine & _inside(table, profile)
        hit = np.asarray(table.column("prediction").to_pylist(), dtype=object) == np.asarray(
            table.column("label").to_pylist(), dtype=object
        )
        return Familiar(rows=int(inside.sum()), hits=int((inside & hit).sum()))

    def _labelled(self, loop: Loop, span: Span) -> pa.Table:
        """Return the labelled rows of a span: traffic, and the base dataset where traffic does not reach back."""
        seen = self._predictions.read(loop.endpoint, span.start_ms, span.end_ms)
        seen = seen.filter(pa.compute.is_valid(seen.column("label")))
        columns = {loop.time_column: seen.column("time_ms")}
        for name in seen.column_names:
            if name.startswith(FEATURE_PREFIX):
                columns[name.removeprefix(FEATURE_PREFIX)] = seen.column(name)
        columns[loop.label_column] = seen.column("label")
        traffic = pa.table(columns)
        if not loop.training.base:
            return traffic
        base = dataset_of(self._datasets, loop.training.base)
        older = self._datasets.table(base.name, base.version).select(traffic.column_names)
        first = pa.compute.min(traffic.column(loop.time_column)).as_py() if traffic.num_rows else span.end_ms
        older = older.filter(pa.compute.less(older.column(loop.time_column), first)).cast(traffic.schema)
        return pa.concat_tables([older, traffic])

    def _keep(
        self, loop: Loop, role: str, *, table: pa.Table, windows: Sequence[WindowReport], request: Request
    ) -> str:
        times = table.column(loop.time_column).to_numpy()
        inside = [one for one in windows if ((times >= one.start_ms) & (times < one.end_ms)).any()]
        first_ms = inside[0].start_ms if inside else request.window_end_ms
        context: dict[str, JsonValue] = {
            "role": role,
            "request": request.id,
            "windows": [[one.monitor, one.start_ms] for one in inside],
            "base": loop.training.base if bool((times < first_ms).any()) else "",
        }
        version = self._datasets.add_table(
            f"{loop.loop}-{role}",
            table,
            source=f"endpoint {loop.endpoint}",
            actor=LOOP_ACTOR,
            context=context,
            edges=[("from", one.ref) for one in inside],
        )
        return f"{version.name}/{version.version}"


# Share of missing values in an uploaded column from which it counts as broken; the monitor's default for traffic.
MISSING_SHARE = 0.05


def upload_fact(name: str, profile: Profile) -> WindowFact:
    """Judge rows that came from no window of traffic by their own profile: missing values, and columns without any."""
    broken = [
        f"{column.name}: {column.missing_count} of {profile.row_count} values are missing"
        for column in profile.columns
        if column.missing_count > MISSING_SHARE * profile.row_count
    ]
    verdict: Literal["clean", "corrupted"] = "corrupted" if broken else "clean"
    return WindowFact(window=f"dataset {name}", verdict=verdict, reason="; ".join(broken) or "no column lacks values")


def _windows_of(training: DatasetVersion) -> list[tuple[str, int]]:
    windows = cast("Iterable[tuple[str, int]]", training.context.get("windows", []))
    return [(monitor, int(start_ms)) for monitor, start_ms in windows]


def _shows(report: WindowReport, kind: AlertKind) -> bool:
    match kind:
        case AlertKind.DATA_FAULT:
            return bool(report.faults)
        case AlertKind.QUALITY_DROP:
            return report.quality is not None and report.quality.dropped
        case AlertKind.COVARIATE_DRIFT:
            return bool(report.drifted)


def _within_limits(loop: Loop, past: Sequence[Request], end_ms: int) -> bool:
    trained = [one.window_end_ms for one in past if one.pipeline_run_id]
    if any(end_ms - before < loop.cool_down_ms for before in trained):
        return False
    return sum(end_ms - before < loop.period_ms for before in trained) < loop.max_requests


def _inside(table: pa.Table, profile: Profile) -> np.ndarray:
    """Return for each row whether every numeric feature that varied in the reference lies in its middle 98 %."""
    inside = np.ones(table.num_rows, dtype=bool)
    for column in profile.columns:
        name = FEATURE_PREFIX + column.name
        if column.kind != "numeric" or not column.quantiles or name not in table.column_names:
            continue
        low, high = column.quantiles[FAMILIAR_LOW], column.quantiles[FAMILIAR_HIGH]
        if low < high:
            values = table.column(name).to_numpy()
            inside &= (values >= low) & (values <= high)
    return inside
