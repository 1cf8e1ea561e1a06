"""Take over runs: small ones many to a transaction, a large one in batches of points that let other writers in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import Edge
from flyball.tracking.access import is_run_id
from flyball.tracking.entities import Experiment, Metric, Run, RunInfo
from flyball.tracking.events import dataset_edges, model_ref, run_ref
from flyball.transfer.contents import RunDigest
from flyball.transfer.entities import BATCH_POINTS, FoundRun, Imported, Kind, Point
from flyball.transfer.events import TransferEvent
from flyball.transfer.report import Outcome, Report
from flyball.transfer.target import Target

# One COMMIT for so many small runs: each costs a flush of the disk.
GROUP_RUNS = 200
CHANGED = "it was changed at the source since it was imported; what is here was left as it is"
TAKEN = "a run of this id is here with other content; it was left as it is"


@dataclasses.dataclass(slots=True)
class _Whole:
    """A run that was read whole, and waits to be written with others."""

    run: Run
    points: list[Point]
    digest: RunDigest


class RunImport:
    """The runs of one experiment of one source."""

    def __init__(self, source: str, target: Target, report: Report, *, experiment: Experiment) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._experiment_id = experiment.experiment_id
        self._waiting: list[_Whole] = []

    def take(self, found: FoundRun) -> list[RunInfo]:
        """Take one over; return those, as they are at the source, that are written now and whose files may follow."""
        info = found.run.info
        if not is_run_id(info.run_id):
            reason = "its id is not 32 hexadecimal digits"
            self._report.trouble(Kind.RUN, info.run_id, outcome=Outcome.REFUSED, reason=reason)
            return []
        digest = RunDigest(found.run)
        known = self._target.imports.find(self._source, Kind.RUN, info.run_id)
        here = self._target.tracking.runs.find(info.run_id)
        begun = known is not None and not known.complete and here is not None
        if here is not None and not begun:
            return self._compare(found, digest, known)
        try:
            first = next(found.batches, [])
        except InvalidInput as error:
            self._report.trouble(Kind.RUN, info.run_id, outcome=Outcome.REFUSED, reason=error.message)
            return []
        digest.take(first)
        if len(first) < BATCH_POINTS and not begun:
            self._waiting.append(_Whole(found.run, first, digest))
            full = len(self._waiting) >= GROUP_RUNS or sum(len(w.points) for w in self._waiting) >= BATCH_POINTS
            return self.flush() if full else []
        self._write_large(found, first, digest, done=int(known.digest) if begun and known else 0)
        return [info]

    def flush(self) -> list[RunInfo]:
        """Write the runs that wait; return them as they are at the source."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        with self._target.database.transaction():
            infos = [self._insert(each.run) for each in waiting]
            metrics = self._target.tracking.metrics
            metrics.add((info, _metrics(each.points)) for info, each in zip(infos, waiting, strict=True))
            for each in waiting:
                self._complete(each.run, each.digest)
        self._report.count(Kind.RUN, Outcome.ADDED, len(waiting))
        self._report.points += sum(each.digest.points for each in waiting)
        return [each.run.info for each in waiting]

    def _compare(self, found: FoundRun, digest: RunDigest, known: Imported | None) -> list[RunInfo]:
        for batch in found.batches:
            digest.take(batch)
        self._report.points += digest.points
        run_id = found.run.info.run_id
        same = known.digest == digest.value if known else self._target.imports.same(Kind.RUN, run_id, digest.value)
        if same:
            self._report.count(Kind.RUN, Outcome.UNCHANGED)
            return [found.run.info]
        self._report.trouble(Kind.RUN, run_id, outcome=Outcome.CONFLICT, reason=CHANGED if known else TAKEN)
        return []

    def _write_large(self, found: FoundRun, first: Sequence[Point], digest: RunDigest, *, done: int) -> None:
        """Write batch by batch; of a run that was broken off, those points are passed over that are here."""
        info = self._place(found.run.info)
        if not done:
            with self._target.database.transaction():
                self._insert(found.run)
                self._target.record(TransferEvent.RUN_BEGUN, run_ref(info.run_id), {"source": self._source})
                self._add(info, first, digest)
        for batch in found.batches:
            digest.take(batch)
            if digest.points > done:
                with self._target.database.transaction():
                    self._add(info, batch, digest)
        with self._target.database.transaction():
            self._complete(found.run, digest)
        self._report.count(Kind.RUN, Outcome.ADDED)
        self._report.points += digest.points

    def _insert(self, run: Run) -> RunInfo:
        stores, info = self._target.tracking, self._place(run.info)
        stores.runs.insert(info)
        stores.data.add_params(info, run.params)
        stores.data.put_tags(info, run.tags)
        if run.datasets:
            stores.data.add_datasets(info.run_id, self._experiment_id, run.datasets)
        if run.model_inputs:
            stores.data.add_model_inputs(info.run_id, run.model_inputs)
        if run.model_outputs:
            stores.data.add_model_outputs(info.run_id, run.model_outputs)
        return info

    def _place(self, info: RunInfo) -> RunInfo:
        uri = f"mlflow-artifacts:/{self._experiment_id}/{info.run_id}/artifacts"
        return dataclasses.replace(info, experiment_id=self._experiment_id, artifact_uri=uri)

    def _add(self, info: RunInfo, points: Sequence[Point], digest: RunDigest) -> None:
        """Write a batch, and in the same transaction up to where the run is here."""
        self._target.tracking.metrics.add([(info, _metrics(points))])
        self._put(info.run_id, digest=str(digest.points), complete=False)

    def _complete(self, run: Run, digest: RunDigest) -> None:
        run_id = run.info.run_id
        self._put(run_id, digest=digest.value, complete=True)
        payload: dict[str, JsonValue] = {
            "source": self._source,
            "artifact_uri": run.info.artifact_uri,
            "status": str(run.info.status),
            "params": len(run.params),
            "tags": len(run.tags),
            "points": digest.points,
            "digest": digest.value,
        }
        self._target.record(TransferEvent.RUN_ADDED, run_ref(run_id), payload, edges=_edges(run))

    def _put(self, run_id: str, *, digest: str, complete: bool) -> None:
        self._target.imports.put(
            Imported(
                source=self._source,
                kind=Kind.RUN,
                source_key=run_id,
                target_key=run_id,
                digest=digest,
                complete=complete,
            )
        )


def _metrics(points: Iterable[Point]) -> list[Metric]:
    return [Metric(key=key, value=value, timestamp_ms=time, step=step) for key, time, step, value in points]


def _edges(run: Run) -> Iterable[Edge]:
    subject = run_ref(run.info.run_id)
    read = [Edge(subject=subject, relation="used", object=model_ref(each)) for each in run.model_inputs]
    made = [
        Edge(subject=model_ref(each), relation="made-by", object=subject)
        for each in dict.fromkeys(output.model_id for output in run.model_outputs)
    ]
    return [*dataset_edges(run.info.run_id, run.datasets), *read, *made]
