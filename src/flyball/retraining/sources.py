"""The rows a request is trained and judged on: gathered, frozen, and what is known of where they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.datasets import Datasets, DatasetVersion, Profile
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import ref
from flyball.monitoring.entities import DataVerdict
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.schema import FEATURE_PREFIX
from flyball.monitoring.service import Monitors
from flyball.registry.gates.evidence import WindowFact
from flyball.retraining.entities import Request
from flyball.retraining.freeze import Span, cut
from flyball.retraining.gathering import dataset_of
from flyball.retraining.loops import Loop
from flyball.retraining.requests import LOOP_ACTOR

# Share of missing values in an uploaded column from which it counts as broken; the monitor's default for traffic.
MISSING_SHARE = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Labelled rows of a span; those before `traffic_from_ms` come from the base dataset, the others from traffic."""

    table: pa.Table
    traffic_from_ms: int


class Sources:
    """Traffic with its labels, the base dataset, and what the monitor found in either."""

    def __init__(self, monitors: Monitors, predictions: PredictionLog, datasets: Datasets) -> None:
        self._monitors = monitors
        self._predictions = predictions
        self._datasets = datasets

    def freeze(self, loop: Loop, request: Request) -> Request:
        """Cut and keep the labelled rows that the request trains and is judged on; corrupted windows stay out.

        Repeated on the same traffic it finds the versions that it made before.

        Raises:
            InvalidInput: a part would be empty, or the base dataset does not have the columns of the traffic.
        """
        plan = loop.training
        span = Span(start_ms=request.window_end_ms - plan.span_ms, end_ms=request.window_end_ms)
        labelled = self._labelled(loop, span)
        parts = cut(
            labelled.table,
            time_column=loop.time_column,
            span=span,
            recent_ms=plan.recent_ms,
            holdout_every=plan.holdout_every,
            without=self._corrupted(loop),
        )
        tables = {"training": parts.training, "holdout": parts.holdout, "recent": parts.recent}
        kept = {
            role: self._keep(loop, role, table=table, traffic_from_ms=labelled.traffic_from_ms, request=request)
            for role, table in tables.items()
        }
        return dataclasses.replace(request, training=kept["training"], holdout=kept["holdout"], recent=kept["recent"])

    def window_facts(self, training: DatasetVersion) -> tuple[WindowFact, ...]:
        """Return what is known of every source of a training dataset: its windows of traffic, and what was uploaded."""
        facts = [self._window_fact(monitor, start_ms) for monitor, start_ms in windows_of(training)]
        uploaded = str(training.context.get("base", "")) if facts else f"{training.name}/{training.version}"
        if uploaded:
            version = dataset_of(self._datasets, uploaded)
            facts.append(upload_fact(uploaded, self._datasets.profile(version.name, version.version)))
        return tuple(facts)

    def _corrupted(self, loop: Loop) -> list[Span]:
        return [
            Span(start_ms=one.start_ms, end_ms=one.end_ms)
            for one in self._monitors.reports(loop.monitor)
            if one.data_verdict is DataVerdict.CORRUPTED
        ]

    def _window_fact(self, monitor: str, start_ms: int) -> WindowFact:
        name = f"{monitor}/{start_ms}"
        report = self._monitors.find_report(monitor, start_ms)
        if report is None:
            return WindowFact(window=name, verdict="unknown", reason="no monitor has reported this window")
        return WindowFact(window=name, verdict=report.data_verdict.value, reason=report.data_reason)

    def _labelled(self, loop: Loop, span: Span) -> Labelled:
        """Return the labelled rows of a span: traffic, and the base dataset where traffic does not reach back."""
        traffic = self._traffic(loop, span)
        times = traffic.column(loop.time_column)
        first_ms = pc.min(times).as_py() if traffic.num_rows else span.end_ms
        if not loop.training.base:
            return Labelled(table=traffic, traffic_from_ms=first_ms)
        older = self._base(loop, like=traffic.schema)
        before = older.filter(pc.less(older.column(loop.time_column), first_ms))
        return Labelled(table=pa.concat_tables([before, traffic]), traffic_from_ms=first_ms)

    def _traffic(self, loop: Loop, span: Span) -> pa.Table:
        seen = self._predictions.read(loop.endpoint, span.start_ms, span.end_ms)
        seen = seen.filter(pc.is_valid(seen.column("label")))
        columns = {
            name.removeprefix(FEATURE_PREFIX): seen.column(name)
            for name in seen.column_names
            if name.startswith(FEATURE_PREFIX)
        }
        for field, name in (("label_column", loop.label_column), ("time_column", loop.time_column)):
            if name in columns:
                raise InvalidInput(f"'{name}' is the name of a feature; give the {field} another", field=field)
        return pa.table({loop.time_column: seen.column("time_ms"), **columns, loop.label_column: seen.column("label")})

    def _base(self, loop: Loop, *, like: pa.Schema) -> pa.Table:
        base = dataset_of(self._datasets, loop.training.base)
        table = self._datasets.table(base.name, base.version)
        try:
            table = table.select(like.names).cast(like)
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidInput(
                f"the rows of {loop.training.base} cannot stand beside those of '{loop.endpoint}': {error}",
                field="training.base",
            ) from error
        return table.filter(pc.is_valid(table.column(loop.label_column)))

    def _keep(self, loop: Loop, role: str, *, table: pa.Table, traffic_from_ms: int, request: Request) -> str:
        times = table.column(loop.time_column).to_numpy()
        windows = self._windows(loop, times[times >= traffic_from_ms])
        context: dict[str, JsonValue] = {
            "role": role,
            "request": request.id,
            "windows": [[loop.monitor, start_ms] for start_ms in windows],
            "base": loop.training.base if bool((times < traffic_from_ms).any()) else "",
        }
        version = self._datasets.add_table(
            f"{loop.loop}-{role}",
            table,
            source=f"endpoint {loop.endpoint}",
            actor=LOOP_ACTOR,
            context=context,
            edges=[("from", ref("window", f"{loop.monitor}/{start_ms}")) for start_ms in windows],
        )
        return f"{version.name}/{version.version}"

    def _windows(self, loop: Loop, times: np.ndarray) -> list[int]:
        """Return the starts of the windows that rows lie in, reported or not: nothing that was trained on goes unnamed."""
        monitor = self._monitors.get(loop.monitor)
        starts = (times - monitor.origin_ms) // monitor.window_ms * monitor.window_ms + monitor.origin_ms
        return [int(start_ms) for start_ms in np.unique(starts)]


def upload_fact(name: str, profile: Profile) -> WindowFact:
    """Judge rows that came from no window of traffic by their own profile: missing values, and columns without any."""
    broken = [
        f"{column.name}: {column.missing_count} of {profile.row_count} values are missing"
        for column in profile.columns
        if column.missing_count > MISSING_SHARE * profile.row_count
    ]
    verdict: Literal["clean", "corrupted"] = "corrupted" if broken else "clean"
    return WindowFact(window=f"dataset {name}", verdict=verdict, reason="; ".join(broken) or "no column lacks values")


def windows_of(training: DatasetVersion) -> list[tuple[str, int]]:
    """Return the windows that a dataset says its rows are from, as (monitor, start)."""
    windows = cast("Iterable[tuple[str, int]]", training.context.get("windows", []))
    return [(monitor, int(start_ms)) for monitor, start_ms in windows]
