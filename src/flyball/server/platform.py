"""All rooms of one process, joined: the composition root makes it once, and hands it to whoever serves or works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from flyball.artifacts import Artifacts
from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.sql import SqlNameStore
from flyball.datasets import Datasets, DatasetVersion
from flyball.datasets.sql import SqlDatasetStore
from flyball.deployment.entities import EndpointStatus
from flyball.deployment.service import Deployments
from flyball.deployment.sql import SqlDeploymentStore
from flyball.governance.access import Access
from flyball.governance.approvals import Approvals
from flyball.governance.audit import Audit
from flyball.governance.sql import SqlAccessStore, SqlApprovalStore
from flyball.governance.why import PredictionResolver, Why
from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.kernel.events import EventLog, Ref, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.leases import LeaseStore
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.kernel.settings import Settings
from flyball.monitoring.evaluation import Stores
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.references import References
from flyball.monitoring.service import Monitors
from flyball.monitoring.sql import SqlAlertStore, SqlLabelStore, SqlMonitorStore, SqlPredictionStore, SqlReportStore
from flyball.pipelines.limits import Limits
from flyball.pipelines.ports import DatasetResolver
from flyball.pipelines.service import Pipelines
from flyball.pipelines.sql import SqlPipelineStore
from flyball.registry import Gatekeeper, Registry
from flyball.registry.sources import digest_in
from flyball.registry.sql import SqlDecisionStore, open_stores
from flyball.retraining.conduct import Conductor, Rooms
from flyball.retraining.gathering import dataset_of
from flyball.retraining.loops import Loop
from flyball.retraining.requests import Requests
from flyball.retraining.sql import SqlRequestStore
from flyball.retraining.watching import Watch
from flyball.server.migrations import require_newest
from flyball.server.scoring import ChildScorer
from flyball.tracking.entities import DatasetInput, LoggedDataset
from flyball.tracking.service import Tracking, open_tracking

# A model server says something at least once a second; after this long without a word it counts as gone.
SILENT_MS = 10_000
# MLflow keeps at most 36 characters of a dataset's digest.
DIGEST_SHOWN = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The rooms, and the few questions that need more than one of them."""

    settings: Settings
    database: Database
    clock: Clock
    events: EventLog
    leases: LeaseStore
    artifacts: Artifacts
    datasets: Datasets
    tracking: Tracking
    registry: Registry
    gatekeeper: Gatekeeper
    pipelines: Pipelines
    deployments: Deployments
    predictions: PredictionLog
    monitors: Monitors
    access: Access
    approvals: Approvals
    audit: Audit
    why: Why
    requests: Requests
    conductor: Conductor

    def is_alive(self, status: EndpointStatus) -> bool:
        """Tell whether a model server has been heard lately."""
        return self.clock.now_ms() - status.heartbeat_ms < SILENT_MS

    def champion_of(self, loop: Loop) -> int | None:
        """Return the version in charge of a loop's endpoint, None before there is one."""
        try:
            return self.deployments.get(loop.endpoint).champion.version
        except NotFound:
            return None

    def is_busy(self, loop: Loop) -> bool:
        """Tell whether a loop will act without further traffic and without a person."""
        return self.monitors.has_work(loop.monitor) or self.conductor.is_due(loop)

    def note_use(self, run_id: str, version: DatasetVersion, *, context: str, actor: str) -> None:
        """Write down that a run used a dataset version, as the MLflow client would."""
        dataset = LoggedDataset(
            name=version.name,
            digest=version.digest[:DIGEST_SHOWN],
            source_type="flyball",
            source=f"dataset-version:{version.name}/{version.version}",
        )
        used = DatasetInput(dataset=dataset, tags={"mlflow.data.context": context})
        self.tracking.lineage.log_inputs(run_id, actor=actor, datasets=[used])

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def open_platform(settings: Settings, *, clock: Clock | None = None) -> Platform:
    """Join the rooms over the stores that the settings name.

    Raises:
        Conflict: the database's schema is not the newest; the message says how to upgrade it.
    """
    clock = clock or SystemClock()
    database = open_database(settings.resolved_database_url)
    require_newest(database)
    events = EventLog(SqlEventStore(database), clock)
    leases = SqlLeaseStore(database, clock)
    artifacts = Artifacts(
        open_blob_store(settings), SqlNameStore(database), database, max_bytes=settings.max_artifact_bytes
    )
    datasets = Datasets(SqlDatasetStore(database), artifacts, events, clock, database)
    tracking = open_tracking(database, events=events, clock=clock)
    registry = Registry(
        open_stores(database), digest_of=digest_in(artifacts), events=events, clock=clock, database=database
    )
    gatekeeper = Gatekeeper(
        SqlDecisionStore(database),
        registry=registry,
        artifacts=artifacts,
        events=events,
        clock=clock,
        database=database,
    )
    limits = Limits(step_timeout_s=settings.step_timeout_s, lease_ttl_ms=settings.lease_ttl_ms)
    pipelines = Pipelines(
        SqlPipelineStore(database),
        artifacts,
        leases,
        events,
        clock,
        database,
        resolver=_resolver(datasets),
        limits=limits,
    )
    deployments = Deployments(SqlDeploymentStore(database), events, clock, database)
    predictions = PredictionLog(
        SqlPredictionStore(database),
        SqlLabelStore(database),
        artifacts=artifacts,
        events=events,
        clock=clock,
        database=database,
    )
    monitors = Monitors(
        Stores(monitors=SqlMonitorStore(database), reports=SqlReportStore(database), alerts=SqlAlertStore(database)),
        predictions,
        references=References(registry.evidence, artifacts),
        events=events,
        clock=clock,
        database=database,
    )
    access_store = SqlAccessStore(database)
    approvals = Approvals(SqlApprovalStore(database), events, clock, database, identities=access_store)
    requests = Requests(SqlRequestStore(database), leases=leases, events=events, clock=clock, database=database)
    watch = Watch(
        requests,
        monitors=monitors,
        predictions=predictions,
        datasets=datasets,
        deployments=deployments,
        registry=registry,
        artifacts=artifacts,
    )
    rooms = Rooms(
        artifacts=artifacts,
        datasets=datasets,
        pipelines=pipelines,
        registry=registry,
        gatekeeper=gatekeeper,
        approvals=approvals,
        deployments=deployments,
        database=database,
    )
    scorer = ChildScorer(registry, artifacts, settings)
    return Platform(
        settings=settings,
        database=database,
        clock=clock,
        events=events,
        leases=leases,
        artifacts=artifacts,
        datasets=datasets,
        tracking=tracking,
        registry=registry,
        gatekeeper=gatekeeper,
        pipelines=pipelines,
        deployments=deployments,
        predictions=predictions,
        monitors=monitors,
        access=Access(access_store, events, clock, database),
        approvals=approvals,
        audit=Audit(events),
        why=Why(events, prediction=_prediction_resolver(predictions, deployments)),
        requests=requests,
        conductor=Conductor(requests, watch, scorer, rooms),
    )


def _resolver(datasets: Datasets) -> DatasetResolver:
    def resolve(reference: Mapping[str, JsonValue]) -> pa.Table:
        version = dataset_of(datasets, str(reference["dataset"]))
        if reference.get("digest", version.digest) != version.digest:
            raise Conflict(f"dataset {reference['dataset']} has another digest than the one asked for", field="digest")
        return datasets.table(version.name, version.version)

    return resolve


def _prediction_resolver(predictions: PredictionLog, deployments: Deployments) -> PredictionResolver:
    def resolve(key: str) -> tuple[Ref, ...]:
        endpoint, separator, prediction_id = key.partition("/")
        if not separator:
            raise InvalidInput("name a prediction as <endpoint>/<prediction id>", field="prediction")
        row = predictions.get(endpoint, prediction_id).to_pylist()[0]
        model = deployments.get(endpoint).model
        return ref("model-version", f"{model}/{row['version']}"), ref("endpoint", endpoint)

    return resolve
