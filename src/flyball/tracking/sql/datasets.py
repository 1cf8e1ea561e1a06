"""The datasets that the runs of experiments read, on a database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from flyball.kernel.db import Database
from flyball.tracking.entities import DatasetSummary, ExperimentId
from flyball.tracking.sql.numbers import experiment_numbers
from flyball.tracking.tables import logged_datasets, run_datasets


class SqlDatasetStore:
    """Datasets of experiments, by the rows that runs left."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def summaries(self, experiment_ids: Sequence[str], *, limit: int) -> list[DatasetSummary]:
        columns = logged_datasets.c
        query = (
            select(columns.experiment_id, columns.name, columns.digest, run_datasets.c.context)
            .distinct()
            .join(run_datasets, run_datasets.c.dataset_id == columns.dataset_id)
            .where(columns.experiment_id.in_(experiment_numbers(experiment_ids)))
            .order_by(columns.experiment_id, columns.name, columns.digest, run_datasets.c.context)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                DatasetSummary(
                    experiment_id=ExperimentId(str(row.experiment_id)),
                    name=row.name,
                    digest=row.digest,
                    context=row.context,
                )
                for row in connection.execute(query)
            ]
