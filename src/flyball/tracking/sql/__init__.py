"""Tracking on a database, one module an aggregate."""

from flyball.kernel.db import Database
from flyball.tracking.ports import TrackingStores
from flyball.tracking.sql.datasets import SqlDatasetStore
from flyball.tracking.sql.experiments import SqlExperimentStore
from flyball.tracking.sql.metrics import SqlMetricStore
from flyball.tracking.sql.models import SqlModelStore
from flyball.tracking.sql.run_data import SqlRunDataStore
from flyball.tracking.sql.runs import SqlRunStore

__all__ = ["open_stores"]


def open_stores(database: Database) -> TrackingStores:
    """Return all stores of tracking on a database."""
    return TrackingStores(
        experiments=SqlExperimentStore(database),
        runs=SqlRunStore(database),
        data=SqlRunDataStore(database),
        metrics=SqlMetricStore(database),
        models=SqlModelStore(database),
        datasets=SqlDatasetStore(database),
    )
