"""The tracking stores: writes go to the journal, reads to the server; without a server only what this machine knows is read."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.rest_store import RestStore

from flyball.integrations.mlflow import rendering
from flyball.integrations.mlflow.experiments import default, id_by_name, name_in, unresolved
from flyball.integrations.mlflow.known import KnownRun
from flyball.integrations.mlflow.model_writes import ModelWrites
from flyball.integrations.mlflow.session import Session
from flyball.tracking.entities import DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_NAME, RUN_NAME_TAG
from flyball.wire.v1 import journals as shapes

# These tell nothing of what this process wrote, or are answered from here while something is not shipped.
_NEED_NOT_WAIT = frozenset(
    {"GetExperiment", "GetExperimentByName", "CreateExperiment", "SearchExperiments", "GetRun", "GetLoggedModel"}
)
AWAY = "TEMPORARILY_UNAVAILABLE"
MISSING = "RESOURCE_DOES_NOT_EXIST"


class FolderStore(ModelWrites, AbstractStore):  # type: ignore[misc]
    """The store of a folder: everything is written, and read only where this machine knows it without a server."""

    def __init__(self, session: Session) -> None:
        AbstractStore.__init__(self)
        ModelWrites.__init__(self, session, look_for=self._ask_for, find_model=self.get_logged_model)

    def get_run(self, run_id: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Return a run that this process knows, or that another one of this machine makes."""
        known = self._session.runs.get(run_id) or self._recalled(run_id)
        if known is None:
            self._session.require_server()
        return rendering.run(known)  # type: ignore[arg-type]

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 -- MLflow's signature
        """Return a logged model that this process makes."""
        known = self._session.models.get(model_id)
        if known is None:
            self._session.require_server()
        return rendering.model(known)  # type: ignore[arg-type]

    def get_experiment_by_name(self, experiment_name: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Stand in for the experiment, which is found or made when the journal is shipped."""
        return default() if experiment_name == DEFAULT_EXPERIMENT_NAME else unresolved(experiment_name)

    def get_experiment(self, experiment_id: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Stand in for an experiment that is known by its name."""
        if str(experiment_id) == DEFAULT_EXPERIMENT:
            return default()
        name = name_in(str(experiment_id))
        if name is None:
            self._session.require_server()
        return unresolved(name or "")

    def create_experiment(self, name: str, artifact_location: str | None, tags: list[Any] | None) -> str:
        """Write down that an experiment is wanted; one of this name that is there already will be taken."""
        texts = tuple((tag.key, tag.value) for tag in tags or ())
        self._session.write(shapes.MakeExperiment(name, artifact_location or "", texts))
        return id_by_name(name)

    def _ask_for(self, run_id: str) -> KnownRun:
        return self._recalled(run_id) or KnownRun(run_id=run_id, made_here=False)

    def _unreadable(self, *_arguments: object, **_named: object) -> None:
        self._session.require_server()

    search_experiments = delete_experiment = restore_experiment = rename_experiment = _unreadable
    set_experiment_tag = delete_experiment_tag = delete_run = restore_run = _unreadable
    get_metric_history = _search_runs = search_logged_models = delete_logged_model = _unreadable
    link_traces_to_run = record_logged_model = _unreadable


class ServerStore(ModelWrites, RestStore):  # type: ignore[misc]
    """The store of a server: what is not written to the journal is asked for over HTTP, after what was written is there."""

    def __init__(self, session: Session) -> None:
        RestStore.__init__(self, session.host_creds)
        ModelWrites.__init__(self, session, look_for=self._ask_for, find_model=self.get_logged_model)

    def get_run(self, run_id: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Return a run: while some of it is not shipped, what this process knows of it; else what the server knows."""
        known = self._session.runs.get(run_id)
        if known is not None and known.made_here and self._session.unshipped:
            return rendering.run(known)
        try:
            if known is not None:  # this process logged to it
                self._session.settle()
            return RestStore.get_run(self, run_id)
        except MlflowException as error:
            found = known if known is not None and known.artifact_uri else self._recalled(run_id)
            if found is None or error.error_code not in {AWAY, MISSING}:
                raise
            return rendering.run(found)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 -- MLflow's signature
        """Return a logged model, by the same rule as a run."""
        known = self._session.models.get(model_id)
        if known is not None and self._session.unshipped:
            return rendering.model(known)
        try:
            return RestStore.get_logged_model(self, model_id, allow_deleted)
        except MlflowException as error:
            if known is None or error.error_code != AWAY:
                raise
            return rendering.model(known)

    def get_experiment_by_name(self, experiment_name: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Return an experiment; while the server is away, one that is found or made when the journal is shipped."""
        try:
            found = RestStore.get_experiment_by_name(self, experiment_name)
        except MlflowException as error:
            if error.error_code != AWAY:
                raise
            known = [one for one in self._experiments.values() if one.name == experiment_name]
            return known[0] if known else FolderStore.get_experiment_by_name(self, experiment_name)
        return self._noted(found)

    def get_experiment(self, experiment_id: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Return an experiment, by the same rule."""
        name = name_in(str(experiment_id))
        if name is not None:
            return self.get_experiment_by_name(name) or unresolved(name)
        try:
            return self._noted(RestStore.get_experiment(self, experiment_id))
        except MlflowException as error:
            if error.error_code != AWAY or (
                experiment_id not in self._experiments and str(experiment_id) != DEFAULT_EXPERIMENT
            ):
                raise
            return self._experiments.get(experiment_id) or default()

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: list[Any] | None = None) -> str:
        """Make an experiment; while the server is away, write down that it is wanted."""
        try:
            return str(RestStore.create_experiment(self, name, artifact_location, tags))
        except MlflowException as error:
            if error.error_code != AWAY:
                raise
            return FolderStore.create_experiment(self, name, artifact_location, tags)

    def _call_endpoint(self, api: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- MLflow's signature
        """Ask the server, at once or not at all."""
        if api.__name__ in _NEED_NOT_WAIT:
            self._session.require_server()
        else:
            self._session.settle()
        return super()._call_endpoint(api, *arguments, **named)

    def _noted(self, experiment: Any) -> Any:  # noqa: ANN401 -- MLflow's type
        if experiment is not None:
            self._experiments[experiment.experiment_id] = experiment
        return experiment

    def _ask_for(self, run_id: str) -> KnownRun:
        """Ask for a run that this process did not make; while the server is away it is taken to be there."""
        found = self._recalled(run_id)
        if found is not None:
            return found
        try:
            info = RestStore.get_run(self, run_id).info
        except MlflowException as error:
            if error.error_code != AWAY:
                raise
            return KnownRun(run_id=run_id, made_here=False)
        return KnownRun(
            run_id=run_id,
            made_here=False,
            experiment_id=info.experiment_id,
            artifact_uri=info.artifact_uri,
            name=info.run_name,
            user_id=info.user_id,
            status=info.status,
            start_ms=info.start_time,
            end_ms=info.end_time,
            tags={RUN_NAME_TAG: info.run_name},
        )
