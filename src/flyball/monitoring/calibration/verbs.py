"""Calibrate the monitors of the platform on what their endpoints have served, and hand the newest calibration to a look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from flyball.datasets.profile import Profile
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import Edge, EventLog, ref
from flyball.monitoring.calibration.entities import Calibration, KeptCalibration
from flyball.monitoring.calibration.history import Span, calibrate_on, whole_windows
from flyball.monitoring.calibration.judging import Yardstick, yardstick_of
from flyball.monitoring.calibration.ports import CalibrationStore
from flyball.monitoring.calibration.together import with_joint
from flyball.monitoring.entities import MonitoringEvent, Role
from flyball.monitoring.judgement import champion_versions
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.moments import check_moment
from flyball.monitoring.monitor import DAY_MS, Monitor
from flyball.monitoring.multivariate.samples import RowSample
from flyball.monitoring.references import References
from flyball.monitoring.stages import Hearer, counted, unheard
from flyball.registry.entities import EvidenceKind


class Yardsticks:
    """The newest calibration of each monitor and version, read again only when there is a newer one."""

    def __init__(self, store: CalibrationStore) -> None:
        self._store = store
        self._ready: dict[tuple[str, int], Yardstick] = {}

    def of(self, monitor: str, version: int) -> Yardstick | None:
        """Return what a window of this version is judged by, None before the first calibration."""
        digest = self._store.find_digest(monitor, version)
        ready = self._ready.get((monitor, version))
        if digest is None or (ready is not None and ready.digest == digest):
            return ready if digest is not None else None
        found = self._store.find(monitor, version)
        if found is None:
            return None
        # By the digest it is kept under: one of an older release has other fields than this one would write.
        self._ready[monitor, version] = replace(yardstick_of(found), digest=digest)
        return self._ready[monitor, version]


_MOST_VERSIONS = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRequest:
    """On what to calibrate: between two moments of event time, and for which version; None is all there is, and the champion."""

    since_ms: int | None = None
    until_ms: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What a calibration stands on: a version, what it learned from, and the stretch of event time that it served."""

    version: int
    profile: Profile
    rows: RowSample | None
    start_ms: int
    end_ms: int


class Calibrations:
    """Calibrate on an endpoint's prediction log."""

    def __init__(
        self,
        store: CalibrationStore,
        log: PredictionLog,
        *,
        references: References,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._store = store
        self._log = log
        self._references = references
        self._events = events
        self._clock = clock
        self._database = database

    def find(self, monitor: Monitor, version: int | None = None) -> Calibration:
        """Return the newest calibration of a monitor, for the version in charge when none is named.

        Raises:
            NotFound: there is none.
        """
        wanted = self.champion(monitor) if version is None else version
        found = self._store.find(monitor.name, wanted)
        if found is None:
            raise NotFound(f"monitor '{monitor.name}' is not calibrated for version {wanted}", field="monitor")
        return found

    def history(self, monitor: Monitor, *, limit: int) -> list[KeptCalibration]:
        """Return the calibrations of a monitor, of all versions, the last made first."""
        return self._store.history(monitor.name, limit=limit)

    def run(
        self,
        monitor: Monitor,
        request: CalibrationRequest,
        *,
        actor: str,
        fence: Callable[[], None],
        heard: Hearer = unheard,
    ) -> Calibration:
        """Calibrate a monitor, and keep the result with an event; reports of the version name it from now on.

        Raises:
            InvalidInput: the monitor states no rate, its version has no profile, or nothing was served in that time.
        """
        ground = self._ground(monitor, request)
        span = whole_windows(monitor, ground.start_ms, ground.end_ms, features=len(ground.profile.columns))
        rows = self._rows(monitor, span, heard)
        made = calibrate_on(rows, span, monitor=monitor, version=ground.version, profile=ground.profile)
        read = partial(self._log.read, monitor.endpoint)
        made = with_joint(made, read, span, monitor=monitor, reference=ground.rows)
        digest = made.digest
        with self._database.transaction():
            fence()
            if self._store.find_digest(monitor.name, ground.version) != digest:
                self._store.add(made, digest=digest, now_ms=self._clock.now_ms())
                self._record(made, digest, monitor, actor=actor)
        return made

    def check(self, monitor: Monitor, request: CalibrationRequest) -> None:
        """Say at once what would keep a monitor from being calibrated.

        Raises:
            InvalidInput: as `run`.
        """
        self._ground(monitor, request)

    def _ground(self, monitor: Monitor, request: CalibrationRequest) -> _Ground:
        if not monitor.alarms.stated:
            raise InvalidInput(
                f"monitor '{monitor.name}' wants no rate: add 'alarms: {{false_alarms: 1 per 90d}}' to its file",
                field="alarms.false_alarms",
            )
        check_moment(request.since_ms, field="since_ms")
        check_moment(request.until_ms, field="until_ms")
        if request.version is not None and not 0 < request.version < _MOST_VERSIONS:
            raise InvalidInput(f"there is no version {request.version}", field="version")
        start, end = self._served(monitor, request)
        version = self.champion(monitor) if request.version is None else request.version
        reference = self._references.of(monitor.model, version)
        if reference.profile is None:
            raise InvalidInput(reference.missing[EvidenceKind.PROFILE], field="version")
        return _Ground(version=version, profile=reference.profile, rows=reference.rows, start_ms=start, end_ms=end)

    def champion(self, monitor: Monitor) -> int:
        """Return the version in charge of the endpoint's last rows.

        Raises:
            InvalidInput: it has served nothing.
        """
        stream = self._log.find_stream(monitor.endpoint)
        last = stream.watermark_ms if stream else 0
        table = self._log.read(monitor.endpoint, last - last % monitor.window_ms, last + 1, columns=())
        version = next(iter(champion_versions(table)), None) if stream else None
        if version is None:
            raise InvalidInput(f"endpoint '{monitor.endpoint}' has served nothing yet", field="monitor")
        return version

    def _served(self, monitor: Monitor, request: CalibrationRequest) -> tuple[int, int]:
        stream = self._log.find_stream(monitor.endpoint)
        start, end = request.since_ms or 0, stream.watermark_ms + 1 if stream else 0
        end = end if request.until_ms is None else min(end, request.until_ms)
        segments = self._log.segments(monitor.endpoint, start, end) if end > start else []
        if not segments:
            raise InvalidInput(
                f"endpoint '{monitor.endpoint}' has no predictions in that time to calibrate '{monitor.name}' on",
                field="until_ms" if stream else "monitor",
            )
        return max(start, min(segment.min_ms for segment in segments)), end

    def _rows(self, monitor: Monitor, span: Span, heard: Hearer) -> Iterator[pa.Table]:
        step = max(monitor.window_ms, DAY_MS)
        starts = range(span.start_ms, span.end_ms, step)
        for start in counted(starts, len(starts), stage="reading the history", heard=heard):
            table = self._log.read(monitor.endpoint, start, min(start + step, span.end_ms))
            if table.num_rows:
                yield _champion_labels(table)

    def _record(self, made: Calibration, digest: Digest, monitor: Monitor, *, actor: str) -> None:
        version = ref("model-version", f"{monitor.model}/{made.version}")
        self._events.record(
            MonitoringEvent.MONITOR_CALIBRATED,
            actor=actor,
            subject=ref("monitor", made.monitor),
            payload={
                "monitor": made.monitor,
                "version": made.version,
                "calibration": digest,
                "false_alarms": made.false_alarms,
                "false_discoveries": made.false_discoveries,
                "windows": made.windows,
                "needed": made.needed,
                "reason": made.reason,
            },
            edges=[Edge(subject=ref("monitor", made.monitor), relation="calibrated-for", object=version)],
        )


def _champion_labels(table: pa.Table) -> pa.Table:
    """Return the rows with the labels of the champion's answers only: quality is the champion's."""
    mine = pc.equal(table.column("role"), Role.CHAMPION)
    labels = table.column("label")
    place = table.schema.get_field_index("label")
    return table.set_column(place, "label", pc.if_else(mine, labels, pa.scalar(None, labels.type)))
