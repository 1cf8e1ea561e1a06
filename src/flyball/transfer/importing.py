"""Take over a whole source, thing by thing, each with its event in one transaction.

It may be killed at any moment: what was written is whole or marked as begun, and the next import from the same source goes
on from there. What is there already is never overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence

from flyball.kernel.events import ref
from flyball.kernel.ids import new_id
from flyball.tracking.entities import RunInfo
from flyball.transfer.entities import Census, Kind
from flyball.transfer.events import TransferEvent
from flyball.transfer.import_experiments import ExperimentImport
from flyball.transfer.import_files import FileImport
from flyball.transfer.import_models import LoggedModelImport
from flyball.transfer.import_registry import RegistryImport
from flyball.transfer.import_runs import RunImport
from flyball.transfer.ports import Progress, Source
from flyball.transfer.report import Report
from flyball.transfer.target import Target


class Import:
    """One pass over a source."""

    def __init__(self, source: Source, target: Target, *, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._subject = ref("import", new_id())
        self.report = Report(source=source.description)
        self._files = FileImport(source, target, self.report)

    def run(self) -> Report:
        """Take everything over that can be; what cannot is in the report.

        Raises:
            FlyballError: the source fell away, or the stores of this installation cannot be written; running again goes on.
        """
        self.report.started_ms = self._target.clock.now_ms()
        census = self._source.census()
        experiments = self._experiments(census)
        self._logged_models(census, experiments)
        self._runs(census, experiments)
        self._registry(census)
        self.report.not_taken = dict(self._source.not_taken())
        self.report.damaged = tuple(self._source.damaged())
        self._finish()
        return self.report

    def _experiments(self, census: Census) -> ExperimentImport:
        experiments = ExperimentImport(self._source.description.name, self._target, self.report)
        self._progress.begin("experiments", total=census.experiments)
        for experiment in self._source.experiments():
            experiments.take(experiment)
            self._progress.advance()
        experiments.finish()
        self._target.finish.move_experiment_counter()
        return experiments

    def _logged_models(self, census: Census, experiments: ExperimentImport) -> None:
        models = LoggedModelImport(self._source.description.name, self._target, self.report)
        self._progress.begin("logged models", total=census.logged_models)
        for source_id, experiment in experiments.ids.items():
            for model in self._source.logged_models(source_id):
                if models.take(model, experiment_id=experiment.experiment_id):
                    self._files.take(Kind.LOGGED_MODEL, model.model_id, model.artifact_uri)
                self._progress.advance()

    def _runs(self, census: Census, experiments: ExperimentImport) -> None:
        self._progress.begin("runs", total=census.runs)
        for source_id, experiment in experiments.ids.items():
            runs = RunImport(self._source.description.name, self._target, self.report, experiment=experiment)
            for found in self._source.runs(source_id):
                self._files_of(runs.take(found))
                self._progress.advance()
            self._files_of(runs.flush())

    def _files_of(self, written: Sequence[RunInfo]) -> None:
        for info in written:
            self._files.take(Kind.RUN, info.run_id, info.artifact_uri)

    def _registry(self, census: Census) -> None:
        self._progress.begin("registered models", total=census.registered_models)
        registry = RegistryImport(self._source, self._target, self.report)
        for found in self._source.registered_models():
            registry.take(found)
            self._progress.advance()
        registry.finish()

    def _finish(self) -> None:
        """Put the import on record, if it changed anything: an import that finds all as it was leaves no trace."""
        self.report.finished_ms = self._target.clock.now_ms()
        if not self.report.added():
            return
        content = self.report.content()
        payload = {key: content[key] for key in ("source", "counts", "metric_points", "artifact_bytes", "not_taken")}
        with self._target.database.transaction():
            self._target.record(TransferEvent.FINISHED, self._subject, payload)
