"""The schema of the database: make it, and bring it up to date."""

from __future__ import annotations

import importlib
import pkgutil

import flyball
from flyball.kernel.db import Database, metadata


def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision."""
    for module in pkgutil.walk_packages(flyball.__path__, "flyball."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    metadata.create_all(database.engine)
