"""Tables as migrations see them."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def tables_before(app: str, migration: str) -> Any:
    """Return the `apps` that a migration is given: the models as they were when it runs."""
    loader = MigrationExecutor(connection).loader
    return loader.project_state((app, migration), at_end=False).apps
