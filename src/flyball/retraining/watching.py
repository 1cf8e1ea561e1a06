"""What the loop reads from monitoring: which alert calls for a request, the diagnosis, the canary's outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets, Profile
from flyball.deployment.entities import Outcomes, Rollout
from flyball.deployment.service import Deployments
from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.leases import Lease
from flyball.monitoring.entities import Alert, AlertKind, AlertState, WindowReport
from flyball.monitoring.findings import shown
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.schema import FEATURE_PREFIX
from flyball.monitoring.service import Monitors
from flyball.registry import EvidenceKind, Registry
from flyball.retraining.diagnosis import Familiar, diagnose
from flyball.retraining.entities import Diagnosis, Request
from flyball.retraining.ground import Ground
from flyball.retraining.loops import Loop
from flyball.retraining.requests import LOOP_ACTOR, Requests
from flyball.retraining.sources import Sources

# "Familiar" is where the reference had the middle 98 % of its rows, feature by feature.
FAMILIAR_LOW, FAMILIAR_HIGH = 1, 99
UNSEEN = Familiar(rows=0, hits=0)

# Windows that wait for labels lie behind the newest judged one; this many at most are looked through at every turn.
NEWEST_WINDOWS = 16


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
        self.ground = Ground(deployments, registry)
        self.sources = Sources(monitors, predictions, datasets)
        self._requests = requests
        self._monitors = monitors
        self._predictions = predictions
        self._registry = registry
        self._artifacts = artifacts
        self._counted: dict[str, tuple[int, tuple[Outcomes, Outcomes]]] = {}

    def consider(self, loop: Loop, lease: Lease) -> Request | None:
        """Open a request for the newest window that fires an alert the loop reacts to, within its limits.

        Raises:
            LeaseLost: another worker conducts this loop now; nothing is written.
        """
        found, endpoint = self.find_call(loop), self.ground.find_endpoint(loop)
        if found is None or endpoint is None:
            return None
        alert, report = found
        return self._requests.open_by_alert(
            loop,
            alert_id=alert.id,
            start_ms=report.start_ms,
            end_ms=report.end_ms,
            champion=endpoint.champion.version,
            lease=lease,
        )

    def find_call(self, loop: Loop) -> tuple[Alert, WindowReport] | None:
        """Return the alert, and the window that shows it, which call for a request now.

        One window causes one request at most. Cool-down and limit count requests that trained, in event time. What a
        version showed that is no longer in charge calls for nothing, except that faulty data is worth a refusal always.
        """
        found, endpoint = self._calling(loop), self.ground.find_endpoint(loop)
        if found is None or endpoint is None:
            return None
        alert, report = found
        if alert.kind is not AlertKind.DATA_FAULT and report.version != endpoint.champion.version:
            return None
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
        if report.faults:  # values of a wrong type cannot even be compared with the reference
            return diagnose(report, familiar=UNSEEN, tolerance=tolerance)
        return diagnose(report, familiar=self._familiar(loop, request, report), tolerance=tolerance)

    def settle_alert(self, request: Request, *, note: str) -> None:
        """Resolve the alert that a request has dealt with, so that the next drop is news again."""
        if not request.alert_id:
            return
        if self._monitors.alert(request.alert_id).state is not AlertState.RESOLVED:
            self._monitors.resolve(request.alert_id, actor=LOOP_ACTOR, note=note)

    def named_slices(self, loop: Loop) -> Mapping[str, str]:
        """Return the slices that the loop's monitor names, so that a version comes with the figure each is held against."""
        return self._monitors.get(loop.monitor).slices.named

    def watermark_ms(self, loop: Loop) -> int:
        """Return how far the endpoint's traffic has come, in event time."""
        stream = self._predictions.find_stream(loop.endpoint)
        return stream.watermark_ms if stream is not None else 0

    def outcomes(self, loop: Loop, request: Request, rollout: Rollout) -> tuple[Outcomes, Outcomes]:
        """Return the labelled outcomes of champion and challenger since the canary began.

        Counted again only when predictions or labels have arrived since the last time this process asked.
        """
        stream = self._predictions.find_stream(loop.endpoint)
        arrivals = stream.arrivals if stream is not None else 0
        counted = self._counted.get(rollout.id)
        if counted is not None and counted[0] == arrivals:
            return counted[1]
        span = (request.canary_from_ms, self.watermark_ms(loop) + 1)
        champion = self._predictions.outcomes(loop.endpoint, rollout.champion, *span)
        challenger = self._predictions.outcomes(loop.endpoint, rollout.challenger, *span)
        found = (
            Outcomes(hits=champion.hits, rows=champion.rows),
            Outcomes(hits=challenger.hits, rows=challenger.rows),
        )
        self._counted = {rollout.id: (arrivals, found)}  # another thread may put its own there at once
        return found

    def _calling(self, loop: Loop) -> tuple[Alert, WindowReport] | None:
        active = self._monitors.alerts(monitor=loop.monitor, states={AlertState.FIRING, AlertState.ACKNOWLEDGED})
        alerts = [alert for alert in active if alert.kind in loop.react_to]
        if not alerts:
            return None
        alerts.sort(key=lambda alert: alert.kind is not AlertKind.DATA_FAULT)  # a fault excludes every other reading
        for report in reversed(self._monitors.reports(loop.monitor, limit=NEWEST_WINDOWS)):
            for alert in alerts:
                if _shows(report, alert.kind):
                    return alert, report
            if report.quality is not None:
                return None  # the newest judged window shows nothing; older ones are history
        return None

    def _familiar(self, loop: Loop, request: Request, report: WindowReport) -> Familiar:
        if report.version is None:
            return UNSEEN
        digest = self._registry.evidence(loop.model, report.version).get(EvidenceKind.PROFILE)
        if digest is None:
            return UNSEEN
        profile = Profile.from_json(cast("Mapping[str, JsonValue]", self._artifacts.read_json(Digest(digest))))
        table = self._predictions.read(loop.endpoint, request.window_start_ms, request.window_end_ms)
        table = table.filter(pc.is_valid(table.column("label")))
        mine = np.asarray(table.column("version")) == report.version
        inside = mine & _inside(table, profile)
        hit = np.asarray(table.column("prediction").to_pylist(), dtype=object) == np.asarray(
            table.column("label").to_pylist(), dtype=object
        )
        return Familiar(rows=int(inside.sum()), hits=int((inside & hit).sum()))


def _shows(report: WindowReport, kind: AlertKind) -> bool:
    """Tell whether a window shows what its alert is about; all but faults is diagnosed by labels, so not before they are in."""
    return kind in shown(report) and (kind is AlertKind.DATA_FAULT or report.quality is not None)


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
        values = table.column(name).to_numpy()
        if low < high and np.issubdtype(values.dtype, np.number):
            inside &= (values >= low) & (values <= high)
    return inside
