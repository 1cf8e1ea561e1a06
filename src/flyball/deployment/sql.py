"""Endpoints, rollouts and reports on a database."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import cast

from sqlalchemy import Row, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyball.deployment.entities import (
    Endpoint,
    EndpointState,
    EndpointStatus,
    Outcomes,
    Role,
    Rollout,
    RolloutId,
    RolloutState,
    Route,
    StopRule,
    Verdict,
    VerdictKind,
)
from flyball.deployment.tables import endpoint_statuses, endpoints, rollouts
from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, Conflict
from flyball.measures.sequential import Difference
from flyball.serving.capture_rules import KEEP_ALL, parse_rules, rules_json


class SqlDeploymentStore:
    """One row an endpoint, a rollout, a report; every change is one conditional UPDATE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_endpoint(self, endpoint: Endpoint) -> None:
        taken = AlreadyExists(f"there is an endpoint '{endpoint.name}' already; choose another name", field="name")
        if self.find_endpoint(endpoint.name) is not None:
            raise taken
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(endpoints), _endpoint_row(endpoint))
        except IntegrityError as error:  # somebody else took the name since we looked
            raise taken from error

    def swap_endpoint(self, endpoint: Endpoint, *, expected_generation: int) -> None:
        same = and_(endpoints.c.name == endpoint.name, endpoints.c.generation == expected_generation)
        with self._database.transaction() as connection:
            done = connection.execute(update(endpoints).where(same).values(**_endpoint_row(endpoint)))
            if done.rowcount == 0:
                raise Conflict(
                    f"endpoint '{endpoint.name}' was changed by somebody else; look at it again and repeat",
                    field=endpoint.name,
                )

    def find_endpoint(self, name: str) -> Endpoint | None:
        with self._database.read() as connection:
            row = connection.execute(select(endpoints).where(endpoints.c.name == name)).first()
        return _endpoint(row) if row else None

    def list_endpoints(self) -> list[Endpoint]:
        with self._database.read() as connection:
            return [_endpoint(row) for row in connection.execute(select(endpoints).order_by(endpoints.c.name))]

    def add_rollout(self, rollout: Rollout) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(rollouts), _rollout_row(rollout))

    def swap_rollout(self, rollout: Rollout, *, expected_looks: int) -> None:
        same = and_(
            rollouts.c.id == rollout.id,
            rollouts.c.state == RolloutState.RUNNING.value,
            rollouts.c.looks == expected_looks,
        )
        with self._database.transaction() as connection:
            done = connection.execute(update(rollouts).where(same).values(**_rollout_row(rollout)))
            if done.rowcount == 0:
                raise Conflict(
                    f"rollout {rollout.id} ended, or was observed by somebody else; look at it again and repeat",
                    field=rollout.id,
                )

    def find_rollout(self, rollout_id: RolloutId) -> Rollout | None:
        with self._database.read() as connection:
            row = connection.execute(select(rollouts).where(rollouts.c.id == rollout_id)).first()
        return _rollout(row) if row else None

    def list_rollouts(self, *, endpoint: str | None = None) -> list[Rollout]:
        query = select(rollouts).order_by(rollouts.c.id.desc())
        if endpoint is not None:
            query = query.where(rollouts.c.endpoint == endpoint)
        with self._database.read() as connection:
            return [_rollout(row) for row in connection.execute(query)]

    def put_status(self, status: EndpointStatus) -> None:
        row = asdict(status) | {"loaded": _text(list(status.loaded))}
        known = endpoint_statuses.c.endpoint == status.endpoint
        older = and_(known, endpoint_statuses.c.heartbeat_ms <= status.heartbeat_ms)
        try:
            with self._database.transaction() as connection:
                if connection.execute(select(endpoint_statuses.c.pid).where(known)).first() is None:
                    connection.execute(insert(endpoint_statuses), row)
                else:
                    connection.execute(update(endpoint_statuses).where(older).values(**row))
        except IntegrityError:  # two processes made the first report at once; one more beat settles it
            with self._database.transaction() as connection:
                connection.execute(update(endpoint_statuses).where(older).values(**row))

    def find_status(self, endpoint: str) -> EndpointStatus | None:
        query = select(endpoint_statuses).where(endpoint_statuses.c.endpoint == endpoint)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return EndpointStatus(
            endpoint=row.endpoint,
            generation=row.generation,
            url=row.url,
            pid=row.pid,
            heartbeat_ms=row.heartbeat_ms,
            loaded=tuple(json.loads(row.loaded)),
            error=row.error,
        )


def _text(value: JsonValue) -> str:
    return canonical_json(value).decode()


def _endpoint_row(endpoint: Endpoint) -> dict[str, object]:
    return {
        "name": endpoint.name,
        "model": endpoint.model,
        "generation": endpoint.generation,
        "routes": _text([asdict(route) for route in endpoint.routes]),
        "previous": _text([asdict(route) for route in endpoint.previous]),
        "salt": endpoint.salt,
        "state": endpoint.state.value,
        "changed_by": endpoint.changed_by,
        "created_ms": endpoint.created_ms,
        "updated_ms": endpoint.updated_ms,
        "capture": _text(rules_json(endpoint.capture)),
    }


def _endpoint(row: Row[tuple[object, ...]]) -> Endpoint:
    return Endpoint(
        name=row.name,
        model=row.model,
        generation=row.generation,
        routes=_routes(row.routes),
        previous=_routes(row.previous),
        salt=row.salt,
        state=EndpointState(row.state),
        changed_by=row.changed_by,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        capture=parse_rules(**json.loads(row.capture)) if row.capture else KEEP_ALL,
    )


def _routes(text: str) -> tuple[Route, ...]:
    return tuple(
        Route(version=item["version"], share=float(item["share"]), role=Role(item["role"])) for item in json.loads(text)
    )


def _rollout_row(rollout: Rollout) -> dict[str, object]:
    trial = {
        "share": rollout.share,
        "stop_rule": asdict(rollout.stop_rule),
        "champion": asdict(rollout.champion_outcomes),
        "challenger": asdict(rollout.challenger_outcomes),
        "verdict": asdict(rollout.verdict) if rollout.verdict else None,
    }
    return {
        "id": rollout.id,
        "endpoint": rollout.endpoint,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "trial": _text(cast("JsonValue", trial)),
        "state": rollout.state.value,
        "looks": rollout.looks,
        "reason": rollout.reason,
        "started_by": rollout.started_by,
        "created_ms": rollout.created_ms,
        "ended_ms": rollout.ended_ms,
    }


def _rollout(row: Row[tuple[object, ...]]) -> Rollout:
    trial = json.loads(row.trial)
    return Rollout(
        id=RolloutId(row.id),
        endpoint=row.endpoint,
        champion=row.champion,
        challenger=row.challenger,
        share=float(trial["share"]),
        stop_rule=StopRule(**trial["stop_rule"]),
        state=RolloutState(row.state),
        champion_outcomes=Outcomes(**trial["champion"]),
        challenger_outcomes=Outcomes(**trial["challenger"]),
        looks=row.looks,
        verdict=_verdict(trial["verdict"]),
        reason=row.reason,
        started_by=row.started_by,
        created_ms=row.created_ms,
        ended_ms=row.ended_ms,
    )


def _verdict(item: dict[str, JsonValue] | None) -> Verdict | None:
    if item is None:
        return None
    difference = cast("dict[str, float]", item["difference"])
    return Verdict(
        kind=VerdictKind(cast("str", item["kind"])),
        reason=cast("str", item["reason"]),
        difference=Difference(**{key: float(value) for key, value in difference.items()}),
    )
