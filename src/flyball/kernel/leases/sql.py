"""Leases on a database."""

from __future__ import annotations

import dataclasses

from sqlalchemy import ColumnElement, Row, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, LeaseLost
from flyball.kernel.leases.entities import Lease
from flyball.kernel.leases.tables import leases

NOBODY = ""


class SqlLeaseStore:
    """One row a name; every change is one conditional UPDATE, so a race has one winner."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def acquire(self, name: str, *, holder: str, ttl_ms: int) -> Lease:
        try:
            with self._database.transaction() as connection:
                now = self._clock.now_ms()
                row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).first()
                if row is not None and row.holder != NOBODY and row.expires_ms > now:
                    raise _held(_lease(row))
                token = row.token + 1 if row is not None else 1
                lease = Lease(name=name, holder=holder, token=token, expires_ms=now + ttl_ms)
                if row is None:
                    connection.execute(insert(leases), dataclasses.asdict(lease))
                else:
                    connection.execute(update(leases).where(leases.c.name == name).values(**dataclasses.asdict(lease)))
                return lease
        except IntegrityError as error:  # two holders met at a name that had no row yet
            raise Conflict(f"'{name}' was taken by somebody else at this moment", field=name) from error

    def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        expires_ms = self._clock.now_ms() + ttl_ms
        with self._database.transaction() as connection:
            done = connection.execute(update(leases).where(self._alive(lease)).values(expires_ms=expires_ms))
            if done.rowcount == 0:
                raise _lost(lease)
        return dataclasses.replace(lease, expires_ms=expires_ms)

    def release(self, lease: Lease) -> None:
        mine = and_(leases.c.name == lease.name, leases.c.token == lease.token)
        with self._database.transaction() as connection:
            connection.execute(update(leases).where(mine).values(holder=NOBODY))

    def fence(self, lease: Lease) -> None:
        with self._database.transaction() as connection:
            row = connection.execute(select(leases.c.name).where(self._alive(lease)).with_for_update()).first()
            if row is None:
                raise _lost(lease)

    def sweep(self) -> list[Lease]:
        expired = and_(leases.c.holder != NOBODY, leases.c.expires_ms <= self._clock.now_ms())
        with self._database.transaction() as connection:
            found = [
                _lease(row)
                for row in connection.execute(select(leases).where(expired).with_for_update(skip_locked=True))
            ]
            for lease in found:
                mine = and_(leases.c.name == lease.name, leases.c.token == lease.token)
                connection.execute(update(leases).where(mine).values(holder=NOBODY))
        return found

    def find(self, name: str) -> Lease | None:
        alive = and_(leases.c.name == name, leases.c.holder != NOBODY, leases.c.expires_ms > self._clock.now_ms())
        with self._database.read() as connection:
            row = connection.execute(select(leases).where(alive)).first()
        return _lease(row) if row else None

    def _alive(self, lease: Lease) -> ColumnElement[bool]:
        return and_(
            leases.c.name == lease.name,
            leases.c.token == lease.token,
            leases.c.holder == lease.holder,
            leases.c.expires_ms > self._clock.now_ms(),
        )


def _lease(row: Row[tuple[object, ...]]) -> Lease:
    return Lease(name=row.name, holder=row.holder, token=row.token, expires_ms=row.expires_ms)


def _held(lease: Lease) -> Conflict:
    return Conflict(f"'{lease.name}' is held by {lease.holder} until {lease.expires_ms}", field=lease.name)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.holder} lost the lease on '{lease.name}'; its work must not be written", field=lease.name)
