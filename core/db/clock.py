"""The database's time, told by this machine's clock without an exchange for every look."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connection

from core.db.pipeline import prepared_cursor

MEASURE_SECONDS = 10.0
READINGS = 3


class DatabaseClock:
    """Keeps how far this machine's clock is from the database's, measured every ten seconds."""

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self._measured_at = -MEASURE_SECONDS

    def measure(self) -> None:
        """Learn the offset.

        The quickest of three readings counts, as in NTP's clock filter: the first may open a
        connection.
        """
        if connection.vendor == "postgresql":
            _, self.offset = min(_compare() for _ in range(READINGS))
        self._measured_at = time.monotonic()

    def now(self) -> datetime:
        """Return the database's time. Raises DatabaseError where it cannot be measured."""
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self.measure()
        return self.estimate()

    def estimate(self) -> datetime:
        """Return the same by the offset as it was measured last, without asking."""
        return datetime.now(UTC) + self.offset


def database_now() -> datetime:
    """Return what the database's clock says; with SQLite that is this machine's."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _compare() -> tuple[timedelta, timedelta]:
    """Return how long the database took to tell its time, and how far that is from ours."""
    before = datetime.now(UTC)
    reading = database_now()
    taken = datetime.now(UTC) - before
    return taken, reading - (before + taken / 2)


# The process-wide clock.
clock = DatabaseClock()
