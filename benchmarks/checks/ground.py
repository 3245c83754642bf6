"""A database of its own for one part, with Django set up on it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from benchmarks.testbed.django_setup import set_up_migrated
from tests.support import servers


@contextlib.contextmanager
def throw_away_database(name: str) -> Iterator[None]:
    """Run a PostgreSQL, bring a database of it to the newest version, and set Django up on that."""
    with servers.start_postgres() as postgres, tempfile.TemporaryDirectory() as directory:
        postgres.create_database(name)
        set_up_migrated(
            {
                "DATA_DIR": directory,
                "ALLOWED_HOSTS": "*",
                "LOG_LEVEL": "warning",
                "ALLOWED_NETWORKS": "127.0.0.0/8",
                **postgres.environment(name),
            }
        )
        from django.db import connections

        from registry.calls.blocking_client import close_shared_client

        try:
            yield
        finally:
            close_shared_client()
            connections.close_all()
