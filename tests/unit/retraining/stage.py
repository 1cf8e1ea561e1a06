"""A platform small enough for a test: every room is real; only the models are plain functions instead of files that run."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.unit.retraining.documents import LOOP, MONITOR, POLICY, TRAINING

from flyball.deployment.entities import Rollout, RolloutId
from flyball.governance.permissions import Role
from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import ManualClock
from flyball.kernel.events import Ref
from flyball.kernel.leases import Lease
from flyball.kernel.settings import Settings
from flyball.monitoring.entities import Label
from flyball.pipelines.entities import RunState
from flyball.retraining.conduct import Conductor, Rooms
from flyball.retraining.entities import Request
from flyball.retraining.loops import Loop
from flyball.retraining.watching import Watch
from flyball.server.platform import Platform, open_platform

DAY = 86_400_000
FIRST_DAY = 10_000
ROWS_A_DAY = 48
NAME = "price"
OWNER, ENGINEER, APPROVER = "user:owner", "user:engineer", "user:approver"


def rising(x: np.ndarray) -> np.ndarray:
    """The concept of the first days: up where x is high."""
    return np.asarray(x > 0.5, dtype=np.int64)


def falling(x: np.ndarray) -> np.ndarray:
    """The concept afterwards."""
    return 1 - rising(x)


class FunctionScorer:
    """Models as functions of their one feature."""

    def __init__(self) -> None:
        self.models: dict[int, Callable[[np.ndarray], np.ndarray]] = {1: rising, 2: falling, 3: rising}
        self.calls = 0
        self.certainty: float | None = None

    def score(self, model: str, version: int, table: pa.Table) -> pa.Table:
        assert model == NAME
        self.calls += 1
        answers = self.models[version](table.column("x").to_numpy())
        return pa.table({"prediction": answers, "score": pa.array([self.certainty] * len(answers), pa.float64())})


class Crash(BaseException):
    """The process dies here."""


class Stage:
    """A platform with a guarded endpoint, the world around it, and the people who take part."""

    def __init__(self, folder: Path, database_url: str, clock: ManualClock) -> None:
        self.clock = clock
        self.scorer = FunctionScorer()
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "shop.py").write_text(textwrap.dedent(TRAINING), encoding="utf-8")
        self._settings = Settings(home=folder, database_url=database_url)
        self._served = 0
        self.day = 0
        self._open()
        self.lease = self.take_lease("worker:1")

    def _open(self) -> None:
        self.platform: Platform = open_platform(self._settings, clock=self.clock)
        platform = self.platform
        watch = Watch(
            platform.requests,
            monitors=platform.monitors,
            predictions=platform.predictions,
            datasets=platform.datasets,
            deployments=platform.deployments,
            registry=platform.registry,
            artifacts=platform.artifacts,
        )
        rooms = Rooms(
            artifacts=platform.artifacts,
            datasets=platform.datasets,
            pipelines=platform.pipelines,
            registry=platform.registry,
            gatekeeper=platform.gatekeeper,
            approvals=platform.approvals,
            deployments=platform.deployments,
            database=platform.database,
        )
        self.watch = watch
        self.conductor = Conductor(platform.requests, watch, self.scorer, rooms)

    def restart(self) -> None:
        """Let another process go on, after the one before died with its lease."""
        self.platform.close()
        self._open()
        self.clock.advance(self._settings.lease_ttl_ms)
        self.lease = self.take_lease("worker:2")

    def take_lease(self, holder: str) -> Lease:
        return self.platform.leases.acquire(f"loop/{NAME}", holder=holder, ttl_ms=self._settings.lease_ttl_ms)

    def close(self) -> None:
        self.platform.close()

    # People

    def prepare(self, *, loop: str = LOOP, policy: str = POLICY) -> None:
        """Make the identities, the rules and three versions of the model; nothing is in production yet."""
        platform = self.platform
        platform.access.bootstrap_owner()
        platform.access.create_identity(ENGINEER, Role.ENGINEER, actor=OWNER)
        platform.access.create_identity(APPROVER, Role.APPROVER, actor=OWNER)
        platform.gatekeeper.publish(policy, actor=APPROVER)
        platform.monitors.put(MONITOR, actor=ENGINEER)
        platform.requests.put_loop(loop, actor=ENGINEER)
        platform.registry.create_model(NAME, actor=ENGINEER)
        for number in (1, 2, 3):
            self.register(number)

    def register(self, number: int) -> None:
        """Log and register the files of a version."""
        model_id = f"m-{number:032x}"
        root = f"model/{model_id}"
        signature = 'signature:\n  inputs: \'[{"name": "x", "type": "double"}]\'\n'
        put = self.platform.artifacts.put
        put(root, "MLmodel", [signature.encode()])
        put(root, "requirements.txt", [b"numpy==2.0.0\n"])
        put(root, "weights", [b"of version %d" % number])
        source = f"mlflow-artifacts:/1/models/{model_id}/artifacts"
        self.platform.registry.create_version(NAME, source=source, model_id=model_id, actor=ENGINEER)

    def history(self, *, days: int = 9) -> tuple[str, str]:
        """Upload labelled rows from before the first day, as (training, holdout)."""
        names = []
        for place, role in enumerate(("training", "holdout")):
            every = range(place - 2 * days, 0, 2)
            parts = [self.rows(day, concept=rising) for day in every]
            table = pa.concat_tables(parts)
            version = self.platform.datasets.add_table(f"history-{role}", table, source="a file", actor=ENGINEER)
            names.append(f"{version.name}/{version.version}")
        return names[0], names[1]

    def ask(self, version: int, *, actor: str = ENGINEER) -> Request:
        """Ask, as a person, for a version to go into production."""
        training, holdout = self.history()
        return self.platform.requests.open_by_person(
            self.loop,
            version=version,
            training=training,
            holdout=holdout,
            champion=self.platform.champion_of(self.loop),
            actor=actor,
        )

    def put_in_charge(self) -> None:
        """Bring version 1 into production through gate and approval."""
        self.ask(1)
        self.conduct()
        self.approve()
        self.conduct()

    def approve(self) -> None:
        for approval in self.platform.approvals.list(state=None):
            if approval.state == "pending":
                self.platform.approvals.approve(approval.id, approval.digest, actor=APPROVER)

    def reject(self, reason: str) -> None:
        for approval in self.platform.approvals.list(state=None):
            if approval.state == "pending":
                self.platform.approvals.reject(approval.id, actor=APPROVER, reason=reason)

    # The world

    def rows(self, day: int, *, concept: Callable[[np.ndarray], np.ndarray]) -> pa.Table:
        """Return the labelled rows of a day; one label in ten is wrong."""
        x = self.features(day)
        times = (FIRST_DAY + day) * DAY + np.arange(ROWS_A_DAY, dtype=np.int64) * (DAY // ROWS_A_DAY)
        return pa.table({"time_ms": times, "x": x, "up": _with_noise(concept(x))})

    def features(self, day: int) -> np.ndarray:
        return np.random.default_rng(day + 1_000).random(ROWS_A_DAY)

    def serve(
        self,
        days: int,
        *,
        concept: Callable[[np.ndarray], np.ndarray] = rising,
        change: Callable[[np.ndarray], np.ndarray] | None = None,
        champion: int = 1,
        canary: int | None = None,
        labels: bool = True,
    ) -> None:
        """Let some days pass: traffic, answered by the champion and the canary in turns, and its labels."""
        for _ in range(days):
            self._serve_day(concept=concept, change=change, champion=champion, canary=canary, labels=labels)
            self.day += 1

    def _serve_day(
        self,
        *,
        concept: Callable[[np.ndarray], np.ndarray],
        change: Callable[[np.ndarray], np.ndarray] | None,
        champion: int,
        canary: int | None,
        labels: bool,
    ) -> None:
        rows = self.rows(self.day, concept=concept)
        times, x = rows.column("time_ms").to_numpy(), rows.column("x").to_numpy()
        truth = rows.column("up").to_pylist()
        if change is not None:
            x = change(x)
            truth = _with_noise(concept(x)).tolist()
        known = np.nan_to_num(x)
        versions = [canary if canary is not None and row % 2 else champion for row in range(len(x))]
        answers = [int(self.scorer.models[version](known[row : row + 1])[0]) for row, version in enumerate(versions)]
        ids = [f"p{self.day}-{row}" for row in range(len(x))]
        batch = pa.table(
            {
                "prediction_id": ids,
                "request_id": ids,
                "time_ms": times,
                "served_ms": times,
                "version": pa.array(versions, pa.int32()),
                "version_digest": ["0" * 64] * len(x),
                "role": ["canary" if version == canary else "champion" for version in versions],
                "latency_ms": [1.0] * len(x),
                "caller": ["service:application"] * len(x),
                "feature.x": pa.array(x, pa.float64(), from_pandas=True),
                "prediction": answers,
            }
        )
        self.platform.predictions.accept(NAME, batch)
        if labels:
            known_labels = [
                Label(prediction_id=name, value=value, time_ms=int(time_ms) + DAY)
                for name, value, time_ms in zip(ids, truth, times, strict=True)
            ]
            self.platform.predictions.add_labels(NAME, known_labels, revise=False, actor="service:application")

    def let_quality_drop(self) -> None:
        """Six days of the old concept, then the concept changes for the window of two days that shows it."""
        self.serve(6)
        self.serve(2, concept=falling)
        self.serve(1, concept=falling)

    # The worker

    @property
    def loop(self) -> Loop:
        return self.platform.requests.loop(NAME)

    def turn(self) -> Request | None:
        return self.conductor.turn(self.loop, self.lease)

    def conduct(self, *, trained: int | None = 2) -> Request | None:
        """Work like a worker until nothing is left to do, and return the newest request."""
        self.platform.monitors.evaluate(NAME)
        while True:
            before = self.newest
            self.train(trained)
            self.turn()
            if self.newest == before and not self.queued:
                return before

    def train(self, trained: int | None) -> None:
        """Execute queued pipelines; they return the version that they are said to have registered, None for a failure."""
        for run_id in self.queued:
            environment = {
                "PYTHONPATH": str(self.code),
                "PATH": os.environ["PATH"],
                "TRAINED": "nothing" if trained is None else str(trained),
            }
            self.platform.pipelines.execute(run_id, environment=environment, holder="worker:1")

    @property
    def queued(self) -> list[str]:
        return [run.id for run in self.platform.pipelines.list(state=RunState.QUEUED)]

    @property
    def newest(self) -> Request | None:
        return next(iter(self.requests), None)

    @property
    def requests(self) -> list[Request]:
        return self.platform.requests.list(loop=NAME)

    @property
    def by_alert(self) -> list[Request]:
        """Requests that an alert caused, oldest first."""
        return [one for one in reversed(self.requests) if one.alert_id]

    def rollout(self, request: Request) -> Rollout:
        return self.platform.deployments.get_rollout(RolloutId(request.rollout_id))

    @property
    def champion(self) -> int:
        return self.platform.deployments.get(NAME).champion.version

    @property
    def alias(self) -> int | None:
        return self.platform.registry.get_model(NAME).aliases.get("champion")

    def kinds(self, subject: Ref) -> list[str]:
        return [event.kind for event in self.platform.events.history(subject)]

    def edges(self) -> set[tuple[str, str, str]]:
        """Return the whole lineage."""
        return {
            (edge.subject, edge.relation, edge.object) for event in self.platform.events.all() for edge in event.edges
        }

    def payloads(self, subject: Ref) -> list[dict[str, JsonValue]]:
        return [dict(event.payload) for event in self.platform.events.history(subject)]

    @contextmanager
    def dying_at(self, number: int) -> Iterator[None]:
        """Let the process die at its n-th event from now, before that event is written."""
        events, left = self.platform.events, [number]
        record = events.record

        def dying(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return record(*arguments, **named)  # type: ignore[arg-type]

        events.record = dying  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            events.record = record  # type: ignore[method-assign]


def _with_noise(labels: np.ndarray) -> np.ndarray:
    noisy = labels.copy()
    noisy[::10] = 1 - noisy[::10]
    return noisy
