"""The database's time, told by this machine's clock: no exchange for every look."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from workflows.database import prepared_cursor

MEASURE_SECONDS = 10.0
READINGS = 3


class DatabaseClock:
    """Knows how far this machine's clock is from the database's; asked anew every ten seconds."""

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self._measured_at = -MEASURE_SECONDS

    def measure(self) -> None:
        """Learn the offset.

        The quickest of three readings counts, as in NTP's clock filter: the first may open a
        connection.
        """
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, prepared_cursor() as cursor:
                _, self.offset = min(_read(cursor) for _ in range(READINGS))
        self._measured_at = time.monotonic()

    def now(self) -> datetime:
        """The database's time. Raises DatabaseError where that is to be measured, and cannot."""
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self.measure()
        return datetime.now(UTC) + self.offset


def _read(cursor: Any) -> tuple[timedelta, timedelta]:
    """How long the database took to tell its time, and how far that is from ours."""
    before = datetime.now(UTC)
    cursor.execute("SELECT clock_timestamp()")
    reading = cursor.fetchone()[0]
    taken = datetime.now(UTC) - before
    return taken, reading - (before + taken / 2)


# That of this process.
clock = DatabaseClock()
