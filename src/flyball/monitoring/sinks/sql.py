"""The document of sinks and the deliveries on a database."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Row, and_, delete, exists, func, insert, select, update

from flyball.kernel.db import Database
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.sinks.entities import Delivery, DeliveryState
from flyball.monitoring.sinks.tables import deliveries, delivery_alerts, documents
from flyball.monitoring.tables import alerts as fired

ONE = "sinks"
# SQLite takes some ten thousand values in one statement.
AT_ONCE = 1_000


class SqlDocumentStore:
    """One row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, content: str, *, now_ms: int) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(documents))
            connection.execute(insert(documents), {"name": ONE, "content": content, "updated_ms": now_ms})

    def find(self) -> str | None:
        with self._database.read() as connection:
            row = connection.execute(select(documents.c.content)).first()
        return None if row is None else str(row.content)


class SqlDeliveryStore:
    """One row a delivery, one row an alert that it tells. Both ports of deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, delivery: Delivery, alerts: Collection[str]) -> None:
        rows = [{"delivery_id": delivery.id, "alert_id": alert} for alert in alerts]
        with self._database.transaction() as connection:
            connection.execute(insert(deliveries), _row(delivery))
            connection.execute(insert(delivery_alerts), rows)

    def join(self, sink: str, group: str, occasion: Occasion, *, alert: str) -> bool:
        same = and_(deliveries.c.sink == sink, deliveries.c.grouping == group, deliveries.c.occasion == occasion.value)
        fresh = and_(
            deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.attempts == 0, deliveries.c.round == 0
        )
        with self._database.transaction() as connection:
            # Held until the end: whoever is about to send it waits, and tells this alert too.
            query = select(deliveries.c.id).where(same, fresh).order_by(deliveries.c.id).limit(1).with_for_update()
            found = connection.execute(query).first()
            if found is None:
                return False
            mine = and_(delivery_alerts.c.delivery_id == found.id, delivery_alerts.c.alert_id == alert)
            if connection.execute(select(delivery_alerts.c.alert_id).where(mine)).first() is None:
                connection.execute(insert(delivery_alerts), {"delivery_id": found.id, "alert_id": alert})
            return True

    def due(self, sink: str, *, now_ms: int, limit: int) -> list[Delivery]:
        query = select(deliveries).where(deliveries.c.sink == sink, deliveries.c.due_ms <= now_ms)
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query.order_by(deliveries.c.id).limit(limit))]

    def waiting(self, *, now_ms: int) -> list[str]:
        query = select(deliveries.c.sink, func.min(deliveries.c.due_ms)).where(deliveries.c.due_ms <= now_ms)
        grouped = query.group_by(deliveries.c.sink).order_by(func.min(deliveries.c.due_ms))
        with self._database.read() as connection:
            return [row.sink for row in connection.execute(grouped)]

    def alerts(self, delivery_id: str) -> list[str]:
        query = select(delivery_alerts.c.alert_id).where(delivery_alerts.c.delivery_id == delivery_id)
        with self._database.read() as connection:
            return [row.alert_id for row in connection.execute(query.order_by(delivery_alerts.c.alert_id))]

    def save(self, delivery: Delivery) -> None:
        with self._database.transaction() as connection:
            connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(_row(delivery)))

    def leave(self, delivery_id: str, alerts: Collection[str]) -> None:
        mine = and_(delivery_alerts.c.delivery_id == delivery_id, delivery_alerts.c.alert_id.in_(list(alerts)))
        with self._database.transaction() as connection:
            connection.execute(delete(delivery_alerts).where(mine))

    def release(self, *, now_ms: int) -> None:
        silenced = and_(deliveries.c.state == DeliveryState.SILENCED.value, deliveries.c.due_ms > now_ms)
        with self._database.transaction() as connection:
            connection.execute(update(deliveries).where(silenced).values(due_ms=now_ms))

    def of_alerts(self, alerts: Collection[str]) -> dict[str, list[Delivery]]:
        query = select(delivery_alerts.c.alert_id, *deliveries.c).join_from(delivery_alerts, deliveries)
        found: dict[str, list[Delivery]] = defaultdict(list)
        with self._database.read() as connection:
            for some in batched(sorted(alerts), AT_ONCE):
                asked = query.where(delivery_alerts.c.alert_id.in_(some)).order_by(deliveries.c.id)
                for row in connection.execute(asked):
                    found[row.alert_id].append(_delivery(row))
        return dict(found)

    def newest(self, sink: str, *, limit: int) -> Sequence[Delivery]:
        query = select(deliveries).where(deliveries.c.sink == sink).order_by(deliveries.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def forsake(self, *, kept: Collection[str], reason: str, now_ms: int) -> int:
        lost = and_(deliveries.c.due_ms.is_not(None), deliveries.c.sink.not_in(list(kept)))
        ended = {"due_ms": None, "reason": reason, "updated_ms": now_ms}
        told = deliveries.c.state == DeliveryState.DELIVERED.value
        with self._database.transaction() as connection:
            connection.execute(update(deliveries).where(lost, told).values(due_ms=None))
            done = connection.execute(
                update(deliveries).where(lost).values(state=DeliveryState.OBSOLETE.value, **ended)
            )
            return int(done.rowcount)

    def remove_ended(self, *, before_ms: int, limit: int) -> int:
        needed = exists().where(
            delivery_alerts.c.delivery_id == deliveries.c.id,
            fired.c.id == delivery_alerts.c.alert_id,
            fired.c.active.is_not(None),
        )
        ended = and_(deliveries.c.due_ms.is_(None), deliveries.c.updated_ms < before_ms)
        query = select(deliveries.c.id).where(ended, ~needed).order_by(deliveries.c.updated_ms).limit(limit)
        with self._database.transaction() as connection:
            found = list(connection.execute(query).scalars())
            connection.execute(delete(delivery_alerts).where(delivery_alerts.c.delivery_id.in_(found)))
            connection.execute(delete(deliveries).where(deliveries.c.id.in_(found)))
        return len(found)


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut a list into pieces."""
    return (names[at : at + size] for at in range(0, len(names), size))


def _row(delivery: Delivery) -> dict[str, object]:
    row = dataclasses.asdict(delivery)
    row["grouping"] = row.pop("group")
    return row | {"occasion": delivery.occasion.value, "state": delivery.state.value}


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        id=row.id,
        sink=row.sink,
        group=row.grouping,
        occasion=Occasion(row.occasion),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        round=row.round,
        due_ms=row.due_ms,
        reason=row.reason,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )
