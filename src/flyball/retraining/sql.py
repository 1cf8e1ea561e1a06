"""Loops and requests on a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.retraining.entities import Cause, Origin, Request, RequestState
from flyball.retraining.tables import loops, requests


class SqlRequestStore:
    """One row a request; a state changes by one conditional UPDATE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_loop(self, name: str, document: str, *, now_ms: int) -> None:
        row = {"name": name, "document": document, "updated_ms": now_ms}
        try:
            with self._database.transaction() as connection:
                done = connection.execute(update(loops).where(loops.c.name == name).values(**row))
                if done.rowcount == 0:
                    connection.execute(insert(loops), row)
        except IntegrityError as error:
            raise Conflict(f"somebody else set loop '{name}' at this moment; repeat the call", field="loop") from error

    def find_loop(self, name: str) -> str | None:
        with self._database.read() as connection:
            return connection.execute(select(loops.c.document).where(loops.c.name == name)).scalar()

    def loops(self) -> list[str]:
        with self._database.read() as connection:
            return list(connection.execute(select(loops.c.name).order_by(loops.c.name)).scalars())

    def add(self, request: Request) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(requests), dataclasses.asdict(request))
        except IntegrityError as error:
            raise Conflict(f"loop '{request.loop}' is busy with another request", field="loop") from error

    def update(self, request: Request, *, expected: RequestState) -> None:
        unchanged = (requests.c.id == request.id) & (requests.c.state == expected)
        with self._database.transaction() as connection:
            done = connection.execute(update(requests).where(unchanged).values(**dataclasses.asdict(request)))
        if done.rowcount == 0:
            raise Conflict(f"request {request.id} is no longer {expected}", field="request")

    def find(self, request_id: str) -> Request | None:
        with self._database.read() as connection:
            row = connection.execute(select(requests).where(requests.c.id == request_id)).first()
        return _request(row) if row else None

    def list(self, *, loop: str | None = None, states: Collection[RequestState] = ()) -> list[Request]:
        query = select(requests).order_by(requests.c.id.desc())
        if loop is not None:
            query = query.where(requests.c.loop == loop)
        if states:
            query = query.where(requests.c.state.in_(sorted(states)))
        with self._database.read() as connection:
            return [_request(row) for row in connection.execute(query)]


def _request(row: Row[tuple[object, ...]]) -> Request:
    values = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented way to read a row by name
    values["origin"] = Origin(values["origin"])
    values["state"] = RequestState(values["state"])
    values["cause"] = Cause(values["cause"]) if values["cause"] else None
    return Request(**values)
