"""Take over experiments: under their own id where it is free, into the experiment of the same name where there is one."""

from __future__ import annotations

import dataclasses

from flyball.tracking.entities import Experiment, ExperimentId
from flyball.tracking.events import experiment_ref
from flyball.transfer.contents import experiment_digest
from flyball.transfer.entities import Imported, Kind
from flyball.transfer.events import TransferEvent
from flyball.transfer.report import Outcome, Report
from flyball.transfer.target import Target

LOCATION = "mlflow-artifacts:/{id}"
# The longest run of digits that always fits into 64 bits; the rooms read no longer id.
MAX_DIGITS = 18


class ExperimentImport:
    """The experiments of one source. `ids` maps the id at the source to the experiment here, for all that were taken."""

    def __init__(self, source: str, target: Target, report: Report) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._waiting: list[Experiment] = []
        self.ids: dict[str, Experiment] = {}

    def take(self, found: Experiment) -> None:
        """Take one over, or find the one here that it belongs to."""
        known = self._target.imports.find(self._source, Kind.EXPERIMENT, found.experiment_id)
        here = None if known is None else self._target.tracking.experiments.find(known.target_key)
        if known is None or here is None:
            here = self._target.tracking.experiments.find_name(found.name)
            if here is None:
                self._add_or_wait(found)
                return
        self._join(found, here, changed=known is not None and known.digest != experiment_digest(found))

    def finish(self) -> None:
        """Take over those whose id is taken here, after all others have got theirs."""
        for found in self._waiting:
            self._add(dataclasses.replace(found, experiment_id=ExperimentId("")), found)
        self._waiting.clear()

    def _add_or_wait(self, found: Experiment) -> None:
        own = found.experiment_id
        usable = own.isascii() and own.isdigit() and len(own) <= MAX_DIGITS
        if usable and self._target.tracking.experiments.find(own) is None:
            self._add(dataclasses.replace(found, experiment_id=ExperimentId(str(int(own)))), found)
        else:
            self._waiting.append(found)

    def _add(self, draft: Experiment, found: Experiment) -> None:
        with self._target.database.transaction():
            made = self._target.tracking.experiments.insert(dataclasses.replace(draft, artifact_location=LOCATION))
            assert made is not None, "name and id were free in this transaction"
            self._put(found, made)
            payload = {"name": made.name, "source": self._source, "source_id": found.experiment_id}
            self._target.record(TransferEvent.EXPERIMENT_ADDED, experiment_ref(made.experiment_id), payload)
        self._report.count(Kind.EXPERIMENT, Outcome.ADDED)
        self._place(found, made)

    def _join(self, found: Experiment, here: Experiment, *, changed: bool) -> None:
        missing = {key: value for key, value in found.tags.items() if key not in here.tags}
        other = sorted(key for key, value in found.tags.items() if here.tags.get(key, value) != value)
        first = self._target.imports.find(self._source, Kind.EXPERIMENT, found.experiment_id) is None
        if first:
            with self._target.database.transaction():
                if missing:
                    self._target.tracking.experiments.put_tags(here.experiment_id, missing)
                    payload = {"name": here.name, "source": self._source, "source_id": found.experiment_id}
                    payload["tags"] = sorted(missing)  # type: ignore[assignment]
                    self._target.record(TransferEvent.EXPERIMENT_ADDED, experiment_ref(here.experiment_id), payload)
                self._put(found, here)
        self._place(found, here)
        trouble = self._difference(found, here, other) if first else ""
        if changed:
            trouble = "it was changed at the source since it was imported; what is here was left as it is"
        if trouble:
            self._report.trouble(Kind.EXPERIMENT, found.experiment_id, outcome=Outcome.CONFLICT, reason=trouble)
        else:
            self._report.count(Kind.EXPERIMENT, Outcome.ADDED if first and missing else Outcome.UNCHANGED)

    def _difference(self, found: Experiment, here: Experiment, other: list[str]) -> str:
        if other:
            return f"these tags have another value here, which stays: {', '.join(other)}"
        if found.lifecycle is not here.lifecycle:
            return f"it is {found.lifecycle} at the source and {here.lifecycle} here, which stays"
        return ""

    def _put(self, found: Experiment, here: Experiment) -> None:
        record = Imported(
            source=self._source,
            kind=Kind.EXPERIMENT,
            source_key=found.experiment_id,
            target_key=here.experiment_id,
            digest=experiment_digest(found),
            complete=True,
        )
        self._target.imports.put(record)

    def _place(self, found: Experiment, here: Experiment) -> None:
        self.ids[found.experiment_id] = here
        if found.experiment_id != here.experiment_id:
            self._report.remap(found.experiment_id, here.experiment_id, name=found.name)
