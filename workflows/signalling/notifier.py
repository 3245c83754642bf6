"""Tells workers of rows that are ready: hints, of which a lost one costs latency only.

Redis carries them where there is one, otherwise the database itself does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from django.conf import settings
from django.db import connection

LISTEN_SECONDS = 2.0


class NotifierError(Exception):
    """A hint could not be sent, or nothing can be heard now."""


class Notifier(Protocol):
    """A way to tell other processes; every method may raise `NotifierError`."""

    tells_in_haste: bool
    """Whether a caller that must not be held up may tell by itself."""

    def tell_ready(self, step_ids: Sequence[str], *, in_haste: bool = False) -> None:
        """Tell a worker that these rows are ready, or give up soon if in haste."""

    def hear_ready(self) -> list[str] | None:
        """Wait a while for ready rows; [] for whatever is due, None if nothing was heard."""


@lru_cache(maxsize=1)
def own_notifier() -> Notifier:
    """Return the notifier of this hub."""
    # Imported here: each brings a client that the others do not need.
    if settings.REDIS_URL:
        from workflows.signalling.redis_notifier import RedisNotifier

        return RedisNotifier(settings.REDIS_URL)
    from workflows.signalling.database_notifier import PostgresNotifier, SqliteNotifier

    return PostgresNotifier() if connection.vendor == "postgresql" else SqliteNotifier()
