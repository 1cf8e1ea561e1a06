"""Alembic's entry: run the migrations on the connection that was handed over."""

from __future__ import annotations

import importlib
import pkgutil

from alembic import context

import flyball
from flyball.kernel.db import metadata


def load_tables() -> None:
    """Import every room's tables, so that the metadata knows them all."""
    for module in pkgutil.walk_packages(flyball.__path__, "flyball."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


load_tables()
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
