"""Webhooks and their deliveries on a database."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from flyball.kernel.db import Database
from flyball.registry.webhooks.entities import Delivery, Occasion, Webhook, WebhookStatus
from flyball.registry.webhooks.tables import webhook_deliveries, webhook_occasions, webhooks


class SqlWebhookStore:
    """One row a webhook, one row an occasion it is told of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, webhook: Webhook) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(webhooks), _row(webhook))
            _write_occasions(connection, webhook)

    def find(self, webhook_id: str) -> Webhook | None:
        with self._database.read() as connection:
            row = connection.execute(select(webhooks).where(webhooks.c.id == webhook_id)).first()
            return _webhooks(connection, [row])[0] if row else None

    def save(self, webhook: Webhook) -> None:
        with self._database.transaction() as connection:
            connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(_row(webhook)))
            connection.execute(delete(webhook_occasions).where(webhook_occasions.c.webhook_id == webhook.id))
            _write_occasions(connection, webhook)

    def remove(self, webhook_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))

    def page(self, *, offset: int, limit: int) -> list[Webhook]:
        newest = select(webhooks).order_by(webhooks.c.created_ms.desc(), webhooks.c.id.desc())
        with self._database.read() as connection:
            return _webhooks(connection, connection.execute(newest.limit(limit).offset(offset)).all())

    def told_of(self, occasion: Occasion) -> list[Webhook]:
        subscribed = select(webhook_occasions.c.webhook_id).where(webhook_occasions.c.occasion == occasion.value)
        query = select(webhooks).where(webhooks.c.id.in_(subscribed), webhooks.c.status == WebhookStatus.ACTIVE.value)
        with self._database.read() as connection:
            return _webhooks(connection, connection.execute(query.order_by(webhooks.c.created_ms)).all())


class SqlDeliveryStore:
    """One row a delivery that waits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, delivery: Delivery) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(webhook_deliveries), dataclasses.asdict(delivery))

    def due(self, webhook_id: str, *, now_ms: int, limit: int) -> list[Delivery]:
        columns = webhook_deliveries.c
        query = (
            select(webhook_deliveries)
            .where(columns.webhook_id == webhook_id, columns.due_ms <= now_ms)
            .order_by(columns.created_ms, columns.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def waiting(self, *, now_ms: int) -> list[str]:
        columns = webhook_deliveries.c
        query = (
            select(columns.webhook_id)
            .where(columns.due_ms <= now_ms)
            .group_by(columns.webhook_id)
            .order_by(func.min(columns.due_ms), columns.webhook_id)
        )
        with self._database.read() as connection:
            return [str(row.webhook_id) for row in connection.execute(query)]

    def postpone(self, delivery: Delivery) -> None:
        mine = webhook_deliveries.c.id == delivery.id
        with self._database.transaction() as connection:
            changed = update(webhook_deliveries).where(mine)
            connection.execute(changed.values(attempts=delivery.attempts, due_ms=delivery.due_ms))

    def remove(self, delivery_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id))

    def drop(self, webhook_id: str) -> int:
        mine = webhook_deliveries.c.webhook_id == webhook_id
        with self._database.transaction() as connection:
            return len(
                connection.execute(delete(webhook_deliveries).where(mine).returning(webhook_deliveries.c.id)).all()
            )


def _row(webhook: Webhook) -> dict[str, object]:
    row = dataclasses.asdict(webhook)
    del row["occasions"]
    return row | {"status": webhook.status.value}


def _write_occasions(connection: Connection, webhook: Webhook) -> None:
    rows = [
        {"webhook_id": webhook.id, "position": position, "occasion": occasion.value}
        for position, occasion in enumerate(webhook.occasions)
    ]
    connection.execute(insert(webhook_occasions), rows)


def _webhooks(connection: Connection, rows: Sequence[Row[Any]]) -> list[Webhook]:
    columns = webhook_occasions.c
    query = select(webhook_occasions).where(columns.webhook_id.in_([row.id for row in rows]))
    told: dict[str, list[Occasion]] = defaultdict(list)
    for each in connection.execute(query.order_by(columns.webhook_id, columns.position)):
        told[each.webhook_id].append(Occasion(each.occasion))
    return [
        Webhook(
            id=row.id,
            name=row.name,
            url=row.url,
            occasions=tuple(told[row.id]),
            description=row.description,
            status=WebhookStatus(row.status),
            secret=row.secret,
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
        )
        for row in rows
    ]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        occasion=Occasion(row.occasion),
        body=row.body,
        attempts=row.attempts,
        due_ms=row.due_ms,
        created_ms=row.created_ms,
    )
