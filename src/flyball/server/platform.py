"""All rooms of one process, joined: the composition root makes it once, and hands it to whoever serves or works."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pyarrow as pa

from flyball.artifacts import Artifacts
from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.sql import SqlNameStore
from flyball.datasets import Datasets, DatasetVersion
from flyball.datasets.sql import SqlDatasetStore
from flyball.deployment.entities import Endpoint, EndpointStatus
from flyball.deployment.service import Deployments
from flyball.deployment.sql import SqlDeploymentStore
from flyball.governance.access import Access
from flyball.governance.approvals import Approvals
from flyball.governance.audit import Audit
from flyball.governance.sql import SqlAccessStore, SqlApprovalStore
from flyball.governance.why import Why
from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.kernel.events import EventLog, Ref, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.leases import LeaseStore
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.kernel.settings import Settings
from flyball.monitoring.compaction import Compaction
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.losses import Losses
from flyball.monitoring.references import References
from flyball.monitoring.retention import DAY_MS
from flyball.monitoring.service import Monitors
from flyball.monitoring.studies.sql import SqlStudyStore
from flyball.monitoring.studies.verbs import Studies, StudyLimits
from flyball.pipelines.limits import Limits
from flyball.pipelines.processes import ProcessRunner
from flyball.pipelines.service import Pipelines
from flyball.pipelines.sql import SqlPipelineStore
from flyball.registry import ANY, Gatekeeper, Registry
from flyball.registry.sources import digest_in
from flyball.registry.sql import SqlDecisionStore, open_stores
from flyball.registry.webhooks import Webhooks
from flyball.registry.webhooks.announcing import Outbox
from flyball.registry.webhooks.delivery import Deliverer
from flyball.registry.webhooks.management import WebhookStores
from flyball.registry.webhooks.sql import SqlDeliveryStore, SqlWebhookStore
from flyball.retraining.conduct import Conductor, Rooms
from flyball.retraining.gathering import dataset_of
from flyball.retraining.ground import CHAMPION
from flyball.retraining.loops import Loop
from flyball.retraining.requests import Requests
from flyball.retraining.sql import SqlRequestStore
from flyball.retraining.watching import Watch
from flyball.server.alerting import AlertRoom, open_alerts
from flyball.server.migrations import require_newest
from flyball.server.model_inputs import captured_columns, read_signature
from flyball.server.scoring import ChildScorer
from flyball.server.served_inputs import ServedInputs
from flyball.server.warm_children import starter
from flyball.server.watching import open_compaction, open_losses, open_monitors, open_predictions
from flyball.serving.capture_rules import CaptureRules, check_columns
from flyball.tracking.entities import DatasetInput, LoggedDataset
from flyball.tracking.service import Tracking, open_tracking

# A model server says something at least once a second; after this long without a word it counts as gone.
SILENT_MS = 10_000
# MLflow keeps at most 36 characters of a dataset's digest.
DIGEST_SHOWN = 36


class Platform:
    """The rooms, each made once, and the few questions that need more than one of them. Share one per process."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.database: Database = open_database(settings.resolved_database_url)

    @cached_property
    def events(self) -> EventLog:
        """The chain of what happened."""
        return EventLog(SqlEventStore(self.database), self.clock)

    @cached_property
    def leases(self) -> LeaseStore:
        """Who may act on what."""
        return SqlLeaseStore(self.database, self.clock)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Bytes by content."""
        names = SqlNameStore(self.database)
        return Artifacts(
            open_blob_store(self.settings), names, self.database, max_bytes=self.settings.max_artifact_bytes
        )

    @cached_property
    def datasets(self) -> Datasets:
        """Dataset versions."""
        return Datasets(SqlDatasetStore(self.database), self.artifacts, self.events, self.clock, self.database)

    @cached_property
    def tracking(self) -> Tracking:
        """Experiments, runs and logged models."""
        return open_tracking(self.database, events=self.events, clock=self.clock)

    @cached_property
    def registry(self) -> Registry:
        """Models and their versions."""
        return Registry(
            open_stores(self.database),
            digest_of=digest_in(self.artifacts),
            events=self.events,
            clock=self.clock,
            database=self.database,
            announcer=Outbox(self.hooks.webhooks, self.hooks.deliveries, clock=self.clock),
        )

    @cached_property
    def hooks(self) -> WebhookStores:
        """Where webhooks and what they wait for are kept."""
        return WebhookStores(webhooks=SqlWebhookStore(self.database), deliveries=SqlDeliveryStore(self.database))

    @cached_property
    def egress(self) -> Egress:
        """The way out."""
        allowed = parse_destinations(self.settings.egress_hosts, field="egress_hosts")
        return Egress(allowed, timeout_s=self.settings.egress_timeout_s)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Who is told of what happens in the registry."""
        return Webhooks(self.hooks, egress=self.egress, events=self.events, clock=self.clock, database=self.database)

    @cached_property
    def deliverer(self) -> Deliverer:
        """Who tells them."""
        return Deliverer(
            self.hooks,
            self.webhooks,
            egress=self.egress,
            events=self.events,
            clock=self.clock,
            database=self.database,
            attempts=self.settings.webhook_attempts,
        )

    @cached_property
    def gatekeeper(self) -> Gatekeeper:
        """Policies and decisions."""
        return Gatekeeper(
            SqlDecisionStore(self.database),
            registry=self.registry,
            artifacts=self.artifacts,
            events=self.events,
            clock=self.clock,
            database=self.database,
        )

    @cached_property
    def pipelines(self) -> Pipelines:
        """Pipeline runs."""
        limits = Limits(step_timeout_s=self.settings.step_timeout_s, lease_ttl_ms=self.settings.lease_ttl_ms)
        return Pipelines(
            SqlPipelineStore(self.database),
            self.artifacts,
            self.leases,
            self.events,
            self.clock,
            self.database,
            resolver=self._rows_of,
            runner=ProcessRunner(start=starter(self.settings)),
            limits=limits,
        )

    @cached_property
    def deployments(self) -> Deployments:
        """Endpoints and rollouts."""
        return Deployments(SqlDeploymentStore(self.database), self.events, self.clock, self.database)

    @cached_property
    def predictions(self) -> PredictionLog:
        """What was predicted, and what turned out to be true."""
        return open_predictions(self.database, artifacts=self.artifacts, events=self.events, clock=self.clock)

    @cached_property
    def compaction(self) -> Compaction:
        """Who merges small segments."""
        return open_compaction(self.database, artifacts=self.artifacts, events=self.events, clock=self.clock)

    @cached_property
    def losses(self) -> Losses:
        """What was predicted and not kept."""
        return open_losses(self.database, announcer=self.alerts.outbox, events=self.events, clock=self.clock)

    @cached_property
    def alerts(self) -> AlertRoom:
        """Where alerts go."""
        return open_alerts(self.settings, self.database, egress=self.egress, events=self.events, clock=self.clock)

    @cached_property
    def monitors(self) -> Monitors:
        """Windows, reports and alerts."""
        return open_monitors(
            self.database,
            self.predictions,
            references=References(self.registry.evidence, self.artifacts),
            announcer=self.alerts.outbox,
            events=self.events,
            clock=self.clock,
            inputs=ServedInputs(self.deployments, self.registry, self.artifacts),
        )

    @cached_property
    def studies(self) -> Studies:
        """Calibrations and backtests in the background."""
        return Studies(
            SqlStudyStore(self.database),
            self.monitors,
            leases=self.leases,
            events=self.events,
            clock=self.clock,
            database=self.database,
            limits=StudyLimits(
                timeout_s=self.settings.study_timeout_s,
                lease_ttl_ms=self.settings.lease_ttl_ms,
                keep_ms=self.settings.study_keep_days * DAY_MS,
            ),
        )

    @cached_property
    def access(self) -> Access:
        """Identities and tokens."""
        return Access(SqlAccessStore(self.database), self.events, self.clock, self.database)

    @cached_property
    def approvals(self) -> Approvals:
        """What people answered."""
        identities = SqlAccessStore(self.database)
        return Approvals(SqlApprovalStore(self.database), self.events, self.clock, self.database, identities=identities)

    @cached_property
    def audit(self) -> Audit:
        """The record, for those who check it."""
        return Audit(self.events)

    @cached_property
    def why(self) -> Why:
        """From effects to causes."""
        return Why(self.events, prediction=self._origin_of)

    @cached_property
    def requests(self) -> Requests:
        """Loops and their requests."""
        return Requests(
            SqlRequestStore(self.database),
            leases=self.leases,
            events=self.events,
            clock=self.clock,
            database=self.database,
        )

    @cached_property
    def conductor(self) -> Conductor:
        """Who moves requests on."""
        watch = Watch(
            self.requests,
            monitors=self.monitors,
            predictions=self.predictions,
            datasets=self.datasets,
            deployments=self.deployments,
            registry=self.registry,
            artifacts=self.artifacts,
        )
        rooms = Rooms(
            artifacts=self.artifacts,
            datasets=self.datasets,
            pipelines=self.pipelines,
            registry=self.registry,
            gatekeeper=self.gatekeeper,
            approvals=self.approvals,
            deployments=self.deployments,
            database=self.database,
        )
        scorer = ChildScorer(self.registry, self.artifacts, self.settings)
        return Conductor(self.requests, watch, scorer, rooms)

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

    def set_capture(self, endpoint: str, rules: CaptureRules, *, actor: str) -> Endpoint:
        """Set what an endpoint's prediction log keeps.

        Raises:
            UnknownKey: a rule is for a column that none of the endpoint's versions takes.
        """
        found = self.deployments.get(endpoint)
        if rules.columns:
            versions = (self.registry.get_version(found.model, route.version) for route in found.routes)
            inputs = [name for one in versions for name in captured_columns(read_signature(self.artifacts, one))]
            check_columns(rules, list(dict.fromkeys(inputs)))
        return self.deployments.set_capture(endpoint, rules, actor=actor)

    def captured_share(self, endpoint: str) -> float:
        """Return the share of predictions that an endpoint keeps; what never was an endpoint keeps what it is given."""
        try:
            return self.deployments.get(endpoint).capture.share
        except NotFound:
            return 1.0

    def roll_back(self, endpoint: str, *, actor: str) -> Endpoint:
        """Put the previous routing back; the alias of the champion follows in the same transaction."""
        with self.database.transaction():
            changed = self.deployments.rollback_endpoint(endpoint, actor=actor)
            self.registry.set_alias(changed.model, CHAMPION, changed.champion.version, expected=ANY, actor=actor)
        return changed

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

    def _rows_of(self, reference: Mapping[str, JsonValue]) -> pa.Table:
        version = dataset_of(self.datasets, str(reference["dataset"]))
        if reference.get("digest", version.digest) != version.digest:
            raise Conflict(f"dataset {reference['dataset']} has another digest than the one asked for", field="digest")
        return self.datasets.table(version.name, version.version)

    def _origin_of(self, key: str) -> tuple[Ref, ...]:
        endpoint, separator, prediction_id = key.partition("/")
        if not separator:
            raise InvalidInput("name a prediction as <endpoint>/<prediction id>", field="prediction")
        row = self.predictions.get(endpoint, prediction_id).to_pylist()[0]
        model = self.deployments.get(endpoint).model
        return ref("model-version", f"{model}/{row['version']}"), ref("endpoint", endpoint)


def open_platform(settings: Settings, *, clock: Clock | None = None) -> Platform:
    """Join the rooms over the stores that the settings name.

    Raises:
        Conflict: the database's schema is not the newest; the message says how to upgrade it.
    """
    platform = Platform(settings, clock or SystemClock())
    require_newest(platform.database)
    # Before any thread: two that come first at once would make a room twice.
    for name, part in vars(Platform).items():
        if isinstance(part, cached_property):
            getattr(platform, name)
    return platform
