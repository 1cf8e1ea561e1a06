"""How many predictions are not in the log, as rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, update

from flyball.kernel.db import Database
from flyball.monitoring.sql.dialect import insert_new
from flyball.monitoring.tables import prediction_losses


class SqlLossStore:
    """One row an endpoint and reason, which only grows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, endpoint: str, rows: Mapping[str, int]) -> None:
        with self._database.transaction() as connection:
            for reason, count in sorted(rows.items()):  # in one order, so that two never wait for each other
                fresh = {"endpoint": endpoint, "reason": reason, "rows": 0}
                connection.execute(insert_new(self._database, prediction_losses), fresh)
                mine = and_(prediction_losses.c.endpoint == endpoint, prediction_losses.c.reason == reason)
                more = prediction_losses.c.rows + count
                connection.execute(update(prediction_losses).where(mine).values(rows=more))
