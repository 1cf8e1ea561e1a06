"""The registry's stores on a database."""

from __future__ import annotations

from flyball.kernel.db import Database
from flyball.registry.models import RegistryStores
from flyball.registry.sql.decisions import SqlDecisionStore
from flyball.registry.sql.models import SqlModelStore
from flyball.registry.sql.versions import SqlEvidenceStore, SqlVersionStore

__all__ = ["SqlDecisionStore", "SqlEvidenceStore", "SqlModelStore", "SqlVersionStore", "open_stores"]


def open_stores(database: Database) -> RegistryStores:
    """Return the stores of models, versions and evidence on one database."""
    return RegistryStores(
        models=SqlModelStore(database), versions=SqlVersionStore(database), evidence=SqlEvidenceStore(database)
    )
